"""How right: errors, coverage of intervals, and independent references."""
