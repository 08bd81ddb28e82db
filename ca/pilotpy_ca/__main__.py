"""``python -m pilotpy_ca``."""

from pilotpy_ca.cli import main

main()
