"""`python -m diffjax` is `diffjax`."""

import sys

from diffjax.cli import main

if __name__ == "__main__":
    sys.exit(main())
