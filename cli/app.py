"""The tree of commands, and the one place where whatever goes wrong becomes a sentence and an exit code."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import Final

import click

from cli import exits
from cli.grammar import App
from cli.printer import Printer
from cli.settings import Settings
from concento import __version__
from concento.errors import ConcentoError

NOUNS: Final[dict[str, tuple[str, str]]] = {
    "testnet": ("cli.commands.testnet", "A local network: start, look, break, mend."),
    "node": ("cli.commands.node", "One node: set up, run, status, repair."),
    "doctor": ("cli.commands.doctor", "Check this machine and this node; says what to do."),
    "wallet": ("cli.commands.wallet", "Keys, balances, payments."),
    "identity": ("cli.commands.identity", "Parties and their roles."),
    "asset": ("cli.commands.derivatives", "Register and find music; remixes and where things come from."),
    "dataset": ("cli.commands.dataset", "Gather what is registered, in lists of any length."),
    "model": ("cli.commands.model", "Models, what they learnt from, what they make."),
    "licence": ("cli.commands.charges", "Offer, buy, prolong and check licences."),
    "gateway": ("cli.commands.gateway", "Serve licensed files."),
    "fetch": ("cli.commands.fetch", "Fetch the files of a licensed asset."),
    "receipt": ("cli.commands.receipt", "Proofs of access."),
    "earnings": ("cli.commands.earnings", "Who was paid how much, when and why."),
    "shares": ("cli.commands.shares", "Who holds what part of an income; hand it over."),
    "vault": ("cli.commands.vault", "Wide ownership: lists of holders of any length."),
    "usage": ("cli.commands.usage", "Money of datasets that go by use."),
    "dispute": ("cli.commands.dispute", "Claim a part of an income, answer, rule."),
    "gov": ("cli.commands.gov", "Who runs the network: propose, approve, look."),
    "tx": ("cli.commands.tx", "Transactions."),
    "proof": ("cli.commands.proof", "Proofs that need no trust in a node."),
    "rpc": ("cli.commands.rpc", "Call any method of a node."),
    "explain": ("cli.commands.explain", "Say what something is: an id, an address, an error, a file."),
    "watch": ("cli.commands.watch", "Follow events as they become final."),
    "bench": ("cli.commands.bench", "How fast a network makes transfers final."),
    "simulate": ("cli.commands.simulate", "Four replicas under made-up faults and liars, by seed."),
    "completion": ("cli.commands.completion", "Completion for bash, zsh and fish."),
}


GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "Networks and nodes": ("testnet", "node", "doctor", "gov", "bench", "simulate"),
    "People and money": ("wallet", "identity"),
    "Music and rights": ("asset", "dataset", "model", "licence"),
    "Access": ("gateway", "fetch", "receipt"),
    "Income": ("earnings", "shares", "vault", "usage", "dispute"),
    "Look closely": ("tx", "proof", "explain", "watch", "rpc", "completion"),
}
"""The nouns as --help shows them; each stands in one group."""


class Terminated(BaseException):
    """SIGTERM has arrived."""


def run_command(arguments: list[str]) -> int:
    """Runs one command line; the exit code. Never raises, never shows a traceback."""
    settings = Settings()
    printer = Printer(settings)
    try:
        code = _tree().main(arguments, prog_name="concento", standalone_mode=False, obj=settings)
        sys.stdout.flush()
        return code if isinstance(code, int) else exits.OK
    except ConcentoError as error:
        return printer.failure(error)
    except click.UsageError as error:
        settings.json = settings.json or "--json" in arguments
        return printer.usage(error)
    except (KeyboardInterrupt, click.Abort):
        printer.note("Interrupted.")
        return exits.INTERRUPTED
    except Terminated:
        return exits.TERMINATED
    except BrokenPipeError:
        return _reader_gone()
    except SystemExit as end:
        # click ends a process itself: with 0 after a completion, with 1 where a pipe breaks.
        if end.code != 1:
            raise
        return _reader_gone()
    except OSError as error:
        return printer.local(error)
    except Exception as error:
        return printer.bug(error)


def _reader_gone() -> int:
    """Whoever read our output has gone; Python would complain once more when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return exits.OK


def _tree() -> App:
    app = App(
        NOUNS,
        GROUPS,
        name="concento",
        help="A permissioned blockchain for licensed music data.",
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        epilog="Exit codes: " + " · ".join(f"{code} {meaning}" for code, meaning in exits.MEANINGS.items()),
    )
    return click.version_option(__version__, message="concento %(version)s")(app)


def listen_for_term() -> None:
    """SIGTERM ends this process as Ctrl-C does: files and terminal are left in order, the exit code is 143."""
    signal.signal(signal.SIGTERM, _terminate)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated
