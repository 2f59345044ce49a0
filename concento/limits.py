"""Every size, count and window of the protocol that genesis does not set, each with its reason.

What two constants must satisfy together is checked at import: a node with inconsistent limits does not start.
"""

from __future__ import annotations

from typing import Final

from concento.errors import Broken

KIB: Final = 1024
"""Bytes."""
MIB: Final = 1024 * KIB
"""Bytes."""

# Transactions
TRANSACTION_BYTES_MAX: Final = 64 * KIB
"""Registers some 150 recordings at once; one decode stays below a millisecond."""
TRANSACTION_ACTIONS_MAX: Final = 64
"""Atomic work of one transaction: bounds its journal and its events."""
TRANSACTION_SIGNATURES_MAX: Final = 16
"""As many as the largest policy has keys."""
MEMO_BYTES_MAX: Final = 256
"""A remark for people; data belongs into content-addressed files."""

# Batches and blocks
BATCH_BYTES_MAX: Final = 256 * KIB
"""One batch is one disk append and one frame; 10 ms on a 200 Mbit/s link."""
BATCH_TRANSACTIONS_MAX: Final = 1_000
"""Cost per transaction stops falling at about 500."""
BLOCK_BYTES_MAX: Final = 4 * MIB
"""The sum of a block's batch bodies: a block executes well within a propose timeout."""
BLOCK_BATCHES_MAX: Final = 256
"""Batch ids in one block: at 10 ms a block and one transaction a batch, still more than a second of work."""
BLOCK_EVIDENCE_MAX: Final = 16
"""Evidence is rare; one entry has at most 500 bytes."""

# Validators
VALIDATORS_MAX: Final = 128
"""Votes are all-to-all and every validator checks every vote."""
OBSERVERS_MAX: Final = 128
"""Nodes that are admitted without a vote: each holds a connection at every validator."""

# Governance
PROPOSAL_MS_MAX: Final = 90 * 86_400_000
"""How long after block time a proposal may end: what nobody wants for a quarter is proposed anew."""
PROPOSALS_OPEN_MAX: Final = 8
"""Open proposals of one account: nobody crowds out the others."""

# Peers
FRAME_BYTES_MAX: Final = 5 * MIB
"""The largest frame: a proposal that carries all its batch bodies, with room for its last commit."""
HANDSHAKE_BYTES_MAX: Final = 1 * KIB
"""What is read from a peer that has not proved who it is."""
HANDSHAKE_MS_MAX: Final = 3_000
"""How long a peer may take to prove who it is: three slow round trips."""

# RPC
RPC_BODY_BYTES_MAX: Final = 5 * MIB
"""One request: a full batch of transactions, in base64, with room."""
RPC_BODY_COMMAS_MAX: Final = 70_000
"""Values of one request in JSON, counted before it is read: a body of empty lists makes a node busy for a second and
takes thirty times its bytes. As many as one array of MessagePack may have."""
RPC_ANSWER_BYTES_MAX: Final = 25 * MIB
"""One answer: 200 items of the largest kind, with room."""
RPC_BATCH_ITEMS_MAX: Final = 100
"""Calls of one batch: as much as a page of an application asks for at once."""
PAGE_ITEMS: Final = 50
"""Items of a page where nothing else is asked for: a screen."""
PAGE_ITEMS_MAX: Final = 200
"""Items of a page at most: a fast answer even where each item is a proof."""

# Ledger texts and lists
TITLE_BYTES_MAX: Final = 200
"""A long title of a classical work, with its movement."""
NAME_BYTES_MAX: Final = 64
"""The name of a party or of a node."""
TAGS_MAX: Final = 16
"""Tags of one asset: each is an entry of an index."""
TAG_BYTES_MAX: Final = 32
"""One or two words."""
PATH_BYTES_MAX: Final = 255
"""The longest file name of common file systems."""
PARTS_MAX: Final = 16
"""Files of one recording: mix, stems, lyrics."""
SPLIT_ROWS_MAX: Final = 64
"""Rows of a split table: one page, paid in the block of the payment."""
LEGS_MAX: Final = 8
"""Works of one recording, and its own table: a medley."""
MEMBERS_PER_ACTION_MAX: Final = 1_000
"""Members that one AddMembers names: 34 bytes each fit a transaction."""
VAULT_ROWS_PER_ACTION_MAX: Final = 1_000
"""Rows that one OpenVault or AddVaultRows names: 42 bytes each fit a transaction."""
BODIES_PER_ANCHOR_MAX: Final = 64
"""Receipts whose bodies ride inline in the anchoring transaction."""
USAGE_ROWS_MAX: Final = 4_096
"""Rows of one PostUsage: some 10 bytes each fit a transaction."""
LANES_MAX: Final = 64
"""Open lanes of one licence: parallel readers, each with its own key."""

# Lineage
PARENTS_MAX: Final = 64
"""Direct parents of one asset: a work of more sources names a dataset of them."""
ANCESTORS_MAX: Final = 1_024
"""Distinct ancestors of an asset when it is linked: bounds the pass below it, which visits each once."""
DEPTH_MAX: Final = 256
"""Links of the longest line of descent when an asset is linked."""
CLAIMS_MAX: Final = 32
"""Distinct ancestors with an absolute claim on one asset: each is paid at every sale of it."""
WORKS_MAX: Final = 64
"""Works behind one remix: as many as it may have parents; each is a leg that every sale of it pays."""
TIERS_MAX: Final = 8
"""Steps of a volume price."""

# Replay protection
IDS_FORGOTTEN_PER_BLOCK_MAX: Final = 8
"""Heights whose transaction ids are dropped in one block: bounds the clean-up after a long pause."""

_PROPOSAL_ROOM: Final = 128 * KIB

if BLOCK_BYTES_MAX + _PROPOSAL_ROOM > FRAME_BYTES_MAX:
    raise Broken("a largest block does not fit one frame")
if TRANSACTION_BYTES_MAX > BATCH_BYTES_MAX or BATCH_BYTES_MAX > BLOCK_BYTES_MAX:
    raise Broken("a largest transaction does not fit a batch, or a batch a block")
if VALIDATORS_MAX * 80 + BLOCK_BATCHES_MAX * 34 > _PROPOSAL_ROOM:
    raise Broken("a commit and the batch ids do not fit the room beside the bodies")
