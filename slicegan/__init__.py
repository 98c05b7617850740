"""Learn a generator of 3D microstructures from 2D slices."""
