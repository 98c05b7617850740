"""Learn a generator of 3D microstructures from 2D slices, and generate volumes of any size.

>>> import slicegan
>>> slicegan.generate("snow", 32, seed=1).shape
(32, 32, 32)
"""

import lazy_loader

from metrics.machine.provenance import version_of

__version__ = version_of("slicegan")

# Names and where they come from are in __init__.pyi; loading PyTorch waits until one is used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
