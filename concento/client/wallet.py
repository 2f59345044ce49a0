"""Keys and names on this machine: encrypted key files, an address book, and the development accounts.

A name means a key file first, then a development account (only where genesis says `dev: true`), then a contact.
Secrets leave this file as a `Signer` and in no other way; passwords are asked of the caller.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from mnemonic import Mnemonic

from concento.accounts import address, parse_address
from concento.client import keyfile
from concento.client.keyfile import SCRYPT_N, KeyFile
from concento.client.signer import Signer
from concento.derivation import account_path, derive, seed_of_phrase
from concento.development import ACCOUNTS, development_account, development_seed, is_development_name
from concento.errors import Rejected
from concento.strictjson import loads

WORDS: Final = 24
_STRENGTH_BITS: Final = 256
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_SUFFIX: Final = ".json"
_CONTACTS: Final = "contacts"

Password = Callable[[str], str]
"""Asked for the password of a name, at most once per key."""

Kind = Literal["key", "dev", "contact"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One name that the wallet knows."""

    name: str
    account: bytes
    kind: Kind
    file: Path | None


class Wallet:
    """The names and keys below HOME/wallet."""

    def __init__(self, home: Path, scrypt_n: int = SCRYPT_N) -> None:
        self.folder = home / "wallet"
        self._scrypt_n = scrypt_n

    def new(self, name: str, password: str) -> tuple[Entry, str]:
        """Make a key under this name: the entry, and the 24 words that restore it, which are kept nowhere."""
        phrase = Mnemonic("english").generate(strength=_STRENGTH_BITS)
        return self.restore(name, phrase, password), phrase

    def restore(
        self, name: str, phrase: str, password: str, account: int = 0, index: int = 0, acts_for: bytes | None = None
    ) -> Entry:
        """The key of a phrase under this name. Raises Rejected wallet.phrase_invalid, wallet.name_taken."""
        words = check_phrase(phrase)
        path = account_path(account, index)
        seed = derive(seed_of_phrase(words), path)
        written = "m/" + "/".join(f"{step}'" for step in path)
        file = keyfile.seal(seed, password, written, name, self._scrypt_n)
        return self._keep(name, file if acts_for is None else keyfile.acting_for(file, acts_for))

    def adopt(self, name: str, source: Path, password: Password) -> Entry:
        """A copy of a key file under this name, once its password is known to be right."""
        file = keyfile.read(source)
        keyfile.unseal(file, password(name), name)
        return self._keep(name, file)

    def export(self, name: str) -> str:
        """The text of the encrypted key file of this name."""
        return keyfile.text_of(self._file(name))

    def key_of(self, name: str, password: Password) -> bytes:
        """The public key of this name, once its password is known to be right. Raises Rejected wallet.*."""
        _check_name(name)
        file = self._file(name)
        keyfile.unseal(file, password(name), name)
        return file.key

    def replace(self, name: str, successor: str) -> Path:
        """From now on this name signs with the key of another, for its own account; the old key's file is kept: where.

        The chain must have taken the new key before, or the name cannot sign.
        """
        old, new = self._file(name), self._file(successor)
        kept = self.folder / f"{name}{_SUFFIX}.before-{new.pubkey[:8]}"
        keyfile.write(kept, keyfile.text_of(old))
        keyfile.write(self._path(name), keyfile.text_of(keyfile.acting_for(new, old.acts_for)))
        return kept

    def entries(self, dev: bool) -> list[Entry]:
        """Every name, those that a signature can be made for first; on a development network its accounts too."""
        keys = [entry for entry in map(self._key_entry, self.key_names()) if isinstance(entry, Entry)]
        taken = set(self.key_names())
        accounts = [_development_entry(name) for name in ACCOUNTS if name not in taken] if dev else []
        taken.update(entry.name for entry in accounts)
        contacts = [entry for entry in self._contact_entries(dev) if entry.name not in taken]
        return keys + accounts + contacts

    def spoilt(self) -> list[Rejected]:
        """What is wrong with the key files that cannot be read: `entries` leaves them out."""
        return [error for error in map(self._key_entry, self.key_names()) if isinstance(error, Rejected)]

    def find(self, name: str, dev: bool) -> Entry | None:
        """What this name means here, without a password; None where it is unknown."""
        if _NAME.fullmatch(name) is None:
            return None
        if self._path(name).exists():
            return Entry(name, self._file(name).acts_for, "key", self._path(name))
        if dev and is_development_name(name):
            return _development_entry(name)
        return next((entry for entry in self._contact_entries(dev) if entry.name == name), None)

    def signer(self, name: str, dev: bool, password: Password) -> Signer:
        """Who can sign under this name. Raises Rejected wallet.* where nobody can."""
        _check_name(name)
        if self._path(name).exists():
            file = self._file(name)
            seed = keyfile.unseal(file, password(name), name)
            return Signer(name, file.acts_for, (seed,))
        if is_development_name(name):
            if not dev:
                raise Rejected("wallet.dev_refused", name=name)
            return development_signer(name)
        raise Rejected("wallet.key_not_found", name=name)

    def _key_entry(self, name: str) -> Entry | Rejected:
        try:
            return Entry(name, self._file(name).acts_for, "key", self._path(name))
        except Rejected as error:
            return error

    def key_names(self) -> list[str]:
        """The names that have a key file."""
        found = (path.name.removesuffix(_SUFFIX) for path in self.folder.glob("*" + _SUFFIX))
        return sorted(name for name in found if name != _CONTACTS and _NAME.fullmatch(name))

    def contacts(self) -> dict[str, str]:
        """The address book: name -> address."""
        path = self._path(_CONTACTS)
        if not path.exists():
            return {}
        try:
            book = loads(path.read_bytes(), "address book")
        except (OSError, Rejected) as error:
            raise Rejected("wallet.contacts_damaged", path=str(path), reason=str(error)) from None
        if not isinstance(book, dict) or not all(isinstance(value, str) for value in book.values()):
            raise Rejected("wallet.contacts_damaged", path=str(path), reason="not an object of names and addresses")
        return book

    def add_contact(self, name: str, written: str, dev: bool) -> Entry:
        """Remember an address under a name; a contact of that name is replaced, a key is not."""
        _check_name(name)
        account = parse_address(written, dev)
        if self._path(name).exists():
            raise Rejected("wallet.name_taken", name=name)
        book = {**self.contacts(), name: written}
        keyfile.write(self._path(_CONTACTS), json.dumps(book, indent=2, sort_keys=True) + "\n")
        return Entry(name, account, "contact", None)

    def check_new(self, name: str) -> None:
        """Raises Rejected unless a key can be made under this name."""
        _check_name(name)
        if self._path(name).exists() or name in self.contacts():
            raise Rejected("wallet.name_taken", name=name)

    def _keep(self, name: str, file: KeyFile) -> Entry:
        self.check_new(name)
        path = self._path(name)
        keyfile.write(path, keyfile.text_of(file))
        return Entry(name, file.acts_for, "key", path)

    def _contact_entries(self, dev: bool) -> list[Entry]:
        """Contacts of this kind of network; those of another are of no use here."""
        entries = []
        for name, written in sorted(self.contacts().items()):
            try:
                entries.append(Entry(name, parse_address(written, dev), "contact", None))
            except Rejected:
                continue
        return entries

    def _file(self, name: str) -> KeyFile:
        path = self._path(name)
        if not path.exists():
            raise Rejected("wallet.key_not_found", name=name)
        return keyfile.read(path)

    def _path(self, name: str) -> Path:
        return self.folder / (name + _SUFFIX)


def check_phrase(phrase: str) -> str:
    """The phrase in its one spelling. Raises Rejected naming what is wrong with it."""
    words = phrase.lower().split()
    checker = Mnemonic("english")
    unknown = [word for word in words if word not in checker.wordlist]
    if len(words) not in (12, 15, 18, 21, WORDS):
        raise Rejected("wallet.phrase_invalid", reason=f"{len(words)} words; a phrase has 24 (or 12, 15, 18, 21)")
    if unknown:
        raise Rejected("wallet.phrase_invalid", reason=f"{unknown[0]!r} is not in the word list")
    if not checker.check(" ".join(words)):
        raise Rejected("wallet.phrase_invalid", reason="its checksum does not fit: a word is wrong or out of place")
    return " ".join(words)


def development_signer(name: str) -> Signer:
    """Who signs for a development account: no file and no password."""
    return Signer(name, development_account(name), (development_seed(name),))


def entry_document(entry: Entry, dev: bool) -> dict[str, str | None]:
    """An entry as the command line prints it."""
    file = None if entry.file is None else str(entry.file)
    return {"name": entry.name, "address": address(entry.account, dev), "kind": entry.kind, "file": file}


def _development_entry(name: str) -> Entry:
    return Entry(name, development_account(name), "dev", None)


def _check_name(name: str) -> None:
    if _NAME.fullmatch(name) is None or name == _CONTACTS:
        raise Rejected("wallet.name_invalid", name=name)
