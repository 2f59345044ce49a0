"""Explanations as text: one sentence saying what it is, then what its own command would show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from cli.exits import MEANINGS
from cli.printer import Facts, Piece, Table
from cli.text import assets, disputes, licences, shares, tx, wallet
from cli.text.forms import beat, instant, plural, short, size, words


def explained(finding: dict[str, Any]) -> Iterator[Piece]:
    """What it is."""
    document = finding["document"]
    match finding["is"]:
        case "transaction":
            yield from tx.show(document)
        case "asset":
            yield from assets.show(document)
        case "licence":
            yield from licences.show(document)
        case "receipt":
            yield from licences.receipt(document)
        case "account":
            yield from wallet.balance(document)
        case "block":
            yield from block(document)
        case "offer":
            yield f"This is an offer for asset {short(document['asset'])}."
            yield from assets.offers([document])
        case "vault":
            yield from shares.show_vault(document)
        case "dispute":
            yield from disputes.show(document, {})
        case "error":
            yield from _error(document)
        case "method":
            yield from _method(document)
        case kind:
            yield f"This is {_NAMES.get(kind, 'a ' + kind)}."
            yield Facts(
                [
                    (name.removesuffix("_ubeat").replace("_", " "), _value(name, value))
                    for name, value in document.items()
                ]
            )


_NAMES = {
    "genesis": "the genesis file of a network",
    "proof": "a proof of a record",
    "statement": "a statement with its proofs",
    "key_file": "an encrypted key file",
    "tx_file": "a transaction to be signed or handed in",
    "audio": "an audio file",
    "cid": "the CID of a file that nobody has registered",
    "json": "a JSON file of no kind that this program writes",
    "file": "a file that has nothing to do with this program",
}


def _counted(kinds: list[str]) -> str:
    """Each kind once, with how often it occurs."""
    return words([kind if count == 1 else f"{kind} x {count}" for kind, count in Counter(kinds).items()])


def _validator(text: str) -> str:
    """A validator by name, or the beginning of its key."""
    return short(text) if len(text) == 64 else text


def _signers(signers: Any) -> str:
    return words([_validator(str(key)) for key in signers]) if isinstance(signers, list) else str(signers)


def _value(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name.endswith("_ubeat"):
        return beat(value)
    if name == "time_ms":
        return instant(value)
    return size(value) if name == "bytes" else str(value)


def _error(document: dict[str, Any]) -> Iterator[Piece]:
    code = document["exit"]
    yield f"This is an error: {document['sentence']}."
    again = "the same may succeed later" if document["retryable"] else "the same again fails again"
    pairs = [("exit code", f"{code} ({MEANINGS[code]})"), ("again", again)]
    if document["hint"]:
        pairs.append(("next", document["hint"]))
    yield Facts(pairs)


def _method(document: dict[str, Any]) -> Iterator[Piece]:
    yield f"{document['name']} is a method of a node: {document.get('summary', '')}"
    rows = [(param["name"], "needed" if param.get("required") else "optional") for param in document["params"]]
    if rows:
        yield Table(("PARAMETER", ""), rows)
    yield f"Next: concento rpc {document['name']}" + "".join(f" {name}=..." for name, need in rows if need == "needed")


def block(document: dict[str, Any]) -> Iterator[Piece]:
    """One block."""
    commit = document["commit"]
    signed = f"; signed by {_signers(commit.get('signer_names') or commit['signers'])}" if commit else ""
    proposer = document.get("proposer_name") or _validator(str(document["proposer"]))
    yield f"Block {document['height']} was proposed by {proposer}, {instant(document['time_ms'])}{signed}."
    batches = plural(len(document["batches"]), "batch", "batches")
    yield Facts(
        [
            ("id", document["id"]),
            ("parent", document["parent"]),
            ("app hash", document["app_hash"]),
            ("round", str(document["round"])),
            ("holds", f"{plural(len(document['txs']), 'transaction')} in {batches}"),
        ]
    )
    if document["txs"]:
        yield Table(
            ("TRANSACTION", "STATUS", "KINDS"),
            [(short(entry["tx"]), entry["status"], _counted(entry["kinds"])) for entry in document["txs"]],
        )
    if document["paid"]:
        yield Table(
            ("PAID TO", "FOR", "LAYER", "AMOUNT"),
            [
                (str(entry["party"]), short(entry["asset"]), str(entry["layer"] or "-"), beat(entry["amount_ubeat"]))
                for entry in document["paid"]
            ],
            frozenset({"AMOUNT"}),
        )
