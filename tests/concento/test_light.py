"""The light client: a proof convinces with the genesis alone, and no forged variant of it does."""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from concento.blocks import Header, block_id
from concento.development import development_seed
from concento.devnet import development_genesis
from concento.encoding import decode, encode
from concento.errors import Rejected
from concento.keys import public_key, sign
from concento.light import (
    AccountValue,
    account_value,
    verify_proof,
)
from concento.messages.tokens import Transfer
from concento.statekeys import state_key
from concento.validators import Validator, ValidatorSet
from concento.votes import Commit, CommitSignature, VoteType, vote_bytes
from state.modules.assets import ASSETS
from state.modules.identity import ACCOUNTS, PARTIES, Account
from state.modules.licences import LICENCES
from state.modules.offers import OFFERS
from state.queries import Chain
from state.queries_proofs import claim_of, proof_get
from support.ledger import BEAT, account_of
from support.node import DecidedNode

Document = dict[str, Any]


def chain_of(node: DecidedNode) -> Chain:
    return Chain(node.store, node.tree, node.genesis)


def proof_of(node: DecidedNode, key: str) -> Document:
    """A proof document as a node would answer it."""
    claim = claim_of(chain_of(node), key)
    node.block()
    return proof_get(chain_of(node), claim)


@pytest.fixture(scope="module")
def node() -> DecidedNode:
    made = DecidedNode()
    made.run("bob", Transfer(account_of("carol"), 5 * BEAT))
    made.run("bob", Transfer(account_of("dana"), 7 * BEAT))
    return made


@pytest.fixture(scope="module")
def document(node: DecidedNode) -> Document:
    return proof_of(node, "account/carol")


def test_a_proof_convinces_with_the_genesis_alone(node: DecidedNode, document: Document) -> None:
    proved = verify_proof(document, development_genesis())
    assert (proved.signers, proved.validators) == (3, 4)
    assert proved.height == document["height"]
    assert account_value(proved.value).balance_ubeat == node.balance("carol") == 10_005 * BEAT


def test_a_proof_of_absence_convinces_too(node: DecidedNode) -> None:
    nobody = chain_of(node).address(account_of("nobody"))
    proved = verify_proof(proof_of(node, f"account/{nobody}"), node.genesis)
    assert proved.value is None
    assert account_value(proved.value).balance_ubeat == 0


def test_an_idle_chain_proves_with_its_newest_header(node: DecidedNode) -> None:
    node.block()
    claim = claim_of(chain_of(node), "account/carol")
    found = proof_get(chain_of(node), claim)
    assert found["height"] == node.height - 1
    verify_proof(found, node.genesis)


def test_the_account_record_is_read_as_the_ledger_writes_it() -> None:
    written = encode(Account(17, None))
    assert decode(AccountValue, written) == AccountValue(17, None)


def test_keys_of_proofs_are_those_of_the_ledger() -> None:
    address = "tconc1qzck28s36kqrswn950pfa58qwxmn87trsf5r37wg8cm62mfdvhm4cv7kkfx"
    account = account_of("carol")
    assert state_key(f"account/{address}", dev=True) == ACCOUNTS.key(account)
    assert state_key(f"party/{address}", dev=True) == PARTIES.key(account)
    for kind, table in (("asset", ASSETS), ("offer", OFFERS), ("licence", LICENCES)):
        assert state_key(f"{kind}/{'ab' * 32}", dev=True) == table.key(b"\xab" * 32)


# Forgeries


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def with_value(document: Document) -> None:
    document["value"] = _text(encode(Account(10**15, None)))


def without_value(document: Document) -> None:
    document["value"] = None


def with_another_key(document: Document) -> None:
    document["key"] = "account/tconc1qqvarj58frgay5jgzph4nujpque0kffx2vewn594pdelcmmezf6dqteysjh"


def with_changed_node(document: Document) -> None:
    node = bytearray.fromhex(document["nodes"][-1])
    node[-1] ^= 1
    document["nodes"][-1] = node.hex()


def without_last_node(document: Document) -> None:
    document["nodes"].pop()


def with_extra_node(document: Document) -> None:
    document["nodes"].append(document["nodes"][-1])


def with_upper_case_node(document: Document) -> None:
    document["nodes"][0] = document["nodes"][0].upper()


def with_other_height(document: Document) -> None:
    document["height"] += 1


def with_changed_header(**changes: Any) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        header = decode(Header, _bytes(document["header"]))
        document["header"] = _text(encode(msgspec.structs.replace(header, **changes)))

    return change


def change_commit(document: Document, change: Callable[[Commit], Commit]) -> None:
    document["commit"] = _text(encode(change(decode(Commit, _bytes(document["commit"])))))


def with_two_signatures(document: Document) -> None:
    change_commit(document, lambda commit: msgspec.structs.replace(commit, signatures=commit.signatures[:2]))


def with_a_repeated_signature(document: Document) -> None:
    change_commit(
        document,
        lambda commit: msgspec.structs.replace(commit, signatures=(*commit.signatures[:2], commit.signatures[1])),
    )


def with_a_bad_signature(document: Document) -> None:
    def spoil(commit: Commit) -> Commit:
        first = commit.signatures[0]
        spoilt = CommitSignature(first.index, first.signature[:-1] + bytes((first.signature[-1] ^ 1,)))
        return msgspec.structs.replace(commit, signatures=(spoilt, *commit.signatures[1:]))

    change_commit(document, spoil)


def with_an_unknown_signer(document: Document) -> None:
    def renumber(commit: Commit) -> Commit:
        last = commit.signatures[-1]
        return msgspec.structs.replace(commit, signatures=(*commit.signatures[:-1], CommitSignature(7, last.signature)))

    change_commit(document, renumber)


def with_another_round(document: Document) -> None:
    change_commit(document, lambda commit: msgspec.structs.replace(commit, round=1))


def with_a_commit_of_strangers(document: Document) -> None:
    """Four other keys sign the same header: they validate nothing here."""
    genesis = development_genesis()
    header = decode(Header, _bytes(document["header"]))
    message = vote_bytes(genesis.network, VoteType.PRECOMMIT, header.height, 0, block_id(header))
    signatures = tuple(CommitSignature(index, sign(bytes((index,)) * 32, message)) for index in range(4))
    document["commit"] = _text(encode(Commit(header.height, 0, block_id(header), signatures)))


def with_a_handover_to_strangers(document: Document) -> None:
    """Strangers take over by a header that they have signed themselves."""
    genesis = development_genesis()
    seeds = [bytes((number,)) * 32 for number in range(1, 5)]
    strangers = ValidatorSet(Validator(public_key(seed), f"s{seed[0]}", bytes(32)) for seed in seeds)
    header = decode(Header, _bytes(document["header"]))
    change = msgspec.structs.replace(header, height=1, next_validators_hash=strangers.hash)
    by_key = {public_key(seed): seed for seed in seeds}

    def signed(of: Header) -> Commit:
        message = vote_bytes(genesis.network, VoteType.PRECOMMIT, of.height, 0, block_id(of))
        entries = tuple(CommitSignature(index, sign(by_key[key], message)) for index, key in enumerate(strangers.keys))
        return Commit(of.height, 0, block_id(of), entries)

    forged = msgspec.structs.replace(header, validators_hash=strangers.hash)
    document["header"], document["commit"] = _text(encode(forged)), _text(encode(signed(forged)))
    document["handovers"] = [
        {
            "header": _text(encode(change)),
            "commit": _text(encode(signed(change))),
            "validators": _text(encode(strangers.members)),
        }
    ]


def of_another_chain(document: Document) -> None:
    document["chain_id"] = "concento-dev-2"


def of_another_genesis(document: Document) -> None:
    document["genesis_hash"] = "00" * 32


def of_another_engine(document: Document) -> None:
    document["engine"] = "comet"


def of_another_format(document: Document) -> None:
    document["format"] = "concento-proof-2"


FORGERIES = [
    with_value,
    without_value,
    with_another_key,
    with_changed_node,
    without_last_node,
    with_extra_node,
    with_upper_case_node,
    with_other_height,
    with_two_signatures,
    with_a_repeated_signature,
    with_a_bad_signature,
    with_an_unknown_signer,
    with_another_round,
    with_a_commit_of_strangers,
    with_a_handover_to_strangers,
    of_another_chain,
    of_another_genesis,
    of_another_engine,
    of_another_format,
]


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda forge: forge.__name__)
def test_a_forged_proof_is_refused(forge: Callable[[Document], None], document: Document) -> None:
    forged = copy.deepcopy(document)
    forge(forged)
    assert forged != document
    with pytest.raises(Rejected) as refusal:
        verify_proof(forged, development_genesis())
    assert refusal.value.kind in ("proof.invalid", "commit.invalid")


@pytest.mark.parametrize(
    "changes",
    [
        {"app_hash": bytes(32)},
        {"height": 1},
        {"time_ms": 0},
        {"validators_hash": bytes(32)},
        {"chain_id": "concento-dev-2"},
        {"results_root": bytes(32)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_header_with_any_field_changed_is_refused(changes: dict[str, Any], document: Document) -> None:
    forged = copy.deepcopy(document)
    with_changed_header(**changes)(forged)
    with pytest.raises(Rejected) as refusal:
        verify_proof(forged, development_genesis())
    assert refusal.value.kind in ("proof.invalid", "commit.invalid")


@pytest.mark.parametrize("field", ["format", "key", "value", "nodes", "header", "commit", "handovers", "height"])
@pytest.mark.parametrize("value", [7, "!", [], {}, True, "gibberish"])
def test_a_malformed_document_is_refused_and_never_fails_otherwise(field: str, value: Any, document: Document) -> None:
    if (field, value) == ("handovers", []):
        return
    with pytest.raises(Rejected):
        verify_proof({**document, field: value}, development_genesis())


def test_a_document_without_a_field_is_refused(document: Document) -> None:
    for field in document:
        if field != "receipt":
            with pytest.raises(Rejected):
                verify_proof({name: value for name, value in document.items() if name != field}, development_genesis())


def test_a_genuine_proof_of_another_network_is_refused(document: Document) -> None:
    with pytest.raises(Rejected):
        verify_proof(document, development_genesis(time_ms=1))


# Handovers


@pytest.fixture(scope="module")
def shrunk() -> tuple[DecidedNode, Document]:
    """Five validators, one of which was removed for signing twice: a proof from after the change."""
    genesis = development_genesis(nodes=5)
    made = DecidedNode(genesis)
    made.block(evidence=((public_key(development_seed("node5")), 1),))
    for _ in range(3):
        made.run("bob", Transfer(account_of("carol"), BEAT))
    return made, proof_of(made, "account/carol")


def test_a_proof_follows_a_change_of_the_validators(shrunk: tuple[DecidedNode, Document]) -> None:
    made, document = shrunk
    assert len(document["handovers"]) == 1
    proved = verify_proof(document, made.genesis)
    assert proved.validators == 4
    assert account_value(proved.value).balance_ubeat == made.balance("carol")


def test_a_handover_that_is_missing_repeated_or_late_is_refused(shrunk: tuple[DecidedNode, Document]) -> None:
    made, document = shrunk
    handover = document["handovers"][0]
    for handovers in ([], [handover, handover]):
        with pytest.raises(Rejected):
            verify_proof({**document, "handovers": handovers}, made.genesis)


def test_a_handover_to_another_set_than_its_header_names_is_refused(shrunk: tuple[DecidedNode, Document]) -> None:
    made, document = shrunk
    members = _text(encode(made.genesis.validators.members[:4]))
    with pytest.raises(Rejected):
        verify_proof({**document, "handovers": [{**document["handovers"][0], "validators": members}]}, made.genesis)


def test_a_handover_with_too_few_signatures_is_refused(shrunk: tuple[DecidedNode, Document]) -> None:
    made, document = shrunk
    handover = copy.deepcopy(document["handovers"][0])
    with_two_signatures(handover)
    with pytest.raises(Rejected):
        verify_proof({**document, "handovers": [handover]}, made.genesis)
