from .checkpoint import Model, load_model, pretrained, save_model
from .config import Config, DataConfig, Material
from .data import load_training_data
from .ensemble import load_models
from .fidelity import Fidelity, judge, reference
from .generation import generate, stream
from .networks import Critic, Generator
from .runs import Run
from .settings import override, preset, presets

__all__ = [
    "Config",
    "Critic",
    "DataConfig",
    "Fidelity",
    "Generator",
    "Material",
    "Model",
    "Run",
    "generate",
    "judge",
    "load_model",
    "load_models",
    "load_training_data",
    "override",
    "preset",
    "presets",
    "pretrained",
    "reference",
    "save_model",
    "stream",
]

__version__: str
