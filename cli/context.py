"""What a command needs: settings, printer, a node, the wallet, somebody who signs, and what names and ids mean."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property, update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar

import click

from cli import exits, labels
from cli.files import read_bytes, read_json
from cli.nearest import suggestion
from cli.printer import Printer
from cli.settings import Settings
from concento.errors import ConcentoError, Rejected

if TYPE_CHECKING:
    from cli.session import WritingSession
    from concento.client import Client, Signer
    from concento.client.wallet import Wallet
    from concento.genesis import Genesis

P = ParamSpec("P")
R = TypeVar("R")
E = TypeVar("E", bound=ConcentoError)

_PLACEHOLDER: Final = "placeholder:"
"""Before the label of a holder who is not on board yet."""

_GRACE_S: Final = 10.0
"""A request may take this much longer than the wait that it asks for."""


class Context:
    """One command's surroundings, made on first use."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.printer = Printer(settings)

    @property
    def home(self) -> Path:
        return self.settings.home

    @cached_property
    def client(self) -> Client:
        """The node at --url, and the others named there where it does not answer."""
        from concento.client import Client
        from concento.client.client import TIMEOUT_S

        urls = [url.strip().rstrip("/") for url in self.settings.url.split(",")]
        wanted = self.settings.timeout_s
        return Client(*urls, timeout_s=TIMEOUT_S if wanted is None else min(TIMEOUT_S, wanted + _GRACE_S))

    def close(self) -> None:
        """Ends the connections that were made."""
        if "client" in self.__dict__:
            self.client.close()

    @cached_property
    def dev(self) -> bool:
        """Whether the network is a development network: says the node."""
        return bool(self.client.status()["dev"])

    @cached_property
    def dev_guess(self) -> bool:
        """The same, also where no node answers: then this home's genesis says, and without one it is not."""
        from concento.errors import Unavailable

        try:
            return self.dev
        except Unavailable:
            genesis = self.find_genesis()
            return genesis is not None and bool(read_json(genesis, "genesis").get("dev"))

    @property
    def dev_or_unknown(self) -> bool:
        """Whether the network is a development network, or none is known that says otherwise."""
        from concento.errors import Unavailable

        try:
            return self.dev
        except Unavailable:
            return self.find_genesis() is None or self.dev_guess

    @cached_property
    def wallet(self) -> Wallet:
        from concento.client.wallet import Wallet

        return Wallet(self.home)

    def find_genesis(self) -> Path | None:
        """The genesis file of this home's network."""
        places = (self.home / "testnet" / "genesis.json", self.home / "node" / "genesis.json")
        return next((place for place in places if place.exists()), None)

    def genesis(self, named: Path | None) -> Genesis:
        """The genesis in the file that was named, else this home's. Raises Rejected genesis.missing."""
        from concento.genesis import parse_genesis

        path = named or self.find_genesis()
        if path is None:
            raise Rejected("genesis.missing", home=str(self.home))
        return parse_genesis(read_bytes(path))

    @property
    def sender(self) -> str:
        """The name in --from, or the only key there is. Raises a usage error otherwise."""
        if self.settings.sender:
            return self.settings.sender
        keys = self.wallet.key_names()
        if len(keys) == 1:
            return keys[0]
        raise click.UsageError("Who acts? Say --from NAME (or set CONCENTO_FROM); see: concento wallet list")

    def signer(self, name: str | None = None, dev: bool | None = None) -> Signer:
        """The key of --from, or of a name; on the node's network, or on one that is known to be for development."""
        from concento.client import Signer

        wanted = name or self.sender
        if self.settings.drafts:
            return Signer(wanted, self.account(wanted), ())
        is_dev = self.dev if dev is None else dev
        try:
            return self.wallet.signer(wanted, is_dev, self.password)
        except Rejected as error:
            if error.kind != "wallet.key_not_found":
                raise
            known = [entry.name for entry in self.wallet.entries(is_dev) if entry.kind != "contact"]
            raise _suggest(error, wanted, known) from None

    @cached_property
    def session(self) -> WritingSession:
        """Acts as --from."""
        from cli.session import WritingSession

        if self.settings.drafts:
            from cli.drafts import DraftingSession

            return DraftingSession(self.client, self.signer())
        return WritingSession(self.client, self.signer(), self.settings.wait, self.settings.timeout_s)

    @cached_property
    def waiting_session(self) -> WritingSession:
        """Acts as --from, in several transactions of which each builds on the one before."""
        from cli.session import WritingSession

        if self.settings.drafts:
            raise click.UsageError(
                "This takes several transactions, each of which builds on the one before: sign it here."
            )
        if not self.settings.wait:
            self.printer.note("This waits for finality all the same: each transaction builds on the one before.")
        return WritingSession(self.client, self.signer(), True, self.settings.timeout_s)

    def password(self, name: str) -> str:
        """The password of an existing key: from the file that was named, or from the terminal."""
        return self._password_of_file() or _ask(name, f"Password of {name}", confirm=False)

    def new_password(self, name: str) -> str:
        """A password for a new key, typed twice."""
        return self._password_of_file() or _ask(name, f"New password for {name}", confirm=True)

    def _password_of_file(self) -> str | None:
        named = self.settings.password_file
        if named is None:
            return None
        try:
            lines = Path(named).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise Rejected(
                "file.unreadable", path=named, reason=getattr(error, "strerror", None) or "not text"
            ) from None
        if not lines or not lines[0]:
            raise Rejected("wallet.password_empty")
        return lines[0]

    @cached_property
    def book(self) -> dict[str, str]:
        """The names that this machine knows: address -> name."""
        from cli.naming import names_of

        return names_of(self.home, self.dev)

    def who(self, text: str) -> str:
        """What to ask a node about an account: the address of a name that the wallet knows, else the text itself."""
        entry = self.wallet.find(text.removeprefix("@"), self.dev_guess)
        if entry is None:
            return text.removeprefix("@")
        from concento.accounts import address

        return address(entry.account, self.dev_guess)

    @contextmanager
    def suggesting(self, text: str) -> Iterator[None]:
        """Adds the name that was probably meant to a node's answer that nobody is called so."""
        from concento.client import RpcError

        try:
            yield
        except RpcError as error:
            if error.not_found and error.kind.startswith(("account", "identity", "party")):
                known = [entry.name for entry in self.wallet.entries(self.dev)]
                _suggest(error, text.removeprefix("@"), known)
            raise

    def account(self, text: str) -> bytes:
        """The account that a person means: an address, a name of the wallet, or a party. Raises Rejected, RpcError."""
        from concento.accounts import PREFIX, PREFIX_DEV, parse_address, placeholder_id
        from concento.client import RpcError

        if text.startswith(_PLACEHOLDER) and len(text) > len(_PLACEHOLDER):
            return placeholder_id(text.removeprefix(_PLACEHOLDER).encode())
        if text.lower().startswith((PREFIX + "1", PREFIX_DEV + "1")) and len(text) > 60:
            return parse_address(text, self.dev)
        name = text.removeprefix("@")
        entry = self.wallet.find(name, self.dev)
        if entry is not None:
            return entry.account
        try:
            return parse_address(self.client.account(name)["address"], self.dev)
        except RpcError as error:
            if not error.not_found:
                raise
            known = [entry.name for entry in self.wallet.entries(self.dev)]
            raise _suggest(Rejected("account.not_found", text=text), name, known) from None

    def account_or_id(self, text: str) -> bytes:
        """As `account`; the account's own 32 bytes in hex will do, in a long list."""
        if len(text) == 64 and all(digit in "0123456789abcdef" for digit in text):
            return bytes.fromhex(text)
        return self.account(text)

    def id(self, text: str) -> str:
        """An id as the node takes it: hex, the beginning of one, or @name for one that was named here."""
        return labels.resolve(self.home, text)

    def finish(self, document: dict[str, Any], text: Any) -> int:
        """Prints what became of a write; the exit code."""
        status = str(document["status"])
        if status == "final" or (not self.settings.wait and status in ("pending", "shared")):
            self.printer.result(document, text)
            return exits.OK
        code = exits.exit_of_tx(document)
        if self.settings.json:
            self.printer.result(document, text)
            return code
        from cli.session import failure_of
        from cli.text.tx import unsuccessful

        for line in unsuccessful(document):
            self.printer.note(line)
        self.printer.failure(failure_of(document))
        return code


def _suggest(error: E, text: str, names: list[str]) -> E:
    found = suggestion(text, names)
    if found:
        error.hint = f"{error.hint}.{found}" if error.hint else found.strip()
    return error


def _ask(name: str, prompt: str, confirm: bool) -> str:
    if not sys.stdin.isatty():
        raise Rejected("wallet.password_missing", name=name)
    first = str(click.prompt(prompt, hide_input=True, err=True, default="", show_default=False))
    if confirm and first != str(
        click.prompt("The same again", hide_input=True, err=True, default="", show_default=False)
    ):
        raise Rejected("wallet.password_differs")
    return first


def with_context(command: Callable[Concatenate[Context, P], R]) -> Callable[P, R]:
    """Passes a fresh `Context` as the first argument of a command."""

    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        settings = click.get_current_context().ensure_object(Settings)
        context = Context(settings)
        try:
            return command(context, *args, **kwargs)
        finally:
            context.close()

    return update_wrapper(run, command)
