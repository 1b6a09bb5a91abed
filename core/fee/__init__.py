"""The platform fee: the model, how it is read in microseconds, its history and planned changes."""
