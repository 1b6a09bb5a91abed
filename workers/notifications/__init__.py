"""Messages to people: kept as rows, sent through channels."""
