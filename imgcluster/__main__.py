"""`python -m imgcluster`."""

import sys

from imgcluster.cli import main

if __name__ == "__main__":
    sys.exit(main())
