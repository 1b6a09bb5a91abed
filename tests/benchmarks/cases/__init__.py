"""What is measured: a module each, with `run(bench)` that yields rows."""
