"""`python -m ffl_ray`: what `ffl-ray` is where it is not on the path."""

import sys

from ffl_ray.cli import main

if __name__ == "__main__":
    sys.exit(main())
