"""What each command prints, as text and as JSON, and what it asks of a node."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from concento.accounts import parse_address
from concento.cids import cid
from concento.genesis import parse_genesis
from concento.messages.identity import Admit, RevokeRoles
from concento.messages.licences import BuyLicence, CreateOffer, Rate, RevokeLicence
from concento.messages.lineage import AuthoriseOutputs
from concento.terms import Permission, permission
from support.canned import ASSET, BLOCK_DOCUMENT, DATASET, LICENCE, MEMBER, OFFER, RECEIPT, STATEMENT, TX, WHO, Refusal
from support.fake_node import FakeNode

READS = {
    "node status": ("node1 (validator) is ready: height 118", "node_getStatus"),
    "node peers": ("connected", "node_getPeers"),
    "wallet balance alice": ("alice has 10000.000000 BEAT", "account_get"),
    "wallet history alice": ("transfer", "account_getHistory"),
    "identity show alice": ("alice is a person with the roles creator.", "identity_get"),
    "identity list --role creator": ("creator", "identity_list"),
    f"asset show {ASSET}": ('"Night Bus" is a dataset of alice.', "asset_get"),
    f"asset show {MEMBER}": ("50 % asset a6a6a6a6a6a6, 50 % its own holders", "asset_get"),
    f"asset lineage {ASSET} --descendants": ("Night Bus (Slow)", "asset_getLineage"),
    "asset list --owner alice": ("Night Bus", "asset_list"),
    "asset search --tag lofi --purpose train-generative --max-price 50": ("40.000000", "asset_search"),
    f"licence show {LICENCE}": ("94 of 100 files left", "licence_get"),
    "licence list --licensee bob": ("Night Bus", "licence_list"),
    f"licence check {ASSET} --purpose train-generative --licensee bob": ("Yes: train-generative", "licence_check"),
    f"receipt show {RECEIPT}": ("anchored in block 60", "receipt_get"),
    "receipt list --licensee bob": ("train-generative", "receipt_list"),
    "earnings alice": ("27.720000 BEAT in 1 line", "earnings_getStatement"),
    "explain 118": ("Block 118 was proposed by node2", "chain_getBlock"),
    f"explain {LICENCE}": (f"Licence {LICENCE} is active.", "licence_get"),
    f"explain {OFFER}": ("This is an offer", "licence_getOffer"),
    "rpc node_getStatus": ('"chain_id": "concento-dev-1"', "node_getStatus"),
}


@pytest.mark.parametrize("line", READS)
def test_read_prints_a_sentence_and_with_json_the_nodes_answer(concento, node: FakeNode, line):
    sentence, method = READS[line]
    text = concento(*line.split())
    assert (text.code, text.err) == (0, "")
    assert sentence in text.out
    params = node.called(method)[-1]
    before = concento("--json", *line.split())
    after = concento(*line.split(), "--json")
    assert before.code == 0
    assert before.out == after.out
    answer = node.answers[method]
    expected = answer(params) if callable(answer) else answer
    document = before.document
    assert (document["document"] if line.startswith("explain") else document) == expected


def test_search_passes_conditions_in_the_nodes_units(concento, node: FakeNode):
    concento("asset", "search", "--max-price", "40.5", "--isrc", "de-a12-34-56789", "--owner", "alice")
    assert node.called("asset_search")[-1] == {
        "max_price_ubeat": "40500000",
        "isrc": "DEA123456789",
        "owner": WHO["alice"],
    }


def test_search_names_no_price_where_nothing_is_offered(concento, node: FakeNode):
    page = node.answers["asset_search"]
    items = page["items"] if isinstance(page, dict) else page({})["items"]
    bare = [{**items[0], "price_ubeat": None, "offer": None}]
    node.answers["asset_search"] = lambda params: {"items": bare, "next": None, "height": 9, "complete": True}
    found = concento("asset", "search")
    assert found.code == 0
    assert "--max-price" not in found.out
    assert "licensed through a dataset" in found.out


def test_check_that_says_no_exits_8_and_prints_the_same_object(concento):
    line = ("licence", "check", ASSET, "--purpose", "redistribute", "--licensee", "bob")
    refused = concento(*line, "--json")
    assert refused.code == 8
    assert refused.document["allowed"] is False
    assert "No: redistribute is not permitted (licence.required)" in concento(*line).out


def test_buy_takes_the_cheapest_offer_that_permits_the_purpose(concento, node: FakeNode):
    dear = {**DATASET["offers"][0], "id": "0e" * 32, "pricing": [{"model": "one-off", "price_ubeat": "90000000"}]}
    node.answers["asset_get"] = {**DATASET, "offers": [dear, *DATASET["offers"]]}
    bought = concento(
        "licence", "buy", ASSET[:8], "--purpose", "train-generative", "--max-price", "40", "--from", "bob", "--json"
    )
    assert bought.code == 0
    (transaction,) = node.submitted()
    (action,) = transaction.body.actions
    assert action == BuyLicence(bytes.fromhex(OFFER), bytes.fromhex("7e" * 32), 40_000_000, "train-generative", 0)
    assert bought.document["licence"] == bought.document["created"][0]["id"]


def test_buy_says_what_was_bought_and_how_to_fetch_it(concento):
    bought = concento("licence", "buy", ASSET, "--purpose", "train-generative", "--max-price", "40", "--from", "bob")
    assert 'bob licenses "Night Bus" for train-generative: 40.000000 BEAT' in bought.out
    assert f"Next: concento fetch {ASSET[:12]} DIR --purpose train-generative --from bob" in bought.out


def test_a_model_is_licensed_for_its_outputs_and_has_no_files_to_fetch(concento, node: FakeNode, tmp_path):
    node.answers["asset_get"] = {**DATASET, "kind": "model"}
    bought = concento("licence", "buy", ASSET, "--purpose", "train-generative", "--max-price", "40", "--from", "bob")
    assert "COUNT --from bob" in bought.out
    refused = concento("fetch", ASSET, str(tmp_path / "data"), "--purpose", "train-generative", "--from", "bob")
    assert refused.code == 2
    assert '"Night Bus" is a model' in refused.err


@pytest.mark.parametrize(
    ("purpose", "price", "kind", "code"),
    [
        ("train-generative", "39.999999", "licence.price_above_max", 4),
        ("redistribute", "40", "licence.wrong_purpose", 8),
        ("train-generativ", "40", "terms.unknown_purpose", 2),
    ],
)
def test_buy_refuses_before_anything_is_sent(concento, node: FakeNode, purpose, price, kind, code):
    refused = concento("licence", "buy", ASSET, "--purpose", purpose, "--max-price", price, "--from", "bob", "--json")
    assert refused.code == code
    assert refused.document["exit"] == code
    assert refused.document["error"]["data"]["kind"] == kind
    assert node.submitted() == []


def test_offer_writes_terms_and_prices_per_thousand_units(concento, node: FakeNode):
    offered = concento(
        *("licence", "offer", MEMBER, "--allow", "analysis,research-only", "--constrained", "fine-tune"),
        *("--price", "3", "--per-second", "0.001", "--duration-days", "30", "--from", "alice", "--json"),
    )
    assert offered.code == 0
    (action,) = node.submitted()[0].body.actions
    assert isinstance(action, CreateOffer)
    assert [(line.model, line.amount_ubeat) for line in action.pricing] == [
        ("one-off", 3_000_000),
        ("per-second", 1_000_000),
    ]
    assert permission(action.terms, "analysis") is Permission.ALLOW
    assert permission(action.terms, "fine-tune") is Permission.CONSTRAINED
    assert permission(action.terms, "redistribute") is Permission.DENY
    assert action.terms.duration_ms == 30 * 86_400_000
    assert offered.document["offer"] == offered.document["created"][0]["id"]


def test_offer_writes_what_is_owed_by_what_is_made_of_the_asset(concento, node: FakeNode):
    offered = concento(
        *("licence", "offer", MEMBER, "--allow", "derive-remix", "--per-output", "0.5", "--guarantee", "2"),
        *("--share", "5%", "--derived", "12.5", "--floor", "0.75", "--ceiling", "100", "--from", "alice"),
    )
    assert offered.code == 0
    (action,) = node.submitted()[0].body.actions
    assert isinstance(action, CreateOffer)
    assert action.upstream == Rate(1_250, 75, 100_000_000)
    assert [(line.model, line.amount_ubeat, line.bps) for line in action.pricing] == [
        ("guarantee", 2_000_000, 0),
        ("per-output", 500_000, 0),
        ("revenue-share", 0, 500),
    ]


@pytest.mark.parametrize("rate", ["101", "12.345", "-1", "a", "1e2"])
def test_a_rate_that_is_no_percentage_is_a_usage_error(concento, node: FakeNode, rate):
    refused = concento("licence", "offer", MEMBER, "--allow", "analysis", "--price", "0", "--derived", rate)
    assert refused.code == 2
    assert not node.submitted()


def test_revoking_asks_first_and_yes_answers(concento, node: FakeNode):
    line = ("licence", "revoke", LICENCE, "--cause", "unpaid", "--from", "alice")
    assert concento(*line).code == 2
    assert node.submitted() == []
    assert concento(*line, "--yes").code == 0
    assert node.submitted()[0].body.actions == (RevokeLicence(bytes.fromhex(LICENCE), "unpaid"),)


def test_admit_keeps_name_and_kind_of_a_party_and_sorts_roles(concento, node: FakeNode):
    line = ("identity", "admit", "alice", "--role", "gateway", "--role", "creator", "--from", "issuer")
    assert "alice is admitted as creator, gateway." in concento(*line).out
    account = parse_address(WHO["alice"], dev=True)
    assert node.submitted()[0].body.actions == (Admit(account, "alice", "person", ("creator", "gateway")),)
    concento("identity", "revoke", "alice", "--role", "gateway", "--from", "issuer", "--yes")
    assert node.submitted()[1].body.actions == (RevokeRoles(account, ("gateway",)),)


def test_statement_pages_are_put_together(concento, node: FakeNode):
    first = {**STATEMENT, "next": "c1", "earned_ubeat": "55440000"}
    node.answers["earnings_getStatement"] = lambda params: {**first, "next": None} if "cursor" in params else first
    document = concento("earnings", "alice", "--from-height", "1", "--json").document
    assert len(document["lines"]) == 2
    assert document["next"] is None
    assert node.called("earnings_getStatement")[1] == {
        "who": WHO["alice"],
        "from_height": 1,
        "to_height": 118,
        "cursor": "c1",
        "limit": 200,
    }


def test_csv_is_safe_for_spreadsheets(concento):
    table = concento("earnings", "alice", "--csv")
    assert table.code == 0
    rows = list(csv.DictReader(io.StringIO(table.out)))
    assert rows[0]["title"] == "'=Depot"
    assert rows[0]["amount_ubeat"] == "27720000"
    assert rows[0]["path"] == f"{ASSET} {MEMBER}"


def test_earnings_takes_its_options_on_both_sides_of_the_name(concento):
    assert concento("earnings", "--json", "alice").out == concento("--json", "earnings", "alice").out
    assert concento("earnings", "--from", "alice", "--json").document["who"] == "alice"


def test_transaction_is_shown_and_waited_for(concento, node: FakeNode):
    sent = concento("wallet", "send", "bob", "5", "--from", "alice", "--json").document
    shown = concento("tx", "show", sent["tx"][:8])
    assert f"Transaction {sent['tx']} is final." in shown.out
    assert "tokens.transfer" in shown.out
    waited = concento("tx", "wait", sent["tx"], "--json")
    assert (waited.code, waited.document["status"]) == (0, "final")
    assert 0 < node.called("tx_get")[-1]["wait_ms"] <= 20_000
    node.fate = "failed"
    node.fate_error = {"kind": "tokens.balance_low", "message": "too little"}
    assert concento("tx", "wait", sent["tx"]).code == 5


def test_rpc_gives_digits_as_text_where_the_method_wants_text(concento, node: FakeNode):
    concento("rpc", "chain_getBlock", "height=118")
    assert node.called("chain_getBlock")[-1] == {"height": 118}
    node.answers["asset_get"] = DATASET
    concento("rpc", "asset_get", "id=12345678", "flag=true", 'list:=["a", 1]')
    assert node.called("asset_get")[-1] == {"id": "12345678", "flag": True, "list": ["a", 1]}


def test_watch_prints_a_line_an_event_and_resumes_behind_the_last(concento, node: FakeNode):
    node.events = [
        {
            "cursor": f"5.{n}",
            "height": 5,
            "index": n,
            "time_ms": 1,
            "topic": "tokens",
            "event": {"kind": "x"},
            "text": f"e{n}",
        }
        for n in range(2)
    ]
    seen = concento("watch", "tokens", "--since", "4", "--count", "3", "--json")
    assert seen.code == 0
    lines = [json.loads(line) for line in seen.out.splitlines()]
    assert [line["cursor"] for line in lines] == ["5.0", "5.1", "5.0"]
    assert node.queries == [{"topics": ["tokens"], "from": ["4"]}, {"topics": ["tokens"], "from": ["5.1"]}]
    assert concento("watch", "--count", "1").out == "       5  e0\n"


def test_lag_is_told_and_never_silent(concento, node: FakeNode):
    after = {"cursor": "9.0", "height": 9, "index": 0, "time_ms": 1, "topic": "x", "event": {"kind": "x"}, "text": "on"}
    node.events = [{"lagged": True, "resume_from": "8"}, after]
    seen = concento("watch", "--count", "1")
    assert "left out" in seen.err
    assert seen.out == "       9  on\n"


def test_doctor_finds_open_key_files_and_says_what_to_do(concento, home: Path, password_file, node: FakeNode):
    node.answers["node_getStatus"] = {**node.answers["node_getStatus"], "time_ms": 1}
    healthy = concento("doctor", "--json")
    assert (healthy.code, healthy.document["ok"]) == (0, True)
    concento("wallet", "new", "eve", "--password-file", str(password_file))
    (home / "wallet" / "eve.json").chmod(0o644)
    sick = concento("doctor")
    assert sick.code == 8
    assert "[!] modes" in sick.out
    assert "Next: chmod go= " in sick.out


def test_doctor_notices_a_home_of_another_network_a_clock_and_a_dead_node(concento, home: Path, node: FakeNode):
    (home / "node").mkdir(parents=True)
    (home / "node" / "genesis.json").write_bytes(Path("genesis.json").read_bytes())
    status = {**node.answers["node_getStatus"], "genesis_hash": "00" * 32, "time_ms": 9_999_999_999_999}
    node.answers["node_getStatus"] = status
    failed = [check["name"] for check in concento("doctor", "--json").document["checks"] if not check["ok"]]
    assert failed == ["clock", "genesis"]
    dead = concento("doctor", "--json", "--url", "http://127.0.0.1:1")
    assert dead.code == 8
    assert [check["name"] for check in dead.document["checks"] if not check["ok"]] == ["node"]


def test_explain_knows_files_errors_and_methods(concento, tmp_path: Path, node: FakeNode):
    genesis = concento("explain", "genesis.json", "--json").document
    assert genesis["is"] == "genesis"
    assert genesis["document"]["genesis_hash"] == parse_genesis(Path("genesis.json").read_bytes()).hash.hex()
    error = concento("explain", "licence.required", "--json").document
    assert (error["is"], error["document"]["exit"]) == ("error", 8)
    assert concento("explain", "asset_get", "--json").document["is"] == "method"
    assert concento("explain", "alice", "--json").document["is"] == "account"
    node.answers["asset_get"] = lambda params: _nothing()
    assert concento("explain", cid(bytes(32)), "--json").document["is"] == "cid"


def _nothing() -> None:
    raise Refusal(-32001, "asset.not_found")


def test_explain_shows_a_block_with_what_it_paid(concento):
    shown = concento("explain", str(BLOCK_DOCUMENT["height"]))
    assert "signed by node1, node2, node3" in shown.out
    assert TX[:12] in shown.out
    assert "27.720000 BEAT" in shown.out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_for_the_shell(concento, shell):
    script = concento("completion", shell)
    assert script.code == 0
    assert "_CONCENTO_COMPLETE" in script.out


def test_gateway_status_reads_the_gateways_own_word(concento, node: FakeNode):
    shown = concento("gateway", "status", "--gateway", node.url, "--json")
    assert (shown.code, shown.document["ready"]) == (0, True)
    assert concento("gateway", "status", "--gateway", "http://127.0.0.1:1").code == 3


def test_names_for_ids_are_kept_on_this_machine(concento, home: Path, node: FakeNode):
    home.mkdir(parents=True)
    (home / "names.json").write_text(json.dumps({"nightbus": ASSET}))
    assert concento("asset", "show", "@nightbus", "--json").document["id"] == ASSET
    refused = concento("asset", "show", "@nightbuss")
    assert refused.code == 6
    assert "Did you mean nightbus?" in refused.err


def test_doctor_adds_up_the_money_of_the_network(concento, node: FakeNode):
    node.answers["node_getStatus"] = {**node.answers["node_getStatus"], "time_ms": 1}
    node.answers["chain_getSupply"] = {**node.answers["chain_getSupply"], "burnt_ubeat": "21"}
    failed = [check["name"] for check in concento("doctor", "--json").document["checks"] if not check["ok"]]
    assert failed == ["money"]


def test_from_is_completed_with_the_names_that_could_act(concento, password_file, monkeypatch, capsys):
    concento("wallet", "new", "alfred", "--password-file", str(password_file))
    monkeypatch.setenv("_CONCENTO_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "concento wallet send --from al")
    monkeypatch.setenv("COMP_CWORD", "4")
    with pytest.raises(SystemExit):
        concento()
    assert capsys.readouterr().out.split() == ["plain,alfred", "plain,alice"]


def test_a_licensee_says_how_many_outputs_a_service_may_register(concento, node: FakeNode) -> None:
    said = concento("licence", "outputs", LICENCE, "12", "--from", "bob")
    assert said.code == 0, said.err
    assert "12 outputs in all" in said.out
    (sent,) = node.submitted()
    assert sent.body.actions == (AuthoriseOutputs(bytes.fromhex(LICENCE), 12),)
