"""Learn a generator of 3D microstructures from 2D slices, and generate volumes of any size.

>>> import slicegan
>>> slicegan.generate("snow", 32, seed=1).shape
(32, 32, 32)
"""

from importlib.metadata import version

import lazy_loader

__version__ = version("slicegan")

# Names and where they come from are in __init__.pyi; loading PyTorch waits until one is used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
