"""The demo: a crowd that buys tickets while things go wrong, and a count of every effect."""
