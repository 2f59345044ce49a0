"""The entry point: answers `--version` at once, and imports the commands only for the rest."""

from __future__ import annotations

import sys

from concento import __version__


def main() -> None:
    """Runs the command line of this process and ends it."""
    if sys.argv[1:] == ["--version"]:
        sys.exit(run(sys.argv[1:]))
    from cli.app import listen_for_term

    listen_for_term()
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Runs one command line; the exit code."""
    if arguments == ["--version"]:
        print(f"concento {__version__}")
        return 0
    from cli.app import run_command

    return run_command(arguments)


if __name__ == "__main__":
    main()
