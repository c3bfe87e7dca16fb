"""`python -m autoresearch_ray.propose`: see `consult.py`."""

import sys

from autoresearch_ray.driver.ask_model import main

if __name__ == "__main__":
    sys.exit(main())
