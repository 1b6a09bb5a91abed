"""`python -m tests.benchmarks` (`make bench`): measure, print the figures, judge the budgets."""

import sys

# The drivers are spawned and import this module again; they must not import any more than it.
if __name__ == "__main__":
    from tests.benchmarks.cli import main

    sys.exit(main())
