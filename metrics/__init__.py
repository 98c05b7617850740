"""Measure segmented volumes, and say whether two samples of them are the same material.

>>> import metrics, numpy
>>> round(metrics.volume_fraction(numpy.eye(4, dtype=int)[None])[1], 2)
0.25
"""

import lazy_loader

# Names, by topic, and where they come from are in __init__.pyi; numba waits until one is used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
