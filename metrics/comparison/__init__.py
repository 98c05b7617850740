"""Whether two samples of volumes are the same material."""
