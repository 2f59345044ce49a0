"""The verdict on a proof document, whatever it proves, as it is printed."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from concento.encoding import decode, encode
from concento.errors import Rejected
from concento.genesis import Genesis
from concento.light import Proved, ProvedReceipt, Trust, verify_proof, verify_receipt_proof
from concento.statekeys import RECEIPT


def verify_document(document: Any, genesis: Genesis, home: Path | None = None) -> dict[str, Any]:
    """`{ok, height, key, value?, signers, validators}`. Raises Rejected proof.invalid or commit.invalid.

    With a home, what is learnt of the validators is kept there, so that no older set can deceive this machine later.
    """
    if not isinstance(document, dict):
        raise Rejected("proof.invalid", reason="it is not an object")
    key = document.get("key")
    is_receipt = isinstance(key, str) and key.startswith(RECEIPT + "/")
    trust = None if home is None else read_trust(home, genesis)
    proved: Proved | ProvedReceipt = (verify_receipt_proof if is_receipt else verify_proof)(document, genesis, trust)
    if home is not None and proved.trust is not None and proved.trust != trust:
        write_trust(home, genesis, proved.trust)
    return {
        "ok": True,
        "height": proved.height,
        "key": proved.key,
        "value": None if proved.value is None else base64.b64encode(proved.value).decode("ascii"),
        "signers": proved.signers,
        "validators": proved.validators,
    }


def read_trust(home: Path, genesis: Genesis) -> Trust | None:
    """How far this machine has followed the validators of a network. Raises Rejected where that cannot be read."""
    path = _trust_path(home, genesis)
    try:
        return decode(Trust, path.read_bytes(), "trusted set")
    except FileNotFoundError:
        return None
    except (OSError, Rejected) as error:
        raise Rejected("proof.trust_damaged", path=str(path), reason=str(error)) from None


def write_trust(home: Path, genesis: Genesis, trust: Trust) -> None:
    """Keeps it, whole or not at all."""
    path = _trust_path(home, genesis)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    partial.write_bytes(encode(trust))
    partial.replace(path)


def _trust_path(home: Path, genesis: Genesis) -> Path:
    return home / "trust" / genesis.hash.hex()
