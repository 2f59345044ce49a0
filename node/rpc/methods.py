"""Every method that the node answers, in one table. Parameters, results and runs stand in the files by namespace."""

from __future__ import annotations

from typing import Final

from node.rpc.chain_methods import CHAIN_METHODS, DEVELOPMENT_METHODS, NODE_METHODS
from node.rpc.dispatch import Method
from node.rpc.dispute_methods import DISPUTE_METHODS
from node.rpc.governance_methods import GOVERNANCE_METHODS
from node.rpc.ledger_methods import (
    ACCOUNT_METHODS,
    ASSET_METHODS,
    EARNINGS_METHODS,
    LICENCE_METHODS,
    RECEIPT_METHODS,
)
from node.rpc.proof_methods import PROOF_METHODS
from node.rpc.share_methods import SHARE_METHODS
from node.rpc.tx_methods import TX_METHODS

METHODS: Final[tuple[Method, ...]] = (
    *NODE_METHODS,
    *CHAIN_METHODS,
    *ACCOUNT_METHODS,
    *ASSET_METHODS,
    *LICENCE_METHODS,
    *RECEIPT_METHODS,
    *EARNINGS_METHODS,
    *DISPUTE_METHODS,
    *GOVERNANCE_METHODS,
    *SHARE_METHODS,
    *PROOF_METHODS,
    *TX_METHODS,
)

DEV_METHODS: Final[tuple[Method, ...]] = DEVELOPMENT_METHODS
"""Answered only where genesis says `dev: true`."""
