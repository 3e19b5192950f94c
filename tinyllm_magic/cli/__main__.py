"""Runs the command line: ``python -m tinyllm_magic.cli``."""

import sys

from .command_line import main

if __name__ == "__main__":
    sys.exit(main())
