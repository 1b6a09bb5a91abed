"""Cached values that are out of date go away, and those that are always wanted stay warm."""
