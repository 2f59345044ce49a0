"""Long lists go to the chain in chunks: broken off anywhere they are gone on with, and no row arrives twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from concento.accounts import address, parse_address
from concento.client import RpcError
from concento.client.members import add_members, make_dataset
from concento.client.rows import Holders, read_assets, read_holders, read_numbers
from concento.client.vaults import fill_vault, make_vault, open_vault, vault_id
from concento.errors import Rejected
from concento.messages.royalties import AddVaultRows
from support.ledger import account_of
from support.livechain import LiveChain, live_chain
from support.rights import dataset, tracks

COUNT = 3_500


@pytest.fixture(scope="module")
def chain() -> Iterator[LiveChain]:
    with live_chain() as chain:
        yield chain


def account(number: int) -> bytes:
    return sha256(number.to_bytes(4, "big")).digest()


def holders(count: int = COUNT, first: int = 0) -> Holders:
    found = Holders()
    for number in range(first, first + count):
        found.add(account(number), number + 1)
    return found


class Interrupted(Exception):
    """Ctrl-C in the middle."""


def broken_off(after: int) -> Callable[[int, int], None]:
    def tell(done: int, _total: int) -> None:
        if done >= after:
            raise Interrupted

    return tell


def rows_of(chain: LiveChain, vault: str) -> list[tuple[str, int]]:
    """Every row of the vault, read page by page."""
    client = chain.session("alice").client
    found: list[tuple[str, int]] = []
    cursor = None
    while True:
        page = client.vault_rows(vault, cursor=cursor, limit=200)
        found += [(row["holder"], int(row["shares"])) for row in page["items"]]
        cursor = page["next"]
        if cursor is None:
            return found


def refusal(act: Callable[[], Any]) -> Rejected | RpcError:
    with pytest.raises((Rejected, RpcError)) as refused:
        act()
    return refused.value


# Vaults


def test_a_vault_that_was_broken_off_twice_is_completed_with_no_row_twice(chain: LiveChain) -> None:
    session, listed = chain.session("alice"), holders()
    with pytest.raises(Interrupted):
        make_vault(session, "fans", listed, on_rows=broken_off(1_000))
    with pytest.raises(Interrupted):
        make_vault(session, "fans", listed, on_rows=broken_off(3_000))
    seen: list[tuple[int, int]] = []
    done = make_vault(session, "fans", listed, on_rows=lambda rows, total: seen.append((rows, total)))
    assert (done.before, done.count, done.transactions, done.final) == (3_000, COUNT, 2, True)
    assert seen == [(3_000, COUNT), (3_500, COUNT)]
    expected = [(address(account(number), True), number + 1) for number in range(COUNT)]
    assert rows_of(chain, done.id) == expected
    state = session.client.vault(done.id)
    assert (state["state"], state["rows"], int(state["shares_total"])) == ("sealed", COUNT, listed.total)
    again = make_vault(session, "fans", listed)
    assert (again.before, again.transactions, again.final) == (COUNT, 0, True)


def test_a_chunk_that_was_on_its_way_when_its_sender_died_is_not_sent_again(chain: LiveChain) -> None:
    """The earlier run's second chunk comes into a block just before ours."""
    session, listed = chain.session("alice"), holders(2_500, first=10_000)
    name = vault_id(session, "late", listed)
    with pytest.raises(Interrupted):
        make_vault(session, "late", listed, on_rows=broken_off(1_000))

    def overtaken(done: int, _total: int) -> None:
        if done == 1_000:
            chain.session("alice").send([AddVaultRows(name, 1_000, listed.rows(1_000, 1_000))])

    done = make_vault(session, "late", listed, on_rows=overtaken)
    assert done.final
    assert len(rows_of(chain, done.id)) == 2_500


def test_a_list_that_is_another_one_is_refused_before_anything_is_sent(chain: LiveChain) -> None:
    session = chain.session("alice")
    document = open_vault(session, "mixed")
    vault = document["created"][0]["id"]
    fill_vault(session, vault, holders(10))
    height = chain.node.height
    assert refusal(lambda: fill_vault(session, vault, holders(20, first=5))).kind == "vault.other_rows"
    assert refusal(lambda: fill_vault(session, vault, holders(9))).kind == "vault.other_rows"
    assert chain.node.height == height
    assert fill_vault(session, vault, holders(20)).before == 10


def test_only_whoever_opened_a_vault_fills_it(chain: LiveChain) -> None:
    vault = open_vault(chain.session("alice"), "hers")["created"][0]["id"]
    assert refusal(lambda: fill_vault(chain.session("bob"), vault, holders(3))).kind == "royalties.vault_not_yours"


# Members


def test_a_dataset_that_was_broken_off_is_completed_with_no_member_twice(
    chain: LiveChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("concento.client.members.MEMBERS_PER_TRANSACTION", 3)
    members = tracks(chain.node, 8, prefix="long")
    session, message = chain.session("alice"), dataset("Long list")
    with pytest.raises(Interrupted):
        make_dataset(session, message, members, on_members=broken_off(3))
    seen: list[int] = []
    done = make_dataset(session, message, members, on_members=lambda count, _total: seen.append(count))
    assert (done.before, seen, done.final) == (3, [3, 6, 8], True)
    page = session.client.members(done.id)
    assert [item["asset"] for item in page["items"]] == [member.hex() for member in members]
    assert session.client.asset(done.id)["state"] == "sealed"
    assert make_dataset(session, message, members).transactions == 0


def test_members_of_another_list_are_refused(chain: LiveChain) -> None:
    members = tracks(chain.node, 3, prefix="other")
    session = chain.session("alice")
    made = make_dataset(session, dataset("Begun"), members[:2], seal=False)
    assert refusal(lambda: add_members(session, made.id, members[1:])).kind == "dataset.other_members"
    assert add_members(session, made.id, members, seal=True).before == 2
    assert refusal(lambda: add_members(session, members[0].hex(), members)).kind == "dataset.not_a_dataset"


# Files


def parse(text: str) -> bytes:
    return parse_address(text, True)


ALICE, BOB = (address(account_of(name), True) for name in ("alice", "bob"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", f"holder,shares\n{ALICE},7\n{BOB},9\n"),
        ("a.csv", f"{ALICE},7\n\n{BOB}, 9\n"),
        ("a.csv", f"note,Shares,Holder\nx,7,{ALICE}\ny,9,{BOB}\n"),
        ("a.csv", f"\ufeffholder,shares\r\n{ALICE},7\r\n{BOB},9"),
        ("a.jsonl", f'{{"holder": "{ALICE}", "shares": 7}}\n\n{{"shares": "9", "holder": "{BOB}"}}\n'),
    ],
)
def test_holders_are_read_from_csv_and_json_lines(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    found = read_holders(path, parse)
    assert [(row.holder, row.shares) for row in found.rows(0, 9)] == [(account_of("alice"), 7), (account_of("bob"), 9)]


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        (f"{ALICE},7\n{BOB},0\n", "rows.invalid", "line 2: '0' is not a number of shares"),
        (f"{ALICE},7\n{BOB}\n", "rows.invalid", "line 2: it has not the columns holder, shares"),
        (f"{ALICE},7\n{BOB[:-1]},3\n", "rows.invalid", "line 2"),
        (f"{ALICE},7\n{BOB},2\n{ALICE},3\n", "rows.repeated", "stands in line 1 already"),
        (f"{ALICE},{2**62}\n{BOB},{2**62}\n", "rows.invalid", "more than can be counted"),
        ("holder,shares\n", "rows.none", "holds no rows"),
    ],
)
def test_a_mistake_in_a_file_is_told_with_its_line(tmp_path: Path, text: str, kind: str, said: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="utf-8")
    error = refusal(lambda: read_holders(path, parse))
    assert error.kind == kind
    assert said in error.message


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    assert refusal(lambda: read_holders(tmp_path / "no.csv", parse)).kind == "file.unreadable"
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    assert refusal(lambda: read_holders(tmp_path / "bytes.csv", parse)).kind == "file.unreadable"
    (tmp_path / "a.jsonl").write_text("[]\n")
    assert refusal(lambda: read_holders(tmp_path / "a.jsonl", parse)).kind == "rows.invalid"


def test_assets_and_numbers_are_read_by_the_same_rules(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("asset\n" + "ab" * 32 + "\n" + "cd" * 32 + "\n")
    assert read_assets(path, bytes.fromhex) == [b"\xab" * 32, b"\xcd" * 32]
    path.write_text("member,units\n3,4\n")
    assert read_numbers(path, ("member", "units")) == [(3, 4)]
    path.write_text("3,-4\n")
    assert refusal(lambda: read_numbers(path, ("member", "units"))).kind == "rows.invalid"
