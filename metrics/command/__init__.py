"""Commands: how they read their arguments, what they print, and how they end."""
