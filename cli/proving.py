"""The verdict on a proof document, whatever it proves, as it is printed."""

from __future__ import annotations

import base64
from typing import Any

from concento.errors import Rejected
from concento.genesis import Genesis
from concento.light import Proved, ProvedReceipt, verify_proof, verify_receipt_proof
from concento.statekeys import RECEIPT


def verify_document(document: Any, genesis: Genesis) -> dict[str, Any]:
    """`{ok, height, key, value?, signers, validators}`. Raises Rejected proof.invalid or commit.invalid."""
    if not isinstance(document, dict):
        raise Rejected("proof.invalid", reason="it is not an object")
    key = document.get("key")
    is_receipt = isinstance(key, str) and key.startswith(RECEIPT + "/")
    proved: Proved | ProvedReceipt = (verify_receipt_proof if is_receipt else verify_proof)(document, genesis)
    return {
        "ok": True,
        "height": proved.height,
        "key": proved.key,
        "value": None if proved.value is None else base64.b64encode(proved.value).decode("ascii"),
        "signers": proved.signers,
        "validators": proved.validators,
    }
