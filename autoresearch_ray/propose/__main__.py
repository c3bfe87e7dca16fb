"""`python -m autoresearch_ray.propose`: see `consult.py`."""

import sys

from autoresearch_ray.consult import main

if __name__ == "__main__":
    sys.exit(main())
