"""Every way to forge what a light client is given: each part of each thing, changed, left out, taken from elsewhere."""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from concento.blocks import Header, block_id
from concento.development import development_seed
from concento.devnet import development_genesis
from concento.encoding import decode, encode
from concento.errors import Rejected
from concento.genesis import PROTOCOL
from concento.hashing import Network
from concento.keys import sign
from concento.light import Trust, verify_proof
from concento.messages.governance import AddValidator, AdmitObserver, Approve, Change, Propose, RemoveValidator
from concento.messages.tokens import Transfer
from concento.transactions import object_id
from concento.validators import Validator, ValidatorSet
from concento.votes import Commit, CommitSignature, VoteType, vote_bytes
from state.modules.identity import Account
from state.queries import Chain
from state.queries_proofs import claim_of, proof_get
from state.validators import newest_set
from support.ledger import BEAT, account_of, key_of
from support.node import DecidedNode

Document = dict[str, Any]
HOUR_MS = 3_600_000


class Consortium(DecidedNode):
    """A chain whose set changed three times: node7 came, node1 went, node8 came. Six, seven, six, seven decide."""

    def __init__(self) -> None:
        super().__init__(development_genesis(nodes=6))
        names = [f"node{number}" for number in range(1, 9)]
        for name in names:
            self.run("treasury", Transfer(account_of(name), 10 * BEAT))
        for change in (
            AdmitObserver(key_of("node7"), "node7", account_of("node7")),
            AdmitObserver(key_of("node8"), "node8", account_of("node8")),
            AddValidator(key_of("node7")),
            RemoveValidator(key_of("node1")),
            AddValidator(key_of("node8")),
        ):
            self.decide_on(change)
            self.block()
            self.block()

    def decide_on(self, change: Change) -> None:
        speakers = [member.name for member in newest_set(self.view()).members]
        transaction = self.tx(speakers[0], Propose(change, self.time_ms + HOUR_MS))
        self.block(transaction)
        proposal = object_id("proposal", account_of(speakers[0]), transaction.body.nonce, 0)
        outcome = self.block(*(self.tx(name, Approve(proposal)) for name in speakers[1:]))
        assert "governance.accepted" in [event.kind for event in outcome.closing]


def proof_of(node: DecidedNode, key: str) -> Document:
    """What the node would answer, one block later."""
    claim = claim_of(Chain(node.store, node.tree, node.genesis), key)
    node.block()
    return proof_get(Chain(node.store, node.tree, node.genesis), claim)


YOUNG = DecidedNode(development_genesis(nodes=6))
FIRST = proof_of(YOUNG, "account/carol")
NODE = Consortium()
GENESIS = NODE.genesis
DOCUMENT = proof_of(NODE, "account/carol")
EARLIER = copy.deepcopy(DOCUMENT)
NODE.run("bob", Transfer(account_of("carol"), BEAT))
DOCUMENT = proof_of(NODE, "account/carol")
OTHER = proof_of(NODE, "account/dana")
ABSENT = proof_of(NODE, f"account/{Chain(NODE.store, NODE.tree, GENESIS).address(account_of('nobody'))}")


def raw(text: str) -> bytes:
    return base64.b64decode(text)


def text(value: object) -> str:
    return base64.b64encode(encode(value)).decode()


def header_of(part: Document) -> Header:
    return decode(Header, raw(part["header"]))


def commit_of(part: Document) -> Commit:
    return decode(Commit, raw(part["commit"]))


def members_of(part: Document) -> tuple[Validator, ...]:
    return decode(tuple[Validator, ...], raw(part["validators"]))


def signed(
    header: Header,
    validators: ValidatorSet,
    names: list[str],
    network: Network = GENESIS.network,
    kind: VoteType = VoteType.PRECOMMIT,
) -> Commit:
    """What these members sign for a header, true or not."""
    identity = block_id(header)
    message = vote_bytes(network, kind, header.height, 0, identity)
    entries = tuple(
        CommitSignature(index, sign(development_seed(member.name), message))
        for index, member in enumerate(validators.members)
        if member.name in names
    )
    return Commit(header.height, 0, identity, entries)


def set_before(place: int) -> ValidatorSet:
    """Who decides the header of this handover; of the last place, the header of the proof itself."""
    if place == 0:
        return GENESIS.validators
    return ValidatorSet(members_of(DOCUMENT["handovers"][place - 1]))


PLACES = range(len(DOCUMENT["handovers"]) + 1)


def part(document: Document, place: int) -> Document:
    """The handover at this place, or behind the last one the proof's own header and commit."""
    handovers = document["handovers"]
    found: Document = handovers[place] if place < len(handovers) else document
    return found


def is_refused(document: Document) -> None:
    with pytest.raises(Rejected) as refusal:
        verify_proof(document, GENESIS)
    assert refusal.value.kind in ("proof.invalid", "commit.invalid")


def forged(change: Callable[[Document], None]) -> None:
    document = copy.deepcopy(DOCUMENT)
    change(document)
    assert document != DOCUMENT
    is_refused(document)


def test_the_genuine_proof_holds_over_three_handovers() -> None:
    assert len(DOCUMENT["handovers"]) == 3
    assert [len(set_before(place)) for place in PLACES] == [6, 7, 6, 7]
    proved = verify_proof(DOCUMENT, GENESIS)
    assert (proved.validators, proved.signers) == (7, 5)
    assert verify_proof(ABSENT, GENESIS).value is None
    assert verify_proof(EARLIER, GENESIS).value != proved.value


# Headers


def other_value(value: Any) -> Any:
    match value:
        case str():
            return value + "x"
        case int():
            return value + 1
        case _:
            return bytes([value[0] ^ 1]) + value[1:]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("field", Header.__struct_fields__)
def test_a_header_with_any_field_changed(place: int, field: str) -> None:
    def change(document: Document) -> None:
        found = part(document, place)
        header = header_of(found)
        found["header"] = text(replace(header, **{field: other_value(getattr(header, field))}))

    forged(change)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("field", Header.__struct_fields__)
def test_a_changed_header_that_a_minority_signs(place: int, field: str) -> None:
    """As many as can be faulty sign the forged header, and its commit is theirs."""

    def change(document: Document) -> None:
        found, validators = part(document, place), set_before(place)
        header = header_of(found)
        header = replace(header, **{field: other_value(getattr(header, field))})
        names = [member.name for member in validators.members[: validators.faults_max]]
        found["header"], found["commit"] = text(header), text(signed(header, validators, names))

    forged(change)


def test_a_header_of_a_protocol_that_nobody_here_knows() -> None:
    """Even with all signatures: what its fields mean is not known."""

    def change(document: Document) -> None:
        validators = set_before(3)
        header = replace(header_of(document), protocol=PROTOCOL + 1)
        names = [member.name for member in validators.members]
        document["header"], document["commit"] = text(header), text(signed(header, validators, names))

    forged(change)


# Commits


def first(commit: Commit, count: int) -> Commit:
    return replace(commit, signatures=commit.signatures[:count])


def resigned(commit: Commit, index: int, signature: bytes) -> Commit:
    entries = list(commit.signatures)
    entries[index] = CommitSignature(entries[index].index, signature)
    return replace(commit, signatures=tuple(entries))


def flipped(signature: bytes, at: int) -> bytes:
    return signature[:at] + bytes([signature[at] ^ 1]) + signature[at + 1 :]


COMMITS: dict[str, Callable[[Commit], Commit]] = {
    "none signed": lambda commit: first(commit, 0),
    "one signed": lambda commit: first(commit, 1),
    "one too few": lambda commit: first(commit, len(commit.signatures) - 1),
    "one twice": lambda commit: replace(commit, signatures=(*commit.signatures[:-1], commit.signatures[0])),
    "one twice in order": lambda commit: replace(commit, signatures=(commit.signatures[0], *commit.signatures[:-1])),
    "unsorted": lambda commit: replace(commit, signatures=commit.signatures[::-1]),
    "an unknown signer": lambda commit: replace(
        commit, signatures=(*commit.signatures[:-1], CommitSignature(99, commit.signatures[-1].signature))
    ),
    "signatures exchanged": lambda commit: resigned(
        resigned(commit, 0, commit.signatures[1].signature), 1, commit.signatures[0].signature
    ),
    "a bit of R": lambda commit: resigned(commit, 2, flipped(commit.signatures[2].signature, 0)),
    "a bit of S": lambda commit: resigned(commit, 2, flipped(commit.signatures[2].signature, 40)),
    "an empty signature": lambda commit: resigned(commit, 2, bytes(64)),
    "another round": lambda commit: replace(commit, round=commit.round + 1),
    "another height": lambda commit: replace(commit, height=commit.height + 1),
    "another block": lambda commit: replace(commit, block_id=flipped(commit.block_id, 0)),
    "nil": lambda commit: replace(commit, block_id=b""),
    "half an id": lambda commit: replace(commit, block_id=commit.block_id[:16]),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", COMMITS)
def test_a_commit_that_is_no_quorum_of_the_set_for_this_block(place: int, name: str) -> None:
    def change(document: Document) -> None:
        found = part(document, place)
        found["commit"] = text(COMMITS[name](commit_of(found)))

    forged(change)


@pytest.mark.parametrize("place", PLACES)
def test_exactly_two_thirds(place: int) -> None:
    validators = set_before(place)
    two_thirds = len(validators) * 2 // 3

    def change(document: Document) -> None:
        found = part(document, place)
        names = [member.name for member in validators.members[:two_thirds]]
        found["commit"] = text(signed(header_of(found), validators, names))

    forged(change)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("change_of", ["prevotes", "another chain", "another genesis"])
def test_signatures_for_something_else(place: int, change_of: str) -> None:
    validators = set_before(place)
    names = [member.name for member in validators.members]
    network, kind = GENESIS.network, VoteType.PRECOMMIT
    match change_of:
        case "prevotes":
            kind = VoteType.PREVOTE
        case "another chain":
            network = Network("another-chain-1", GENESIS.hash)
        case _:
            network = Network(GENESIS.chain_id, bytes(32))

    def change(document: Document) -> None:
        found = part(document, place)
        found["commit"] = text(signed(header_of(found), validators, names, network, kind))

    forged(change)


@pytest.mark.parametrize("away", [-1, 1])
def test_a_genuine_commit_of_the_block_before_or_behind(away: int) -> None:
    height = header_of(DOCUMENT).height + away

    def change(document: Document) -> None:
        document["commit"] = text(NODE.commits[height])

    forged(change)


def test_a_genuine_header_and_commit_of_another_height() -> None:
    for height in (1, header_of(DOCUMENT).height - 1):

        def change(document: Document, height: int = height) -> None:
            document["header"], document["commit"] = text(NODE.headers[height - 1]), text(NODE.commits[height])

        forged(change)


# Handovers


@pytest.mark.parametrize("place", range(3))
def test_a_skipped_handover(place: int) -> None:
    forged(lambda document: document["handovers"].pop(place))


def test_all_handovers_skipped() -> None:
    forged(lambda document: document["handovers"].clear())


@pytest.mark.parametrize("pair", [(0, 1), (1, 2), (0, 2)])
def test_handovers_out_of_order(pair: tuple[int, int]) -> None:
    def change(document: Document) -> None:
        one, two = pair
        handovers = document["handovers"]
        handovers[one], handovers[two] = handovers[two], handovers[one]

    forged(change)


@pytest.mark.parametrize("place", range(3))
def test_a_handover_twice(place: int) -> None:
    forged(lambda document: document["handovers"].insert(place, document["handovers"][place]))


def test_a_handover_at_or_above_the_height_of_the_header() -> None:
    handover = DOCUMENT["handovers"][0]

    def change(document: Document) -> None:
        document.update(header=handover["header"], commit=handover["commit"])

    forged(change)


def other_members(members: tuple[Validator, ...]) -> Iterator[tuple[str, tuple[Validator, ...]]]:
    head, *rest = members
    yield "one fewer", tuple(rest)
    yield "one more", (*members, Validator(key_of("mallory"), "mallory", account_of("mallory")))
    yield "another key", (replace(head, key=key_of("mallory")), *rest)
    yield "another name", (replace(head, name="mallory"), *rest)
    yield "another account", (replace(head, rewards_to=account_of("mallory")), *rest)
    yield "one twice", (*members, head)
    yield "nobody", ()


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("number", range(7))
def test_a_handover_to_another_set_than_its_header_says(place: int, number: int) -> None:
    _, members = list(other_members(members_of(DOCUMENT["handovers"][place])))[number]

    def change(document: Document) -> None:
        document["handovers"][place]["validators"] = text(members)

    forged(change)


@pytest.mark.parametrize("place", range(3))
def test_a_handover_to_strangers_that_strangers_sign(place: int) -> None:
    """The new set may say of itself what it likes: only the old one hands over."""
    strangers = ValidatorSet(Validator(key_of(name), name, account_of(name)) for name in ("alice", "bob", "carol"))

    def change(document: Document) -> None:
        header = replace(header_of(document["handovers"][place]), next_validators_hash=strangers.hash)
        final = replace(header_of(document), validators_hash=strangers.hash)
        names = ["alice", "bob", "carol"]
        document["handovers"] = [
            *document["handovers"][:place],
            {
                "header": text(header),
                "commit": text(signed(header, strangers, names)),
                "validators": text(strangers.members),
            },
        ]
        document["header"], document["commit"] = text(final), text(signed(final, strangers, names))

    forged(change)


def test_a_handover_that_the_set_signs_which_has_handed_over_already() -> None:
    """The third handover, signed by all of the first set: their time is over."""
    old = GENESIS.validators

    def change(document: Document) -> None:
        found = document["handovers"][2]
        header = replace(header_of(found), validators_hash=old.hash)
        found["header"], found["commit"] = text(header), text(signed(header, old, [m.name for m in old.members]))

    forged(change)


def test_a_header_that_the_set_signs_which_has_handed_over() -> None:
    old = GENESIS.validators

    def change(document: Document) -> None:
        header = replace(header_of(document), validators_hash=old.hash)
        document["header"], document["commit"] = text(header), text(signed(header, old, [m.name for m in old.members]))

    forged(change)


def test_the_commit_of_one_handover_for_another() -> None:
    def change(document: Document) -> None:
        one, two, _ = document["handovers"]
        one["commit"], two["commit"] = two["commit"], one["commit"]

    forged(change)


# The record and its path


def test_a_record_under_another_name() -> None:
    forged(lambda document: document.update(key=OTHER["key"]))


def test_a_record_with_another_value() -> None:
    rich = base64.b64encode(encode(Account(10**15, None))).decode()
    forged(lambda document: document.update(value=rich))
    forged(lambda document: document.update(value=OTHER["value"]))
    forged(lambda document: document.update(value=EARLIER["value"]))
    forged(lambda document: document.update(value=""))


def test_a_record_that_is_there_told_as_absent() -> None:
    forged(lambda document: document.update(value=None))


def test_a_record_that_is_absent_told_as_there() -> None:
    document = {**copy.deepcopy(ABSENT), "value": DOCUMENT["value"]}
    is_refused(document)


def test_the_absence_of_one_for_the_absence_of_another() -> None:
    is_refused({**copy.deepcopy(DOCUMENT), "value": None, "nodes": ABSENT["nodes"]})
    is_refused({**copy.deepcopy(ABSENT), "key": DOCUMENT["key"]})


def test_the_path_of_another_record_or_time() -> None:
    for source in (OTHER, EARLIER, ABSENT):
        if source["nodes"] != DOCUMENT["nodes"]:
            is_refused({**copy.deepcopy(DOCUMENT), "value": source["value"], "nodes": source["nodes"]})


def test_an_old_proof_under_a_newer_header() -> None:
    newer = {name: DOCUMENT[name] for name in ("height", "header", "commit", "handovers")}
    is_refused({**copy.deepcopy(EARLIER), **newer})


@pytest.mark.parametrize("place", range(len(DOCUMENT["nodes"])))
def test_a_path_with_a_node_missing_doubled_or_changed(place: int) -> None:
    forged(lambda document: document["nodes"].pop(place))
    forged(lambda document: document["nodes"].insert(place, document["nodes"][place]))
    node = bytes.fromhex(DOCUMENT["nodes"][place])
    for at in {0, 1, len(node) // 2, len(node) - 1}:
        forged(lambda document, at=at: document["nodes"].__setitem__(place, flipped(node, at).hex()))
    for cut in (1, 32, 64):
        forged(lambda document, cut=cut: document["nodes"].__setitem__(place, node[:-cut].hex()))
    forged(lambda document: document["nodes"].__setitem__(place, (node + bytes(32)).hex()))


def test_a_path_without_nodes_or_out_of_order() -> None:
    forged(lambda document: document["nodes"].clear())
    if len(DOCUMENT["nodes"]) > 1:
        forged(lambda document: document["nodes"].reverse())


@pytest.mark.parametrize("away", [-1, 1, 1000])
def test_another_height_than_the_header_proves(away: int) -> None:
    forged(lambda document: document.update(height=document["height"] + away))


# The document


@pytest.mark.parametrize("field", ["format", "engine", "chain_id", "genesis_hash"])
def test_a_document_of_another_world(field: str) -> None:
    forged(lambda document: document.update({field: document[field][:-1] + "0"}))


def test_a_document_cut_anywhere() -> None:
    """Base64 of cut bytes decodes; what it holds must be whole."""
    for place in PLACES:
        for name in ("header", "commit", "validators"):
            if name not in part(DOCUMENT, place):
                continue
            whole = raw(part(DOCUMENT, place)[name])
            for size in (0, 1, len(whole) // 2, len(whole) - 1):
                document = copy.deepcopy(DOCUMENT)
                part(document, place)[name] = base64.b64encode(whole[:size]).decode()
                is_refused(document)
            document = copy.deepcopy(DOCUMENT)
            part(document, place)[name] = base64.b64encode(whole + b"\x00").decode()
            is_refused(document)


# What is kept


def by_former_validators(document: Document) -> Document:
    """A second history, later than everything, that all of the first set sign: long after they have handed over."""
    old = GENESIS.validators
    header = replace(header_of(document), height=10_000, validators_hash=old.hash, next_validators_hash=old.hash)
    commit = signed(header, old, [member.name for member in old.members])
    return {**document, "height": 9_999, "header": text(header), "commit": text(commit), "handovers": []}


def test_who_has_followed_the_chain_is_not_led_astray_by_a_set_that_has_handed_over() -> None:
    second_history = by_former_validators(DOCUMENT)
    # With genesis alone nobody could tell: most of the keys that genesis names have signed it.
    verify_proof(second_history, GENESIS)
    trust = verify_proof(DOCUMENT, GENESIS).trust
    assert trust is not None
    with pytest.raises(Rejected) as refusal:
        verify_proof(second_history, GENESIS, trust)
    assert refusal.value.kind == "proof.invalid"


def test_trust_goes_on_from_where_it_is_and_never_back() -> None:
    trust = verify_proof(DOCUMENT, GENESIS).trust
    assert trust is not None
    assert trust.height == header_of(DOCUMENT["handovers"][-1]).height
    assert ValidatorSet(trust.members) == set_before(3)
    # What was followed once need not be shown again, and may be.
    assert verify_proof({**DOCUMENT, "handovers": []}, GENESIS, trust) == verify_proof(DOCUMENT, GENESIS, trust)
    part_way = Trust(header_of(DOCUMENT["handovers"][0]).height, members_of(DOCUMENT["handovers"][0]))
    assert verify_proof(DOCUMENT, GENESIS, part_way).trust == trust
    assert verify_proof({**DOCUMENT, "handovers": DOCUMENT["handovers"][1:]}, GENESIS, part_way).trust == trust
    # A header from before is judged from genesis, and takes nothing away.
    early = FIRST
    assert verify_proof(early, GENESIS).trust == Trust(0, GENESIS.validators.members)
    assert verify_proof(early, GENESIS, trust).trust == trust


def test_trust_in_a_set_that_never_was_proves_nothing() -> None:
    strangers = Trust(1, ValidatorSet([Validator(key_of("mallory"), "mallory", account_of("mallory"))]).members)
    with pytest.raises(Rejected):
        verify_proof(DOCUMENT, GENESIS, strangers)
