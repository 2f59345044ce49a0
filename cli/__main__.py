"""`python -m cli` is `concento`."""

from cli.main import main

main()
