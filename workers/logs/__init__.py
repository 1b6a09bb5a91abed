"""Request logs: written to the sinks by workers, away from the requests."""
