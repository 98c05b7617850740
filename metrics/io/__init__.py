"""Read and write segmented volumes."""
