"""The sides: one module each, of which one is loaded in a process. See `driver.Sender`."""
