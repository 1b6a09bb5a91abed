"""Tools around the foundation: the logger."""
