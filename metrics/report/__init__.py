"""A comparison as pages, plots and tables."""
