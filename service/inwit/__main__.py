"""`python -m inwit` is the command `inwit`."""

from inwit.cli import main

main()
