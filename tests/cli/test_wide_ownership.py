"""Vaults, shares, datasets, models, remixes, late parents, charges and usage by commands, on a chain that answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy
import pytest
import soundfile

from cli.main import run
from cli.session import WritingSession
from concento.accounts import address
from concento.messages.licences import Price
from concento.usage import signed_root, usage_rows
from support.ledger import BEAT, account_of
from support.lineage import OPEN
from support.livechain import LiveChain, holders_file, live_chain
from support.rights import TRAINING, Reader, album, buy, offer, tracks


class Said:
    """What one command line has printed, and its exit code."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        return self.document["error"]["data"] | {"message": self.document["error"]["message"]}


Run = Callable[..., Said]


@pytest.fixture(scope="module")
def chain() -> Iterator[LiveChain]:
    with live_chain() as chain:
        yield chain


@pytest.fixture
def concento(
    chain: LiveChain, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Run:
    for name in ("CONCENTO_FROM", "CONCENTO_PASSWORD_FILE", "CONCENTO_GATEWAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CONCENTO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CONCENTO_URL", chain.url)

    def call(*words: str) -> Said:
        capsys.readouterr()
        code = run(list(words))
        captured = capsys.readouterr()
        assert "bug" not in captured.err, captured.err
        return Said(code, captured.out, captured.err)

    return call


def people(count: int, prefix: str = "fan") -> list[str]:
    return [address(sha256(f"{prefix} {number}".encode()).digest(), True) for number in range(count)]


def tone(path: Path, pitch: int) -> Path:
    soundfile.write(path, numpy.sin(numpy.arange(8_000) * pitch / 97).astype("float32") * 0.4, 8_000)
    return path


# Vaults and shares


def test_a_part_of_a_split_goes_to_a_crowd_and_each_of_them_is_paid(
    chain: LiveChain, concento: Run, tmp_path: Path
) -> None:
    (song,) = tracks(chain.node, 1, prefix="crowd")
    fans = holders_file(tmp_path / "fans.csv", people(130))
    opened = concento("vault", "open", str(fans), "--title", "Fans", "--name", "fans", "--from", "alice", "--json")
    assert opened.code == 0, opened.out
    assert (opened.document["rows"], opened.document["rows_before"], opened.document["state"]) == (130, 0, "sealed")
    again = concento("vault", "open", str(fans), "--title", "Fans", "--from", "alice")
    assert (again.code, "130 rows, 130 of them before" in again.out) == (0, True)

    moved = concento("shares", "transfer", song.hex(), "--to", "vault:@fans", "--percent", "30", "--from", "alice")
    assert moved.code == 0, moved.err
    assert "300,000 shares of" in moved.out
    assert "Next: concento vault show" in moved.out
    held = concento("shares", "list", "alice", "--of", song.hex(), "--json").document["items"]
    assert [item["shares"] for item in held] == ["400000"]

    buy(chain.node, offer(chain.node, song), "dana")
    chain.blocks(3)
    told = concento("vault", "statement", "@fans", "--json").document
    assert len(told["lines"]) == 1
    assert told["credited_ubeat"] == str(40 * BEAT * 99 // 100 // 2 * 3 // 10)
    assert "RECEIVED" in concento("vault", "statement", "@fans").out
    shown = concento("vault", "show", "@fans")
    assert "is sealed, with 130 rows" in shown.out
    rows = concento("vault", "rows", "@fans", "--from-row", "128", "--json").document["items"]
    assert [row["row"] for row in rows] == [128, 129]
    assert concento("vault", "list", "--owner", "alice").out.count("Fans") == 1
    fan = people(1)[0]
    assert int(concento("wallet", "balance", fan, "--json").document["balance_ubeat"]) > 0
    listed = concento("shares", "list", fan)
    assert "Fans" in listed.out
    assert "0.7692 %" in listed.out


def test_a_vault_is_filled_by_hand_too(concento: Run, tmp_path: Path) -> None:
    opened = concento("vault", "open", "--title", "Slow", "--from", "bob", "--json").document
    vault = opened["vault"]
    first, whole = holders_file(tmp_path / "a.csv", people(2)), holders_file(tmp_path / "b.csv", people(3))
    assert concento("vault", "add", vault, str(first), "--from", "bob").code == 0
    added = concento("vault", "add", vault[:12], str(whole), "--from", "bob", "--json").document
    assert (added["rows"], added["rows_before"], added["transactions"]) == (3, 2, 1)
    other = concento("vault", "add", vault, str(holders_file(tmp_path / "c.csv", people(4, "x"))), "--from", "bob")
    assert (other.code, "vault.other_rows" in other.err, "vault rows" in other.err) == (4, True, True)
    assert concento("vault", "seal", vault, "--from", "bob").code == 0
    late = concento("vault", "add", vault, str(holders_file(tmp_path / "d.csv", people(9))), "--from", "bob")
    assert late.code == 4


def test_after_ctrl_c_the_same_command_goes_on_where_it_ended(
    concento: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("concento.client.vaults.ROWS_PER_TRANSACTION", 10)
    fans = holders_file(tmp_path / "fans.csv", people(45, "late"))
    line = ("vault", "open", str(fans), "--title", "Late", "--from", "alice")
    sent: list[Any] = []

    def send(self: WritingSession, *given: Any, **more: Any) -> Any:
        if len(sent) == 3:
            raise KeyboardInterrupt
        sent.append(given)
        return real(self, *given, **more)

    real = WritingSession.send
    with monkeypatch.context() as patched:
        patched.setattr(WritingSession, "send", send)
        broken = concento(*line)
    assert broken.code == 130
    assert "20 of 45 rows are on the chain." in broken.err
    assert "Run the same command again: it goes on where it ended." in broken.err
    done = concento(*line, "--json").document
    assert (done["rows"], done["rows_before"], done["transactions"], done["state"]) == (45, 20, 4, "sealed")
    rows = concento("vault", "rows", done["vault"], "--limit", "200", "--json").document["items"]
    assert [row["holder"] for row in rows] == people(45, "late")


@pytest.mark.parametrize(
    ("line", "code", "kind"),
    [
        ("vault show abcdabcdabcd", 6, "vault.not_found"),
        ("vault show xyz", 2, "id.malformed"),
        ("vault open nothing.csv --title T --from alice", 9, "file.unreadable"),
        ("shares transfer {song} --to bob --from alice", 2, "usage.invalid"),
        ("shares transfer {song} --to bob --percent 0 --from alice", 2, "usage.invalid"),
        ("shares transfer {song} --to bob --percent 1.23456 --from alice", 2, "usage.invalid"),
        ("shares transfer {song} --to pool:ab --shares 1 --from alice", 2, "usage.invalid"),
        ("shares transfer {song} --to bob --shares 1 --from dana", 4, "shares.none"),
        ("shares transfer {song} --to bob --shares 999999 --from alice", 4, "shares.short"),
        ("shares transfer {song} --to nobody --shares 1 --from alice", 6, "account.not_found"),
        ("shares list nobody-at-all", 6, "account.not_found"),
        ("usage show 999", 6, "usage.not_found"),
        ("usage post 999 --from bob", 6, "usage.not_found"),
        ("usage post 0 --from bob", 2, "usage.invalid"),
        ("model show {song}", 4, "lineage.not_a_model"),
        ("licence renew {song} --max-price 1 --from bob", 6, "licence.not_found"),
        ("asset amend {song} --parent {song} --from alice", 2, "usage.invalid"),
        ("asset amend {song} --parent {song} --rate 5 --withdraw --from alice", 2, "usage.invalid"),
        ("asset amend {song} --parent {song} --rate 101 --from alice", 2, "usage.invalid"),
        ("asset amend {song} --parent {song} --rate 5 --from alice", 4, "lineage.parent_younger"),
    ],
)
def test_wrong_input_is_told_with_its_kind_and_a_next_step(
    chain: LiveChain, concento: Run, line: str, code: int, kind: str
) -> None:
    song = _mistaken.get(id(chain)) or tracks(chain.node, 1, prefix="mistake")[0].hex()
    _mistaken[id(chain)] = song
    said = concento(*line.format(song=song).split(), "--json")
    assert (said.code, said.error["kind"]) == (code, kind), said.out


_mistaken: dict[int, str] = {}


# Datasets


def test_registered_tracks_are_gathered_from_a_list_and_read_with_their_files(
    chain: LiveChain, concento: Run, tmp_path: Path
) -> None:
    members = tracks(chain.node, 3, prefix="gather")
    path = tmp_path / "tracks.csv"
    path.write_text("asset\n" + "\n".join(member.hex() for member in members[:2]) + "\n")
    line = ("--title", "Gathered", "--weight", "usage", "--curator", "carol=100", "--curator-part", "10", "--tag", "g")
    opened = concento("dataset", "open", str(path), *line, "--keep-open", "--name", "g", "--from", "alice", "--json")
    assert opened.code == 0, opened.out
    assert (opened.document["members"], opened.document["state"], opened.document["weight_rule"]) == (
        2,
        "open",
        "usage",
    )
    path.write_text("asset\n" + "\n".join(member.hex() for member in members) + "\n")
    added = concento("dataset", "add", "@g", str(path), "--seal", "--from", "alice")
    assert added.code == 0, added.err
    assert "3 members, 2 of them before; it is sealed" in added.out
    listed = concento("dataset", "members", "@g", "--json").document
    assert [item["asset"] for item in listed["items"]] == [member.hex() for member in members]
    assert "PLACE" in concento("dataset", "members", "@g", "--deep").out
    path.write_text("asset\n" + "ab" * 32 + "\n")
    missing = concento("dataset", "open", str(path), "--title", "None", "--from", "alice", "--json")
    assert (missing.code, missing.error["kind"]) == (4, "asset.not_found") or missing.code == 6


# Models, outputs, remixes, late parents


def test_the_whole_line_from_dataset_to_remix_by_commands(chain: LiveChain, concento: Run, tmp_path: Path) -> None:
    dataset = album(chain.node, tracks(chain.node, 2, prefix="learn", terms=OPEN))
    uses = ("train-generative", "inference-service", "derive-remix", "sync-display")
    allow = tuple(word for use in uses for word in ("--allow", use))
    sold = (*allow, "--price", "2", "--derived", "30")
    assert concento("licence", "offer", dataset.hex(), *sold, "--from", "alice").code == 0
    weights, prompt = tmp_path / "model.bin", tmp_path / "prompt.txt"
    weights.write_bytes(b"weights")
    prompt.write_text("fog, piano")
    learn = ("model", "register", "--title", "Harbour", "--weights", str(weights), "--service", "carol", "--split")
    what = ("bob=100", *allow, "--name", "model", "--from", "bob", "--json")
    refused = concento(*learn, *what, "--trained-on", dataset.hex())
    assert (refused.code, refused.error["kind"]) == (8, "licence.required")
    assert "concento licence buy" in refused.error["hint"]
    bought = concento(
        "licence", "buy", dataset.hex(), "--purpose", "train-generative", "--max-price", "2", "--from", "bob", "--json"
    )
    assert bought.code == 0, bought.out
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(f"asset,licence,purpose\n{dataset.hex()},,train-generative\n")
    made = concento(*learn, *what, "--manifest", str(manifest))
    assert made.code == 0, made.out
    shown = concento("model", "show", "@model")
    assert dataset.hex()[:12] in shown.out
    assert bought.document["licence"][:12] in shown.out
    assert concento("model", "show", "@model", "--json").document["model"]["weights"] == sha256(b"weights").hexdigest()

    offered = (*allow, "--price", "2", "--derived", "20")
    assert concento("licence", "offer", "@model", *offered, "--from", "bob").code == 0
    right = concento(
        "licence", "buy", "@model", "--purpose", "inference-service", "--max-price", "2", "--from", "dana", "--json"
    ).document["licence"]
    track = tone(tmp_path / "Fog Signal.wav", 5)
    making = ("model", "output", "@model", str(track), "--licence", right, "--parameters", str(prompt))
    more = (*allow, "--name", "track", "--from", "carol")
    early = concento(*making, *more, "--json")
    assert early.code == 4, early.out
    assert concento("licence", "outputs", right[:12], "1", "--from", "dana").code == 0
    output = concento(*making, *more)
    assert output.code == 0, output.err
    assert '"Fog Signal", made by "Harbour", is registered' in output.out
    assert concento("asset", "show", "@track", "--json").document["owner_name"] == "dana"

    terms = (*allow, "--price", "2", "--derived", "15")
    assert concento("licence", "offer", "@track", *terms, "--from", "dana").code == 0
    mix = tone(tmp_path / "mix.wav", 7)
    remix = ("asset", "derive", str(mix), "--parent", "@track", "--split", "alice=100", "--allow", "sync-display")
    without = concento(*remix, "--from", "alice", "--json")
    assert (without.code, without.error["kind"]) == (8, "licence.required")
    buying = ("licence", "buy", "@track", "--purpose", "derive-remix", "--max-price", "2", "--from", "alice")
    assert concento(*buying).code == 0
    derived = concento(*remix, "--title", "Mix", "--name", "mix", "--from", "alice", "--json")
    assert derived.code == 0, derived.out
    parents = concento("asset", "lineage", "@mix", "--json").document
    assert [(step["kind"], step["rel_bps"]) for step in parents["items"]] == [
        ("output", 1_500),
        ("model", 2_000),
        ("dataset", 3_000),
    ]
    wrong = concento(*remix, "--isrc", "FOO", "--from", "alice", "--json")
    assert (wrong.code, wrong.error["kind"]) == (4, "asset.identifier_invalid")


def test_a_parent_found_later_counts_when_both_owners_say_so(chain: LiveChain, concento: Run) -> None:
    (older,), (younger,) = tracks(chain.node, 1, prefix="older"), tracks(chain.node, 1, owner="bea", prefix="younger")
    say = ("asset", "amend", younger.hex(), "--parent", older.hex(), "--rate", "5")
    mine = concento(*say, "--from", "bea")
    assert mine.code == 0, mine.err
    assert "It counts when alice says the same." in mine.out
    assert "Next: concento asset amend" in mine.out
    waiting = concento("asset", "amendments", younger.hex())
    assert "older" in waiting.out
    assert "5 %" in waiting.out
    assert concento("asset", "amendments", "--owner", "alice", "--json").document["items"][0]["child"] == younger.hex()
    both = concento(*say, "--from", "alice")
    assert "both say" in both.out
    assert concento("asset", "amendments", younger.hex()).out.startswith("Nobody waits")
    linked = concento("asset", "show", younger.hex(), "--json").document["parents"]
    assert [(parent["asset"], parent["rel_bps"], parent["right"]) for parent in linked] == [(older.hex(), 500, None)]


# What a licence costs later


def test_subscriptions_are_renewed_reported_on_and_their_deposits_taken_back(chain: LiveChain, concento: Run) -> None:
    (song,) = tracks(chain.node, 1, prefix="charge")
    pricing = ("--per-period", "3", "--guarantee", "1", "--share", "10", "--per-access", "0.05", "--tier", "10=0.01")
    terms = ("--allow", "train-generative", "--duration-days", "30")
    offered = concento("licence", "offer", song.hex(), *terms, *pricing, "--from", "alice", "--json")
    assert offered.code == 0, offered.out
    buying = ("--purpose", "train-generative", "--max-price", "4", "--deposit", "2", "--from", "bob", "--json")
    licence = concento("licence", "buy", song.hex(), *buying).document["licence"]
    shown = concento("licence", "show", licence)
    assert "50.000000 BEAT for 1,000 files; beyond 10 10.000000 BEAT" in shown.out
    assert "2.000000 BEAT of it free" in shown.out

    cheap = concento("licence", "renew", licence, "--max-price", "3", "--from", "bob")
    assert cheap.code == 4
    assert "--max-price 4.000000" in cheap.err
    before = concento("licence", "show", licence, "--json").document
    assert concento("licence", "renew", licence, "--max-price", "4", "--from", "bob").code == 0
    after = concento("licence", "show", licence, "--json").document
    assert after["expires_ms"] - before["expires_ms"] == 30 * 86_400_000
    assert int(after["advance_ubeat"]) == 2 * BEAT

    reported = concento("licence", "report", licence, "--gross", "30", "--from", "bob")
    assert reported.code == 0, reported.err
    assert "1.000000 BEAT of it is paid" in reported.out
    twice = concento("licence", "report", licence, "--gross", "1", "--since", "2026-01-01", "--from", "bob", "--json")
    assert (twice.code, twice.error["kind"]) == (4, "revenue.period")
    nodate = concento("licence", "report", licence, "--gross", "1", "--since", "yesterday", "--from", "bob")
    assert nodate.code == 2
    own = concento("licence", "report", song.hex(), "--gross", "2", "--from", "alice")
    assert "2.000000 BEAT of it is paid" in own.out

    assert concento("licence", "deposit", licence, "1.5", "--from", "bob").code == 0
    taken = concento("licence", "withdraw", licence, "--from", "bob")
    assert "3.500000 BEAT of the deposit" in taken.out
    none = concento("licence", "withdraw", licence, "--from", "bob", "--json")
    assert (none.code, none.error["kind"]) == (4, "licence.deposit_none_free")
    much = concento("licence", "withdraw", licence, "1", "--from", "bob", "--json")
    assert (much.code, much.error["kind"]) == (4, "licence.deposit_locked")
    assert concento("licence", "renew", licence, "--max-price", "4", "--from", "dana", "--json").error["kind"] == (
        "licence.not_yours"
    )


def test_a_tier_needs_a_price_for_use(concento: Run) -> None:
    line = ("licence", "offer", "ab" * 32, "--allow", "analysis", "--price", "1", "--from", "alice")
    assert concento(*line, "--tier", "10=0.01").code == 2
    assert concento(*line, "--per-access", "1", "--tier", "ten=1").code == 2


# Usage


def test_waiting_usage_is_seen_and_posted_by_commands(chain: LiveChain, concento: Run, tmp_path: Path) -> None:
    members = tracks(chain.node, 2, prefix="used")
    dataset = album(chain.node, members, rule="usage")
    pricing = (Price("one-off", BEAT), Price("per-access", 50 * BEAT))
    licence = buy(chain.node, offer(chain.node, dataset, pricing=pricing, terms=TRAINING), deposit_ubeat=BEAT)
    reader = Reader(chain.node, licence, dataset)
    chain.node.run("bob", reader.open_action(20))
    pots = []
    for rounds in (1, 2):
        for number, member in enumerate(members):
            for _ in range(rounds + number):
                reader.read(member, f"used{number}")
        rows = usage_rows([(0, rounds), (1, rounds + 1)])
        voucher = reader.voucher(usage_root=signed_root(reader.anchored, rows))
        events = chain.node.run("gateway1", reader.anchor_action(voucher))
        reader.anchored = len(reader.log)
        pots.append(next(event.fields["pot"] for event in events if event.kind == "usage.opened"))
    listed = concento("usage", "list", "--asset", dataset.hex())
    assert "0 of 3" in listed.out
    assert "0 of 5" in listed.out
    shown = concento("usage", "show", str(pots[0]))
    assert f"Next: concento usage post {pots[0]}" in shown.out
    assert concento("usage", "show", str(pots[0]), "--json").document["rows"] == [
        {"member": 0, "units": 1},
        {"member": 1, "units": 2},
    ]
    posted = concento("usage", "post", str(pots[0]), "--from", "dana", "--json")
    assert posted.code == 0, posted.out
    assert (posted.document["rows"], posted.document["transactions"]) == (2, 1)
    path = tmp_path / "rows.csv"
    path.write_text("member,units\n0,3\n1,2\n")
    wrong = concento("usage", "post", str(pots[1]), "--rows", str(path), "--from", "dana", "--json")
    assert (wrong.code, wrong.error["kind"]) == (4, "usage.root_differs")
    path.write_text("member,units\n0,2\n1,3\n")
    assert concento("usage", "post", str(pots[1]), "--rows", str(path), "--from", "dana").code == 0
    assert concento("usage", "list", "--asset", dataset.hex()).out.startswith("No money waits")


@pytest.mark.parametrize(
    ("line", "text", "code", "kind"),
    [
        ("vault open {file} --title T --from alice", "holder,shares\nnobody,1\n", 2, "rows.invalid"),
        ("vault open {file} --title T --from alice", "holder,shares\n", 2, "rows.none"),
        ("vault open {file} --title T --from alice", "holder,shares\n{alice},1\n{alice},2\n", 2, "rows.repeated"),
        ("vault open {file} --title T --from alice", "holder,shares\n{alice},many\n", 2, "rows.invalid"),
        ("vault add abcdabcd {file} --from alice", "holder,shares\n{alice},1\n", 6, "vault.not_found"),
        ("dataset open {file} --title T --curator carol=100 --from alice", "asset\n", 2, "usage.invalid"),
        ("dataset open {file} --title T --weight fame --from alice", "asset\n", 2, "usage.invalid"),
        ("dataset open {file} --title T --from alice", "asset\nxyz\n", 2, "rows.invalid"),
        ("dataset open {file} --title T --from alice", "asset\nabcdabcdabcd\n", 2, "rows.invalid"),
        ("dataset add abcdabcd {file} --from alice", "asset\n" + "ab" * 32 + "\n", 6, "asset.not_found"),
        (
            "model register --title M --weights {file} --service carol --split bob=100 --allow analysis --from bob",
            "x",
            2,
            "usage.invalid",
        ),
        (
            "model register --title M --weights {file} --service carol --split bob=100 --allow analysis"
            " --manifest {file} --from bob",
            "asset,licence,purpose\nabcdabcd,,listening\n",
            2,
            "rows.invalid",
        ),
        (
            "model register --title M --weights nothing --service carol --split bob=100 --allow analysis"
            " --manifest {file} --from bob",
            "asset,licence,purpose\nabcdabcd,,fine-tune\n",
            6,
            "asset.not_found",
        ),
        ("model output abcdabcd {file} --parameters {file} --allow analysis --from carol", "x", 2, "usage.invalid"),
        (
            "asset derive {file} --parent abcdabcd --split bob=100 --allow analysis --from bob",
            "no audio",
            6,
            "asset.not_found",
        ),
        ("usage post 1 --rows {file} --from bob", "member,units\n1,x\n", 6, "usage.not_found"),
        ("licence report abcdabcd --gross 1 --evidence {file} --from bob", "x", 6, "asset.not_found"),
        ("licence deposit abcdabcd 1 --from bob", "x", 6, "licence.not_found"),
        ("licence withdraw abcdabcd one --from bob", "x", 6, "licence.not_found"),
        ("licence close abcdabcd --from bob", "x", 6, "offer.not_found"),
        ("asset retire abcdabcd --yes --from bob", "x", 6, "asset.not_found"),
        ("identity payout sometimes --from bob", "x", 2, "usage.invalid"),
        ("shares sweep abcdabcd --from bob", "x", 6, "asset.not_found"),
    ],
)
def test_mistakes_in_files_and_lines_are_told_before_anything_is_sent(
    chain: LiveChain, concento: Run, tmp_path: Path, line: str, text: str, code: int, kind: str
) -> None:
    file = tmp_path / "file.csv"
    file.write_text(text.replace("{alice}", address(account_of("alice"), True)))
    height = chain.node.height
    said = concento(*line.format(file=file).split(), "--json")
    assert (said.code, said.error["kind"]) == (code, kind), said.out
    assert chain.node.height == height


# What is corrected, ended and decided later


def test_assets_offers_and_payouts_are_changed_by_commands(chain: LiveChain, concento: Run) -> None:
    (song,) = tracks(chain.node, 1, prefix="later")
    assert concento("asset", "update", song.hex(), "--from", "alice").code == 2
    updated = concento("asset", "update", song.hex(), "--title", "Later", "--tag", "dawn", "--from", "alice")
    assert updated.code == 0, updated.err
    shown = concento("asset", "show", song.hex(), "--json").document
    assert (shown["title"], shown["tags"], shown["version"]) == ("Later", ["dawn"], 1)
    foreign = concento("asset", "update", song.hex(), "--title", "Mine", "--from", "bob", "--json")
    assert (foreign.code, foreign.error["kind"]) == (8, "asset.not_owner")
    offered = offer(chain.node, song).hex()
    closed = concento("licence", "close", offered[:12], "--from", "alice")
    assert (closed.code, "closed after 0 sales" in closed.out) == (0, True)
    assert concento("licence", "close", offered, "--from", "alice", "--json").error["kind"] == "offer.closed"
    assert concento("asset", "retire", song.hex(), "--from", "alice", "--yes").code == 0
    assert concento("asset", "show", song.hex(), "--json").document["state"] == "retired"

    assert "from 5 BEAT on" in concento("identity", "payout", "min", "--amount", "5", "--from", "bea").out
    assert concento("identity", "show", "bea", "--json").document["payout"]["mode"] == "min"
    assert "every 24 hours" in concento("identity", "payout", "every", "--hours", "24", "--from", "bea").out
    assert concento("identity", "payout", "now", "--from", "bea").code == 0
    assert concento("identity", "payout", "min", "--from", "bea").code == 2
    assert concento("identity", "payout", "now", "--amount", "1", "--from", "bea").code == 2
    assert concento("shares", "sweep", song.hex(), "--leg", "1", "--rows", "2", "--from", "bob").code == 0
    few = concento("shares", "sweep", song.hex(), "--leg", "1", "--rows", "1", "--from", "bob", "--json")
    assert (few.code, few.error["kind"], few.error["numbers"]["rows"]) == (4, "royalties.rows_few", 2)
    assert concento("shares", "claim", song.hex(), "--leg", "1", "--from", "bob").code == 0


def test_a_holder_who_is_not_on_board_is_bound_later(chain: LiveChain, concento: Run, tmp_path: Path) -> None:
    tone(tmp_path / "ghost.wav", 17)
    line = ("asset", "add", str(tmp_path), "--title", "Ghost", "--split", "alice=60,placeholder:isni-1=40")
    added = concento(*line, "--allow", "analysis", "--price", "10", "--from", "alice", "--json")
    assert added.code == 0, added.out
    recording = added.document["recordings"][0]["id"]
    buying = ("licence", "buy", recording, "--purpose", "analysis", "--max-price", "10", "--from", "bob")
    assert concento("licence", "offer", recording, "--allow", "analysis", "--price", "10", "--from", "alice").code == 0
    assert concento(*buying).code == 0
    chain.blocks(2)
    before = int(concento("wallet", "balance", "carol", "--json").document["balance_ubeat"])
    assert concento("identity", "bind", "placeholder:isni-1", "carol", "--from", "bob").code == 8
    assert concento("identity", "bind", "alice", "carol", "--from", "issuer").code == 2
    bound = concento("identity", "bind", "placeholder:isni-1", "carol", "--from", "issuer")
    assert bound.code == 0, bound.err
    chain.blocks(2)
    after = int(concento("wallet", "balance", "carol", "--json").document["balance_ubeat"])
    assert after - before == 10 * BEAT * 99 // 100 * 40 // 100


def test_a_bond_is_raised_by_command(chain: LiveChain, concento: Run, tmp_path: Path) -> None:
    (song,) = tracks(chain.node, 1, prefix="disputed")
    evidence = tmp_path / "contract.txt"
    evidence.write_text("we agreed")
    line = ("dispute", "open", song.hex(), "--reason", "ownership", "--leg", "1", "--part", "50", "--bond", "10")
    case = concento(*line, "--evidence", str(evidence), "--from", "dana", "--json").document["dispute"]
    assert concento("dispute", "raise", case[:12], "5", "--from", "dana").code == 0
    assert concento("dispute", "show", case, "--json").document["bond_ubeat"] == str(15 * BEAT)
    assert concento("dispute", "raise", case, "5", "--from", "bob", "--json").error["kind"] == "dispute.not_yours"


def test_accounts_in_refusals_are_addresses(concento: Run) -> None:
    refused = concento("identity", "admit", "zoe-nobody", "--role", "creator", "--name", "zoe", "--from", "bob")
    assert refused.code in (4, 6, 8)
    said = concento("identity", "admit", people(1)[0], "--role", "creator", "--name", "zoe", "--from", "bob", "--json")
    assert (said.code, said.error["kind"]) == (8, "identity.role_required")
    assert address(account_of("bob"), True) in said.error["message"]
