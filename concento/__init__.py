"""The vocabulary of a Concento network: what goes over the wire and what everybody must agree on."""

from typing import Final

__version__: Final = "0.1.0"
"""The one place of the version: the package's metadata, `--version` and every node's status read it."""
