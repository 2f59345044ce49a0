"""Transactions are bound to their network, named by their body, and have one form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concento.accounts import account_of_key
from concento.batches import Batch, BatchHeader, batch_check, cut_batch, decode_batch, pick
from concento.encoding import encode
from concento.errors import Rejected
from concento.hashing import Network
from concento.keys import public_key, sign, verify, verify_many
from concento.limits import MEMO_BYTES_MAX, TRANSACTION_BYTES_MAX
from concento.messages import kind_of
from concento.messages.receipts import AnchorReceipts, SignedVoucher, Voucher, voucher_bytes
from concento.messages.tokens import Transfer
from concento.transactions import (
    Body,
    Signed,
    check_network,
    decode_transaction,
    licence_id,
    object_id,
    sign_transaction,
    signature_checks,
)

NETWORK = Network("test-chain", b"\x05" * 32)
SEED, OTHER_SEED = b"\x01" * 32, b"\x02" * 32
SENDER = account_of_key(public_key(SEED))


def body(**changes: object) -> Body:
    fields: dict[str, object] = {
        "chain_id": "test-chain",
        "genesis_prefix": NETWORK.genesis_hash[:8],
        "sender": SENDER,
        "nonce": b"\x07" * 16,
        "valid_until_ms": 1_000,
        "max_fee_ubeat": 500,
        "actions": (Transfer(b"\x09" * 32, 5),),
        "memo": "",
    }
    return Body(**(fields | changes))


def test_a_signed_transaction_verifies_and_decodes_to_itself() -> None:
    transaction = sign_transaction(NETWORK, body(), [SEED])
    assert verify_many(signature_checks(NETWORK, transaction)) == [True]
    assert decode_transaction(transaction.raw) == transaction
    check_network(NETWORK, transaction)


def test_the_id_does_not_depend_on_signatures_but_the_digest_does() -> None:
    one = sign_transaction(NETWORK, body(), [SEED])
    two = sign_transaction(NETWORK, body(), [SEED, OTHER_SEED])
    assert one.id == two.id
    assert one.digest != two.digest


@pytest.mark.parametrize("other", [Network("other-chain", b"\x05" * 32), Network("test-chain", b"\x06" * 32)])
def test_a_transaction_of_another_network_is_refused_and_its_signature_does_not_verify(other: Network) -> None:
    transaction = sign_transaction(NETWORK, body(), [SEED])
    with pytest.raises(Rejected) as refused:
        check_network(other, transaction)
    assert refused.value.kind == "tx.wrong_chain"
    assert verify_many(signature_checks(other, transaction)) == [False]


def test_any_changed_field_breaks_the_signature() -> None:
    transaction = sign_transaction(NETWORK, body(), [SEED])
    for changed in (body(max_fee_ubeat=501), body(nonce=b"\x08" * 16), body(memo="x"), body(valid_until_ms=999)):
        forged = decode_transaction(encode(Signed(encode(changed), transaction.signatures)))
        assert verify_many(signature_checks(NETWORK, forged)) == [False]
        assert forged.id != transaction.id


def test_signatures_are_sorted_distinct_and_at_least_one() -> None:
    transaction = sign_transaction(NETWORK, body(), [SEED, OTHER_SEED])
    one, two = transaction.signatures
    for wrong in ((two, one), (one, one), ()):
        with pytest.raises(Rejected):
            decode_transaction(encode(Signed(transaction.body_bytes, wrong)))


def test_a_memo_and_a_transaction_have_a_largest_size() -> None:
    sign_transaction(NETWORK, body(memo="é" * (MEMO_BYTES_MAX // 2)), [SEED])
    with pytest.raises(Rejected):
        sign_transaction(NETWORK, body(memo="é" * (MEMO_BYTES_MAX // 2 + 1)), [SEED])
    with pytest.raises(Rejected) as refused:
        decode_transaction(bytes(TRANSACTION_BYTES_MAX + 1))
    assert refused.value.kind == "encoding.too_large"


def test_a_voucher_inside_a_message_is_checked_with_the_transaction() -> None:
    voucher = Voucher(b"\x01" * 32, 0, SENDER, 0, 1, 1, b"\x02" * 32, 3, b"\x03" * 32, b"")
    signed = SignedVoucher(voucher, public_key(OTHER_SEED), sign(OTHER_SEED, voucher_bytes(NETWORK, voucher)))
    anchor = AnchorReceipts(b"\x01" * 32, 0, 0, 1, signed, (), ())
    transaction = sign_transaction(NETWORK, body(actions=(anchor, Transfer(SENDER, 1))), [SEED])
    checks = signature_checks(NETWORK, transaction)
    assert verify_many(checks) == [True, True]
    assert checks[1][0] == public_key(OTHER_SEED)


def test_created_ids_are_known_before_signing_and_differ_by_kind_and_place() -> None:
    places = [(kind, index) for kind in ("asset", "offer", "vault") for index in (0, 1)]
    ids = [object_id(kind, SENDER, b"\x07" * 16, index) for kind, index in places]
    ids += [licence_id(bytes([number]) * 32, index) for number in (1, 2) for index in (0, 1)]
    assert len(set(ids)) == len(ids)
    assert kind_of(Transfer(SENDER, 1)) == "tokens.transfer"


def transactions(count: int) -> tuple[bytes, ...]:
    return tuple(sign_transaction(NETWORK, body(nonce=bytes([n]) * 16), [SEED]).raw for n in range(count))


def test_a_batch_is_signed_as_a_whole_and_decodes_to_itself() -> None:
    batch = cut_batch(NETWORK, SEED, public_key(SEED), 3, transactions(3))
    assert verify(*batch_check(NETWORK, batch))
    assert decode_batch(encode(batch)) == batch


def test_a_transaction_is_picked_out_of_the_batches_of_a_block() -> None:
    batches = [encode(cut_batch(NETWORK, SEED, public_key(SEED), n, transactions(n))) for n in (3, 1, 2)]
    expected = [*transactions(3), *transactions(1), *transactions(2)]
    assert [pick(batches, index) for index in range(6)] == expected
    assert pick(batches, 6) is None
    with pytest.raises(Rejected):
        pick([b"no batch"], 0)


@pytest.mark.parametrize("change", ["drop", "swap", "count", "bytes"])
def test_a_batch_whose_header_does_not_describe_its_transactions_is_refused(change: str) -> None:
    batch = cut_batch(NETWORK, SEED, public_key(SEED), 3, transactions(3))
    header, listed = batch.header, batch.transactions
    forged = {
        "drop": Batch(header, batch.signature, listed[:2]),
        "swap": Batch(header, batch.signature, (listed[1], listed[0], listed[2])),
        "count": Batch(BatchHeader(header.author, 3, 2, header.bytes, header.content_hash), batch.signature, listed),
        "bytes": Batch(
            BatchHeader(header.author, 3, 3, header.bytes - 1, header.content_hash), batch.signature, listed
        ),
    }[change]
    with pytest.raises(Rejected):
        decode_batch(encode(forged))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_transaction_or_one_named_error(data: bytes) -> None:
    assert refused_kind(data).startswith(("encoding.", "tx."))


@given(st.integers(0, 400), st.integers(1, 255))
def test_a_transaction_with_one_changed_byte_is_refused_or_does_not_verify(position: int, flip: int) -> None:
    raw = bytearray(sign_transaction(NETWORK, body(), [SEED]).raw)
    raw[position % len(raw)] ^= flip
    try:
        transaction = decode_transaction(bytes(raw))
    except Rejected:
        return
    assert verify_many(signature_checks(NETWORK, transaction)) == [False]


def refused_kind(data: bytes) -> str:
    try:
        decode_transaction(data)
    except Rejected as error:
        return error.kind
    return "accepted"
