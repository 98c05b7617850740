"""Scripts that each show one claim; run from a checkout, not installed."""
