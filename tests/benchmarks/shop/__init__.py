"""A shop that sells: the least that a request writes, and the event that tells of it."""
