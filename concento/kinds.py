"""Every reason for which input is refused or a service is not available: kind -> (sentence, hint or None).

A sentence names the numbers involved as {name}; a hint names the next command.
Kinds are stable: clients branch on them. Sorted by prefix; a kind is never renamed and never used for two meanings.
"""

from __future__ import annotations

from typing import Final

from concento.kinds_governance import GOVERNANCE_KINDS
from concento.kinds_revenue import REVENUE_KINDS

KINDS: Final[dict[str, tuple[str, str | None]]] = {
    "account.not_found": (
        "no account is known as {text}",
        "write an address, the beginning of one, or a name such as @alice; see: concento identity list",
    ),
    "address.checksum": ("address {text} has a wrong checksum", "copy the address again; one character is wrong"),
    "address.malformed": ("{text} is not an address", "an address looks like conc1q... (tconc1q... in development)"),
    "address.network": (
        "address {text} belongs to a network with prefix {prefix}, this one uses {expected}",
        "use an address of this network",
    ),
    "amount.decimals": ("amount {text} has more than 6 decimals", "1 BEAT has 6 decimals; round the amount"),
    "amount.malformed": ("{text} is not an amount of BEAT", "write for example 12.50"),
    "amount.range": ("amount {amount} is outside {minimum} to {maximum} ubeat", "1 BEAT is 1000000 ubeat"),
    "asset.description_invalid": ("{field} cannot be written so: {reason}", None),
    "asset.duplicate_content": (
        "{path} is registered already, as asset {asset} of {owner}",
        "see: concento asset show {asset}",
    ),
    "asset.exists": ("asset {asset} is registered already", "see: concento asset show {asset}"),
    "asset.identifier_invalid": ("{text} is not an {scheme}: {reason}", None),
    "asset.leg_not_a_work": ("asset {asset} is a {asset_kind}; only works stand behind a recording", None),
    "asset.legs_order": ("legs are works, each once, and then the recording's own table", None),
    "asset.legs_sum": (
        "the legs sum to {total} bps, not to {expected}, or one carries nothing",
        "write for example --layers work=50,recording=50",
    ),
    "asset.not_found": ("there is no asset {text}", "see: concento asset search"),
    "asset.not_owner": ("asset {asset} belongs to {owner}", "see: concento asset show {asset}"),
    "asset.not_sealed": (
        "asset {asset} is a dataset that is still open",
        "its owner finishes it with: concento asset add, which seals it",
    ),
    "asset.not_sublicensable": (
        "asset {asset} belongs to {owner}, and its terms do not let others license it on",
        "ask its owner, or leave it out: concento asset show {asset}",
    ),
    "asset.part_invalid": ("file {path} cannot be registered: {reason}", None),
    "asset.retired": (
        "asset {asset} is retired: what was sold stays valid, nothing new is sold",
        "find another: concento asset search",
    ),
    "asset.split_order": ("the rows of {field} must be sorted by account, each account once", None),
    "asset.split_sum": (
        "the shares of {field} sum to {total}, not to {expected}",
        "write for example --split alice=70,bea=30",
    ),
    "asset.version_stale": (
        "version {given} does not follow version {version} of asset {asset}",
        "read it again: concento asset show {asset}",
    ),
    "audio.repeated": ("{path} has the same bytes as {other}", None),
    "audio.silent": ("{path} contains no samples", None),
    "audio.truncated": ("{path} is cut short: {reason}", "copy the file again from its source"),
    "audio.unreadable": ("{path} cannot be decoded: {reason}", "WAV, FLAC, OGG, MP3 and AIFF files can be registered"),
    "batch.invalid": ("the batch is not valid: {reason}", None),
    "block.full": ("the block at height {height} has no room left for this transaction", "it stays pending; wait"),
    "block.invalid": ("block {height} is not valid: {reason}", None),
    "block.not_found": ("there is no block {text}; the newest is {height}", None),
    "block.pruned": ("block {text} is no longer kept; the oldest is {oldest_height}", "ask an archive node"),
    "cid.malformed": ("{text} is not a CID of this network (CIDv1, raw, sha2-256)", "a CID looks like bafkrei..."),
    "comet.binary_missing": ("there is no program {name} on this machine", "get one with: {install}"),
    "comet.binary_version": (
        "{path} is of version {version}, the 0.38 line is needed",
        "get one with: {install}",
    ),
    "comet.home_incomplete": (
        "{path} is missing, and a key that may have signed gets no new signing state",
        "begin with a new key, or start the local network over: concento testnet up --reset --engine comet",
    ),
    "commit.invalid": ("the commit of block {height} does not prove finality: {reason}", None),
    "dataset.curator_splits": (
        "with {member_bps} bps for the members the curator's splits must take the rest, and only the rest",
        None,
    ),
    "dataset.empty": ("dataset {dataset} has no members", "add some with: concento asset add FOLDER"),
    "dataset.member_kind": ("asset {member} is a {asset_kind}; a dataset holds recordings and datasets", None),
    "dataset.member_twice": ("asset {member} is a member of dataset {dataset} already", None),
    "dataset.member_without_duration": ("asset {member} has no duration to weigh it by", "use rule equal or bytes"),
    "dataset.nested_many": ("{count} datasets would be inside this one, at most {count_max} are possible", None),
    "dataset.no_audio": (
        "no file in {path} can be registered: {reason}",
        "WAV, FLAC, OGG, MP3 and AIFF files can be registered",
    ),
    "dataset.no_folder": ("{path} is not a folder", "name the folder that holds the audio files"),
    "dataset.not_a_dataset": ("asset {asset} is not a dataset", "see: concento asset show {asset}"),
    "dataset.sealed": (
        "dataset {dataset} is sealed: its members are fixed",
        "register a new version that names this one as a member",
    ),
    "dataset.too_large": (
        "the members together would have {recordings} recordings of {duration_ms} ms, or too many bytes to count",
        None,
    ),
    "encoding.invalid": ("these bytes are not a valid {what}: {reason}", None),
    "encoding.not_canonical": ("these bytes are a {what}, but not in its one canonical form", None),
    "encoding.too_large": ("{what} has {bytes} bytes, at most {bytes_max} are allowed", None),
    "evidence.invalid": ("the evidence of height {height} does not hold", None),
    "fetch.content_mismatch": (
        "the gateway sent other bytes than those registered for {path}",
        "fetch from another gateway; nothing was signed for this file",
    ),
    "fetch.lane_refused": ("no lane could be opened: {reason}", "see: concento licence list"),
    "fetch.lane_used": ("lane {lane} has been used before", "fetch again: every run opens a lane of its own"),
    "fetch.path_unsafe": ("the path {path} would leave the target folder", None),
    "fetch.receipt_wrong": ("the gateway's receipt is wrong: {reason}", "fetch from another gateway"),
    "explain.unknown": (
        "{text} is nothing that this program or its node knows.{suggestion}",
        "explain takes an id, address, name, CID, block height, method, error kind or file",
    ),
    "file.unreadable": ("{path} cannot be read: {reason}", "check its name and its owner, or name another file"),
    "file.unwritable": ("{path} cannot be written: {reason}", "check the folder's owner, its disk and its space"),
    "gateway.content_changed": (
        "the gateway's copy of {cid} is not the registered file any more; nothing was sent",
        "tell the gateway's operator to restore the file from its source",
    ),
    "gateway.http": ("the gateway refuses this request: {reason} ({status})", "about the chain ask a node: --url URL"),
    "gateway.log_damaged": (
        "the receipt log {path} is damaged at byte {offset}",
        "restore it from a backup: receipts in it may not be anchored yet",
    ),
    "gateway.no_account": (
        "the gateway has no account with role gateway",
        "admit it: concento identity admit WHO --role gateway",
    ),
    "gateway.no_file": ("asset {asset} has no file {path}", "see: concento asset show {asset}"),
    "gateway.not_the_same": ("this gateway is account {found}, not {expected}", "check the gateway's URL"),
    "gateway.session_foreign": (
        "this session was not signed by the licensee's lane key",
        "open a lane with: concento fetch",
    ),
    "gateway.session_stale": ("the session request is {age_ms} ms old, or was used before", "open a new session"),
    "gateway.session_unknown": ("there is no such session", "open a new session"),
    "gateway.units_exhausted": (
        "the lane has {units_open} units and {units} are used",
        "open another lane with: concento fetch",
    ),
    "gateway.voucher_due": ("{units} units are not signed for yet", "send the voucher for what was received first"),
    "gateway.voucher_wrong": (
        "the voucher covers {size} receipts, the lane has {expected}",
        "ask the gateway for the state of the lane",
    ),
    "genesis.invalid": ("genesis is not valid: {field}: {reason}", "see docs/protocol/genesis.md for every field"),
    "genesis.missing": (
        "there is no genesis file in {home}",
        "name one with --genesis FILE; get it from somebody you trust, not from the node you check",
    ),
    "guard.exists": (
        "this node has a signing guard already",
        "keep it: a second one could sign what the first one forbids",
    ),
    "id.ambiguous": ("{text} is the beginning of {count} ids", "type more of it"),
    "id.malformed": (
        "{text} is not an id: 64 lower-case hex digits, or the first 8 or more of them",
        "find it with: concento asset list, concento licence list or concento wallet history",
    ),
    "history.pruned": (
        "this node began with a snapshot at block {height} and does not know what was before",
        "ask an archive node",
    ),
    "identity.account_unknown": (
        "the chain knows no account {account}",
        "admit it first with: concento identity admit WHO --role ROLE",
    ),
    "identity.issuer_in_genesis_only": ("role issuer is given and taken in genesis only", None),
    "identity.name_differs": (
        "this account is the party {name}, not {given}",
        "use the name and kind under which it was admitted; only roles are added",
    ),
    "identity.name_taken": ("another party is called {name}", "choose another name"),
    "identity.not_a_placeholder": ("{account} is no placeholder, or is bound already", None),
    "identity.party_required": (
        "account {account} is not an admitted party",
        "ask an issuer for: concento identity admit WHO --role ROLE",
    ),
    "identity.payout_invalid": (
        "payout {mode} with amount {amount_ubeat} and period {period_ms} ms is not possible",
        "min takes an amount, every a period of {period_ms_min} to {period_ms_max} ms, now neither",
    ),
    "identity.placeholder": (
        "{account} is a placeholder: nobody holds its keys",
        "use the account of whoever stands behind it",
    ),
    "identity.role_required": (
        "account {account} does not have role {role}",
        "an issuer gives it: concento identity admit {account} --role {role}; "
        "who has it: concento identity list --role {role}",
    ),
    "identity.roles_invalid": ("roles must be sorted and distinct", None),
    "json.invalid": ("this is not a valid {what}: {reason}", None),
    "key.invalid": ("public key {key} is not a usable Ed25519 key", "make a new key with: concento wallet new NAME"),
    "key.unknown_form": (
        "{text} is not a state key",
        "for example account/ADDRESS, asset/ID, licence/ID or receipt/ID",
    ),
    "label.not_found": (
        "no id is named @{text} on this machine.{suggestion}",
        "name one with: concento asset add FOLDER --name NAME",
    ),
    "lane.closed": ("this lane of licence {licence} is closed", "open another: concento fetch does"),
    "lane.closing": ("lane {lane} of licence {licence} is closing already", None),
    "lane.no_units": ("lane {lane} would lock no units", "name how many accesses or seconds it is for"),
    "lane.not_found": (
        "licence {licence} has no lane {lane} at gateway {gateway}",
        "the licensee opens one first: concento fetch does",
    ),
    "lane.taken": (
        "lane {lane} of licence {licence} is {state}, or has another key",
        "use a lane number that was never used",
    ),
    "lane.too_many": (
        "licence {licence} has {lanes_max} open lanes already",
        "close one first; a lane is free again after its anchor window",
    ),
    "lane.units_range": ("lane {lane} would lock more than {units_max} units", None),
    "licence.deposit_locked": (
        "{free_beat} BEAT of the deposit of licence {licence} are free, not {amount_beat}",
        "close its lanes first; what they lock is free after their anchor window",
    ),
    "licence.deposit_low": (
        "{units} units do not fit the deposit: {free_beat} BEAT of it are free, {missing_beat} are missing",
        "concento fetch adds to the deposit of licence {licence} by itself, or open fewer units",
    ),
    "licence.deposit_short": (
        "{free_beat} BEAT of the deposit of licence {licence} are free, {amount_beat} are needed",
        "the licensee tops it up first",
    ),
    "licence.deposit_unneeded": (
        "offer {text} has no price for use, so a deposit would never be needed",
        "leave the deposit out",
    ),
    "licence.ended": ("licence {licence} is {state} already", "see: concento licence show {licence}"),
    "licence.exhausted": (
        "all {units} units of licence {licence} are used",
        "buy another one: concento licence show {licence}",
    ),
    "licence.expired": (
        "licence {licence} expired at {expires_ms}, block time is {time_ms}",
        "buy another one: concento licence show {licence}",
    ),
    "licence.no_offer": (
        'nobody offers a licence for "{title}"',
        "find another: concento asset search --purpose {purpose}",
    ),
    "licence.no_share": ("licence {licence} asks for no share of revenue", None),
    "licence.no_subscription": (
        "licence {licence} is not bought by the period",
        "see how it is sold: concento licence show {licence}",
    ),
    "licence.not_found": ("there is no licence {text}", "see: concento licence list"),
    "licence.not_yours": (
        "licence {licence} belongs to {licensee}",
        "see your own: concento licence list",
    ),
    "licence.own_asset": ("asset {asset} is your own, it needs no licence", None),
    "licence.price_above_max": (
        "the price is {price} BEAT, more than the {price_max} BEAT that the buyer allows",
        "concento licence buy {asset} --purpose {purpose} --max-price {price}",
    ),
    "licence.quota_low": (
        "licence {licence} has {free} units free, not {units}",
        "open fewer units, or close another lane",
    ),
    "licence.required": (
        "no licence for asset {asset} permits {purpose}",
        "concento licence buy {asset} --purpose {purpose} --max-price {price}",
    ),
    "licence.revoked": ("licence {licence} was revoked: {cause}", "see: concento licence show {licence}"),
    "licence.terms_changed": (
        "offer {offer} has terms {found}, not the {expected} that the buyer saw",
        "read the offer again, then buy",
    ),
    "licence.tier_required": (
        "this licence is for buyers of tier {tier}, which no issuer attests on this network",
        None,
    ),
    "licence.wrong_purpose": (
        "the offer for asset {asset} does not permit {purpose}",
        "find one that does: concento asset search --purpose {purpose}",
    ),
    "node.config_invalid": ("setting {field}: {reason}", "see: concento node run --help, docs/settings.md"),
    "node.genesis_missing": (
        "the genesis {path} cannot be read: {reason}",
        "copy the network's genesis.json there, or name it in node.toml: genesis",
    ),
    "node.guard_foreign": (
        "the signing guard in {path} belongs to another key or another chain",
        "put back the key that belongs to it; a new key needs a new home: concento node init",
    ),
    "node.home_empty": ("there is no node in {path}", "make one with: concento node init, or check --home"),
    "node.home_exists": ("there is a node in {path} already", "choose another folder"),
    "node.key_development": (
        "{path} holds a development key, which everybody knows; this network is no development network",
        "make a key of your own: concento node init",
    ),
    "node.key_exists": ("there is a key at {path} already", "keep it; a new key needs a new home"),
    "node.key_invalid": ("{path} is not a usable node key: {reason}", "put back the node's own key file"),
    "node.key_missing": ("there is no node key at {path}", "make one with: concento node init"),
    "node.key_open": ("the key {path} can be read by others (mode {mode})", "run: chmod 600 {path}"),
    "node.locked": ("the node in {path} is running already, as process {pid}", "stop it first: kill {pid}"),
    "node.protocol_new": (
        "from block {height} on this network speaks protocol {protocol}; this release knows up to {protocol_max}",
        "install a release that speaks protocol {protocol}, then start the node again: concento node run",
    ),
    "node.optimised": ("a node does not run under python -O, which removes checks", "start it without -O"),
    "offer.closed": ("offer {offer} is closed", "see the open ones: concento asset search"),
    "offer.exclusive": (
        "exclusive licences cannot be offered: an asset may be licensed through any dataset that holds it",
        "offer it without exclusivity, with a supply of 1 if you like",
    ),
    "offer.exists": ("offer {offer} exists already", None),
    "offer.expired": (
        "offer {offer} was open until {expires_ms}, block time is {time_ms}",
        "see the open ones: concento asset search",
    ),
    "offer.expiry_past": ("the offer would end at {expires_ms}, before block time {time_ms}", None),
    "offer.layer_missing": (
        "asset {asset} cannot be licensed for {layers}: it lacks a layer, or the recordings are left out",
        "see its layers: concento asset show {asset}",
    ),
    "offer.layers_order": ("layers are work and recording, in this order, each once", None),
    "offer.limit_unmetered": (
        "use is counted per {unit}, so the other limit of these terms could not be kept",
        "limit what is counted",
    ),
    "offer.not_found": ("there is no offer {text}", "see: concento asset show"),
    "offer.not_yours": ("offer {offer} belongs to {owner}", None),
    "offer.period_missing": (
        "a subscription needs terms with a duration",
        "say how long a period lasts",
    ),
    "offer.permits_nothing": (
        "these terms permit nothing on asset {asset}",
        "see: concento licence offer --help",
    ),
    "offer.pricing_invalid": (
        "pricing {models} is not possible",
        "free alone, or at most one each of: one-off or subscription; guarantee, beside what it is an advance on; "
        "per-access or per-second, with ascending tiers; per-output; revenue-share",
    ),
    "offer.sold_out": ("all {supply} licences of offer {offer} are sold", "see: concento asset search"),
    "offer.terms_exceed": (
        "the offer goes beyond what the owners of asset {asset} allow: {field}",
        "see what they allow: concento asset show {asset}",
    ),
    "offer.upstream_invalid": (
        "{rel_bps} and {abs_bps} basis points cannot be asked of what is made from the asset",
        "ask for more than nothing and for at most 10,000 in all",
    ),
    "offer.works_left_out": (
        "the members of dataset {asset} have works, which are paid of everything that it earns",
        "offer it for both layers, or offer its recordings one by one",
    ),
    "peer.frame": ("a frame of {bytes} bytes; 1 to {bytes_max} are allowed", None),
    "peer.message": ("a peer sent what no honest node sends: {reason}", None),
    "peer.refused": ("the connection was refused: {reason}", "see docs/protocol/peers.md"),
    "party.not_found": (
        "{text} is not an admitted party",
        "an issuer admits it: concento identity admit WHO --role ROLE",
    ),
    "policy.invalid": ("a policy of {threshold} of {keys} keys is not possible: {reason}", None),
    "port.in_use": (
        "port {port} is held by process {pid} ({command})",
        "stop it, or take others: make testnet BASE_PORT=28000, concento testnet up --base-port 28000, node.toml",
    ),
    "port.unusable": ("nothing can listen on {host}:{port}: {reason}", "choose another address"),
    "proof.engine": (
        "this network is decided by CometBFT, whose headers do not commit to this",
        "prove a record of the state instead: concento proof get account/NAME",
    ),
    "proof.trust_damaged": (
        "what this machine knows of the validators cannot be read from {path}: {reason}",
        "remove the file to begin again from genesis",
    ),
    "proof.invalid": ("the proof does not hold: {reason}", None),
    **GOVERNANCE_KINDS,
    **REVENUE_KINDS,
    "rpc.answer_too_large": (
        "the answer has {bytes} bytes, at most {bytes_max} are sent",
        "ask for less: a smaller limit, or a page",
    ),
    "rpc.batch_too_long": ("{count} requests in one batch, at most {count_max} are answered", "send several batches"),
    "rpc.body_too_full": ("a request has at most {count_max} values", "send several requests"),
    "rpc.body_too_large": ("a request has at most {bytes_max} bytes", "send several requests"),
    "rpc.cursor_malformed": ("{text} is not a cursor of this list", 'use the "next" of the page before, unchanged'),
    "rpc.forbidden": ("{method} answers only programs on the node's own machine", "run it there"),
    "rpc.method_unknown": ("no method is called {method}.{suggestion}", None),
    "rpc.param_invalid": ("parameter {name} of {method} is not valid: {reason}", None),
    "rpc.param_missing": ("{method} needs the parameter {name}", None),
    "rpc.param_unknown": ("{method} has no parameter {name}", "its parameters: {names}"),
    "rpc.params_too_many": ("{method} takes at most {count_max} parameters, not {count}", None),
    "rpc.streams_full": ("{count} streams are open on this node", "close one, or ask another node"),
    "rpc.subscription_unknown": ("this connection has no subscription {text}", None),
    "rpc.subscriptions_full": ("a connection has at most {count_max} subscriptions", "open another connection"),
    "rpc.waits_full": ("{count} requests wait on this node already", "ask again without wait_ms"),
    "rpc.websocket_needed": ("{method} needs a WebSocket: connect to /ws", "or read the event stream at /events"),
    "split.layers": (
        "{work_bps} bps for the work leave nothing for one of the two layers",
        "for example --layers work=50,recording=50",
    ),
    "split.layers_malformed": (
        "{text} does not divide 100 % between work and recording",
        "for example --layers work=50,recording=50",
    ),
    "split.malformed": ("{text} is not a percentage", "write for example --split alice=70,bea=30"),
    "split.nothing": ("a share of 0 % in a split gives nothing", "leave that name out"),
    "split.repeated": ("account {account} appears twice in one split", "add its shares up, and name it once"),
    "split.sum": ("the split sums to {percent} %, not to 100 %", "write for example --split alice=70,bea=30"),
    "statement.differs": (
        "block {height} has paid {proved} ubeat, the statement's lines of it say {claimed}",
        "ask another node for the statement: concento earnings --out FILE --url URL",
    ),
    "statement.invalid": ("the statement does not hold: {reason}", None),
    "statement.period": ("a statement from height {from_height} to {to_height} has no heights", None),
    "snapshot.invalid": ("the snapshot is not one of this network: {reason}", None),
    "store.corrupt": (
        "the store {path} is damaged: {reason}",
        "run: concento node repair; if that does not help: concento node resync",
    ),
    "store.exists": ("{path} holds a store already", "use another folder, or run the node that is there"),
    "store.foreign": (
        "the store {path} belongs to chain {found}, this node to {expected}",
        "check --home; to begin again on this chain run: concento node resync",
    ),
    "store.format": (
        "the store {path} has format {found}, this release reads format {expected}",
        "run: concento node resync; a local network begins again with: concento testnet up --reset",
    ),
    "store.locked": ("the store {path} is in use by another process", "stop the other node first: concento doctor"),
    "store.lost": ("the store {path} cannot be repaired: {reason}", "run: concento node resync"),
    "store.missing": ("there is no store at {path}", "make one with: concento node init, or run: concento node resync"),
    "store.missing_keys": (
        "the store {path} holds {found} {what} where its commit record counts {expected}",
        "run: concento node repair; if that does not help: concento node resync",
    ),
    "store.unusable": ("the store {path} cannot be used: {reason}", "check the folder's owner, its disk and its space"),
    "terms.invalid": ("the terms are not valid: {field}: {reason}", None),
    "terms.unknown_purpose": (
        "{purpose} is not a purpose of the licence vocabulary",
        "see: concento licence offer --help",
    ),
    "testnet.absent": ("there is no local network in {home}", "start one with: concento testnet up"),
    "testnet.already_up": ("{name} is running already", "see: concento testnet status"),
    "testnet.damaged": ("{path} cannot be read", "start over with: concento testnet up --reset"),
    "testnet.engine": (
        "the nodes of a network with engine {engine} can be neither cut, slowed nor made to lie",
        "start one whose engine is our own: concento testnet up --reset --engine own",
    ),
    "testnet.down": ("no node of the network in {home} runs", "start it with: concento testnet up --detach"),
    "testnet.mode_unknown": ("no node lies like this: {mode}", "choose of: {modes}"),
    "testnet.no_such_node": ("this network has no {name}, only {names}", "see: concento testnet status"),
    "testnet.not_decided": ("the validators did not decide it: {reason}", "see: concento gov list"),
    "testnet.not_dev": ("{chain_id} is not a development network", "a local network needs a genesis with dev: true"),
    "testnet.not_running": ("{name} is not running", "start it with: concento testnet start {name}"),
    "testnet.other_genesis": (
        "the network in {path} was started from another genesis",
        "delete it and start over with: concento testnet up --reset",
    ),
    "testnet.size": ("a local network has 1 to {nodes_max} nodes, not {nodes}", None),
    "testnet.split_invalid": (
        "{text} is no split of the network: {reason}",
        "name the parts like this: concento testnet partition node1,node2/node3,node4",
    ),
    "text.invalid": ("{field} cannot be written so: {reason}", "remove what cannot be seen, and extra spaces"),
    "tokens.amount_zero": ("an amount of nothing cannot be sent", None),
    "tokens.balance_low": (
        "the balance is {balance_beat} BEAT, less than the {needed_beat} BEAT needed",
        "see: concento wallet history WHO; on a development network: concento wallet send WHO BEAT --from treasury",
    ),
    "tx.authority": (
        "the signatures do not meet the policy of {account}",
        "sign with exactly as many of the account's keys as its policy asks: concento wallet balance",
    ),
    "tx.check_failed": (
        "this node could not check the transaction ({reason}); that is a mistake of the node, not yours",
        "submit it to another node, and tell the operator to look for admission.broken in the log",
    ),
    "tx.duplicate": ("transaction {tx} is in the chain already", "see: concento tx show {tx}"),
    "tx.expired": ("the transaction was valid until {valid_until_ms}, block time is {time_ms}", "make another one"),
    "tx.fee_too_low": ("the fee is {fee}, more than the {max_fee} ubeat that the sender allows", "raise max_fee"),
    "tx.field_invalid": ("{field} cannot be like this: {reason}", None),
    "tx.file_invalid": (
        "{path} is no transaction that can be signed or sent: {reason}",
        "make one with: concento tx build FILE COMMAND...",
    ),
    "tx.malformed": ("the transaction is malformed: {reason}", None),
    "tx.not_found": (
        "no transaction {text} was ever seen here",
        "copy its id again, or look for it in: concento wallet history",
    ),
    "tx.pruned": (
        "transaction {text} is in no block that this node keeps, from {oldest_height} on",
        "ask an archive node",
    ),
    "tx.signature": ("signature {index} of the transaction does not verify", "sign it again for this network"),
    "tx.too_early": (
        "the transaction is valid until {valid_until_ms}, more than {window_ms} ms after block time {time_ms}",
        "choose an expiry within the window",
    ),
    "tx.too_heavy": (
        "the transaction weighs {weight}, more than the {weight_max} of a whole block",
        "split it into several transactions",
    ),
    "tx.unsigned": ("nobody has signed the transaction in {path}", "sign it with: concento tx sign {path}"),
    "tx.wrong_chain": (
        "the transaction was signed for another network ({chain_id})",
        "check the network with: concento node status",
    ),
    "url.malformed": ("{text} is not the URL of a node", "write for example http://127.0.0.1:26600"),
    "validators.invalid": (
        "a set of {count} validators, or with a key twice, is not possible (at most {count_max})",
        None,
    ),
    "voucher.foreign": ("the voucher is not one for lane {lane} of licence {licence}, by its key", None),
    "voucher.size_differs": ("the voucher signs {size} receipts where {expected} would be anchored", None),
    "voucher.units_exceeded": (
        "the voucher signs {units} units, {units_max} are locked for the lane",
        "the licensee opens more with: concento fetch",
    ),
    "wallet.contacts_damaged": ("the address book {path} is damaged: {reason}", "mend or remove the file"),
    "wallet.dev_refused": (
        "{name} is an account of development networks, and this network is not one",
        "make a key of your own with: concento wallet new NAME",
    ),
    "wallet.file_cut": (
        "key file {path} is cut short ({bytes} bytes)",
        "restore it from a copy, or from its words with: concento wallet import NAME",
    ),
    "wallet.file_damaged": (
        "key file {path} is damaged: {reason}",
        "restore it from a copy, or from its words with: concento wallet import NAME",
    ),
    "wallet.file_foreign": ("{path} is not a key file", "name a file that concento wallet export has written"),
    "wallet.file_version": (
        "key file {path} has version {found}, this release reads version {expected}",
        "use a newer release of this software",
    ),
    "wallet.key_not_found": (
        "there is no key named {name} in this wallet",
        "see: concento wallet list; or make it with: concento wallet new {name}",
    ),
    "wallet.name_invalid": (
        "{name} cannot be a name in the wallet",
        "use up to 63 lower-case letters, digits, dots and dashes",
    ),
    "wallet.name_taken": ("the wallet has a key or contact named {name} already", "choose another name"),
    "wallet.password_differs": ("the two passwords differ", "type the same password twice"),
    "wallet.password_empty": ("a key file needs a password of at least one visible character", "choose one"),
    "wallet.password_missing": (
        "the password of {name} is needed, and there is no terminal to ask at",
        "use --password-file FILE or set CONCENTO_PASSWORD_FILE",
    ),
    "wallet.password_wrong": (
        "this is not the password of {name}",
        "try again; if it is lost, only the words help: concento wallet import NAME",
    ),
    "wallet.phrase_invalid": ("these are not the words of a key: {reason}", "type them again, in their order"),
    "wallet.rotate_development": (
        "{name} is an account of development networks, and its key is the one that everybody knows",
        "make an account of your own with: concento wallet new NAME",
    ),
}

UNAVAILABLE: Final[dict[str, tuple[str, str | None]]] = {
    "testnet.not_ready": ("{name} did not become ready; its log ends with: {last}", "read the log: {log}"),
    "tx.outcome_unknown": (
        "what became of transaction {tx} is not known yet",
        "ask again: concento tx wait {tx}",
    ),
    "gateway.busy": ("the gateway sends {count} files at once and takes no more", "try again in a moment"),
    "gateway.content_missing": (
        "the gateway does not hold {cid}",
        "its operator can copy the file in; the licence stays valid",
    ),
    "gateway.unreachable": ("no gateway answers at {url}: {reason}", "see: concento gateway status"),
    "node.unreachable": ("no node answers at {url}: {reason}", "start one with: concento testnet up"),
    "comet.silent": ("CometBFT does not answer ({method})", "try again in a moment; its log is logs/cometbft.log"),
    "node.stopping": ("the node is being stopped", "ask another node, or this one again in a moment"),
    "node.observer": ("this node does not validate and takes no transactions", "submit to a validator"),
    "node.syncing": (
        "the node is behind and catching up (at height {height})",
        "ask again in a moment, or ask another node",
    ),
    "store.damaged": ("the node's disk is damaged: {what}", "ask another node; its operator stops it and runs: {mend}"),
    "proof.no_block": ("no block has committed to the newest state within {seconds} s", "ask again in a moment"),
    "node.busy": ("the node is full: {count} transactions wait already", "try again in a moment"),
}
