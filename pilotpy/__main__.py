"""``python -m pilotpy``: the command line."""

from pilotpy.cli import main

main()
