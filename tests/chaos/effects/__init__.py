"""An app whose effects can be counted."""
