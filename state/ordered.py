"""Sets of equally long byte strings in state records: add, remove, first and last in as many steps as they have bytes.

Execution never scans the store, so whatever must be taken "highest first" or "oldest first" is kept in such a set. A
word says which next bytes exist below a prefix; a word that says nothing is no record, so an empty set leaves nothing.
"""

from __future__ import annotations

from concento.encoding import Bytes32, Record
from concento.errors import Broken
from state.view import Kind, View


class Word(Record):
    """Bit b says that a member goes on with byte b."""

    bits: Bytes32


WORDS = Kind(b"ordered/", Word)


def add(view: View, name: bytes, member: bytes) -> None:
    """Adds a member. All members of the set called `name` have the same length."""
    for depth in reversed(range(len(member))):
        key = _key(name, member[:depth])
        before = _bits(view, key)
        _put(view, key, before | 1 << member[depth])
        if before:
            return


def remove(view: View, name: bytes, member: bytes) -> None:
    """Removes a member that is there."""
    for depth in reversed(range(len(member))):
        key = _key(name, member[:depth])
        left = _bits(view, key) & ~(1 << member[depth])
        _put(view, key, left)
        if left:
            return


def last(view: View, name: bytes, width: int) -> bytes | None:
    """The greatest member, or None; `width` is the members' length."""
    member = b""
    while len(member) < width:
        bits = _bits(view, _key(name, member))
        if not bits:
            _check_empty(member)
            return None
        member += bytes((bits.bit_length() - 1,))
    return member


def first(view: View, name: bytes, width: int) -> bytes | None:
    """The least member, or None; `width` is the members' length."""
    member = b""
    while len(member) < width:
        bits = _bits(view, _key(name, member))
        if not bits:
            _check_empty(member)
            return None
        member += bytes(((bits & -bits).bit_length() - 1,))
    return member


def _check_empty(member: bytes) -> None:
    if member:
        raise Broken("an ordered set promises members below {member} and has none", member=member)


def _bits(view: View, key: bytes) -> int:
    word = view.find(WORDS, key)
    return 0 if word is None else int.from_bytes(word.bits, "big")


def _put(view: View, key: bytes, bits: int) -> None:
    if bits:
        view.put(WORDS, key, Word(bits.to_bytes(32, "big")))
    else:
        view.delete(WORDS, key)


def _key(name: bytes, prefix: bytes) -> bytes:
    return name + bytes((len(prefix),)) + prefix
