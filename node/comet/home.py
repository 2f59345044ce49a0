"""The files that CometBFT runs from: made from our genesis and our node's key, in `comet/` of the node's home.

Keys, genesis and the signing state are written once, when the network or the key is new. The settings are written at
every start from node.toml, so that there is one place to change them.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from concento.cometlight import POWER, address_of, chain_id_of
from concento.errors import Rejected
from concento.genesis import Genesis
from concento.limits import BLOCK_BYTES_MAX
from node.config import NodeConfig, peer_targets
from node.signer import NodeKey, read_key, write_private

BINARY: Final = "cometbft"
VERSION: Final = "v0.38.25"
INSTALL: Final = f"go install github.com/cometbft/cometbft/cmd/cometbft@{VERSION}"
RELEASES: Final = "0.38."
PROFILES: Final[dict[str, dict[str, dict[str, object]]]] = {
    "default": {"mempool": {"size": 5_000, "cache_size": 10_000}},
    "tuned": {
        "p2p": {"send_rate": 102_400_000, "recv_rate": 102_400_000, "flush_throttle_timeout": "5ms"},
        "mempool": {"size": 100_000, "cache_size": 200_000, "max_txs_bytes": 1 << 30, "recheck": False},
        "consensus": {
            "timeout_commit": "0s",
            "skip_timeout_commit": True,
            "peer_gossip_sleep_duration": "5ms",
            "peer_query_maj23_sleep_duration": "1s",
        },
    },
}
"""What differs from CometBFT's own defaults: nothing but room, or what its operators turn for throughput."""


def comet_home(config: NodeConfig) -> Path:
    return config.home / "comet"


def find_binary(config: NodeConfig) -> str:
    """The program, of a release that speaks our ABCI. Raises Rejected, saying how to get one."""
    go_bin = os.environ.get("GOBIN") or str(Path(os.environ.get("GOPATH", Path.home() / "go")) / "bin")
    found = shutil.which(config.cometbft) or shutil.which(config.cometbft, path=go_bin)
    if found is None:
        raise Rejected("comet.binary_missing", name=config.cometbft, install=INSTALL)
    answer = subprocess.run([found, "version"], capture_output=True, text=True, check=False)
    version = answer.stdout.strip().removeprefix("v")
    if not version.startswith(RELEASES):
        raise Rejected("comet.binary_version", path=found, version=version or "unknown", install=INSTALL)
    return found


def prepare(config: NodeConfig, genesis: Genesis) -> None:
    """Makes genesis, keys and signing state for a key that has never signed on this chain. Raises Rejected."""
    home = comet_home(config)
    if home.exists():
        raise Rejected("node.home_exists", path=str(home))
    key = read_key(config.key_path)
    # The key's address is the node's id, too: peers find it in genesis.
    _write(home / "config" / "node_key.json", {"priv_key": _private(key)})
    _write(home / "data" / "priv_validator_state.json", {"height": "0", "round": 0, "step": 0})
    _write(home / "config" / "priv_validator_key.json", _validator_key(key))
    _write(home / "config" / "genesis.json", genesis_document(genesis))


def check(config: NodeConfig) -> None:
    """Raises Rejected where something is missing: the signing state is never made anew for a key that has signed."""
    home = comet_home(config)
    for name in (
        "config/genesis.json",
        "config/node_key.json",
        "config/priv_validator_key.json",
        "data/priv_validator_state.json",
    ):
        if not (home / name).exists():
            raise Rejected("comet.home_incomplete", path=str(home / name))


def forget_blocks(config: NodeConfig) -> None:
    """Throws away what CometBFT has decided and keeps what it has signed."""
    for entry in (comet_home(config) / "data").iterdir():
        if entry.name == "priv_validator_state.json":
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def write_settings(config: NodeConfig, genesis: Genesis) -> None:
    """Writes config.toml: where to listen, whom to dial, and the profile; everything else is CometBFT's default."""
    targets = peer_targets(config, genesis, read_key(config.key_path).public)
    heartbeat_ms = genesis.params.consensus.heartbeat_ms
    settings: dict[str, dict[str, object]] = {
        "p2p": {
            "laddr": f"tcp://{config.p2p_listen}",
            "persistent_peers": ",".join(
                f"{address_of(key).hex()}@{address.host}:{address.port}" for key, address in sorted(targets.items())
            ),
            "addr_book_strict": False,
            "allow_duplicate_ip": True,
            "pex": False,
        },
        "rpc": {"max_body_bytes": 64 << 20, "max_request_batch_size": 0},
        "mempool": {},
        "consensus": {"create_empty_blocks": False, "create_empty_blocks_interval": f"{heartbeat_ms}ms"},
        "tx_index": {"indexer": "null"},
        "instrumentation": {"prometheus": False},
    }
    if config.sync == "snapshot":
        height, _, header_hash = config.comet_trust.partition(":")
        settings["statesync"] = {
            "enable": True,
            "rpc_servers": ",".join(f"http://{server}" for server in config.comet_servers),
            "trust_height": int(height),
            "trust_hash": header_hash,
            "discovery_time": "5s",
        }
    for section, values in PROFILES[config.comet_profile].items():
        settings[section].update(values)
    is_quiet = config.log_level == "error" or config.comet_profile == "tuned"
    head = {"moniker": config.name, "log_level": "error" if is_quiet else "info"}
    lines = ["# Written at every start of the node; see node.toml.", *_lines(head)]
    for section, values in settings.items():
        lines += ["", f"[{section}]", *_lines(values)]
    path = comet_home(config) / "config" / "config.toml"
    write_private(path, ("\n".join(lines) + "\n").encode())


def genesis_document(genesis: Genesis) -> dict[str, Any]:
    """CometBFT's genesis: our validators with one vote each, and the hash of our genesis as the app's state."""
    born = datetime.fromtimestamp(genesis.time_ms // 1000, UTC)
    age_ms = genesis.params.consensus.evidence_age_ms
    return {
        "genesis_time": f"{born:%Y-%m-%dT%H:%M:%S}.{genesis.time_ms % 1000:03d}Z",
        "chain_id": chain_id_of(genesis),
        "initial_height": "1",
        "consensus_params": {
            "block": {"max_bytes": str(BLOCK_BYTES_MAX), "max_gas": "-1"},
            "evidence": {
                "max_age_num_blocks": "100000",
                "max_age_duration": str(age_ms * 1_000_000),
                "max_bytes": str(1 << 20),
            },
            "validator": {"pub_key_types": ["ed25519"]},
            "version": {"app": str(genesis.protocol)},
            "abci": {"vote_extensions_enable_height": "0"},
        },
        "validators": [
            {
                "address": address_of(member.key).hex().upper(),
                "pub_key": {"type": "tendermint/PubKeyEd25519", "value": _base64(member.key)},
                "power": str(POWER),
                "name": member.name,
            }
            for member in genesis.validators.members
        ],
        "app_hash": "",
        "app_state": {"genesis_hash": genesis.hash.hex()},
    }


def _validator_key(key: NodeKey) -> dict[str, Any]:
    return {
        "address": address_of(key.public).hex().upper(),
        "pub_key": {"type": "tendermint/PubKeyEd25519", "value": _base64(key.public)},
        "priv_key": _private(key),
    }


def _private(key: NodeKey) -> dict[str, str]:
    return {"type": "tendermint/PrivKeyEd25519", "value": _base64(key.seed + key.public)}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _lines(values: dict[str, Any]) -> list[str]:
    # What JSON writes for text, whole numbers and booleans is TOML, too.
    return [f"{name} = {json.dumps(value)}" for name, value in values.items()]


def _write(path: Path, document: dict[str, Any]) -> None:
    write_private(path, (json.dumps(document, separators=(",", ":")) + "\n").encode())
