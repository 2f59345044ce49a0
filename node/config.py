"""The settings of one node: one frozen record, made from flags, environment and `node.toml` in the node's home.

These are settings of one machine. What the network must agree on stands in genesis and is never set here.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, NoReturn, get_type_hints

from concento.errors import Rejected
from concento.genesis import Genesis, parse_genesis
from node.p2p.peers import Address
from node.signer import write_private

CONFIG_FILE: Final = "node.toml"
ENVIRONMENT_PREFIX: Final = "CONCENTO_NODE_"
LOG_LEVELS: Final = ("debug", "info", "warning", "error")
LOG_FORMATS: Final = ("auto", "json", "text")
ENGINES: Final = ("own", "comet")
SYNCS: Final = ("blocks", "snapshot")
_DIGITS_MAX: Final = 18
"""Of a number in text; Python makes none of more than 4,300."""

_SPANS_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
COMET_PROFILES: Final = ("default", "tuned")


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """Everything that one node may be told. Paths are relative to `home`; addresses are host:port."""

    home: Path
    """The folder that holds all of the node's files."""
    name: str = "node"
    """What the node is called in logs and status; a validator is called what genesis calls it."""
    genesis: Path = Path("genesis.json")
    """The file of the network's first state."""
    key: Path = Path("node.key")
    """The file of the node's secret key."""
    rpc_listen: str = "127.0.0.1:26600"
    """Where clients are answered. Loopback by default: put a proxy that speaks TLS in front of anything public."""
    rpc_hosts: tuple[str, ...] = ()
    """Host names, beside loopback, under which clients may call the node; guards against DNS rebinding."""
    p2p_listen: str = "127.0.0.1:26620"
    """Where other nodes connect; they are few, known, and prove who they are."""
    peers: tuple[str, ...] = ()
    """Whom to dial: name@host:port with a name of genesis, or key@host:port with 64 hex digits."""
    observers: tuple[str, ...] = ()
    """Keys (64 hex digits) that may connect though they do not vote."""
    engine: str = "own"
    """own, or comet: the same ledger behind a CometBFT of the 0.38 line."""
    cometbft: str = "cometbft"
    """The program, by name or path, where engine is comet."""
    comet_profile: str = "default"
    """default: CometBFT's own timeouts; tuned: what its operators turn for throughput."""
    comet_rpc: str = ""
    """host:port where CometBFT's own RPC listens, for the light clients of nodes that join; empty: nowhere."""
    comet_servers: tuple[str, ...] = ()
    """comet_rpc of two or more other nodes: where a node that begins with a snapshot follows the headers."""
    comet_trust: str = ""
    """height:hash of a header of CometBFT that a node that begins with a snapshot trusts, as another operator told."""
    sync: str = "blocks"
    """How a node without a state begins: blocks (every block from the first on) or snapshot (a state of its peers)."""
    retain: str = "archive"
    """Which blocks are kept: archive (all of them) or recent SPAN, as in recent 30d; never less than others need."""
    snapshot_every: str = "1h"
    """How often a snapshot is taken for nodes that join, in block time: a span such as 30m or 6h, or never."""
    snapshots_kept: int = 2
    """How many of them are kept; each is as large as the state."""
    log_level: str = "info"
    """From here on up: debug, info, warning or error."""
    log_format: str = "auto"
    """json, text, or auto: text on a terminal, JSON lines elsewhere."""
    log_file: bool = False
    """Whether logs go to logs/node.log instead of stderr, rotating at 50 MB, three kept; for local networks."""
    tip_age_ready_ms: int = 15_000
    """Older than this, the newest block makes the node not ready: three heartbeats of the default network."""
    disk_free_ready_bps: int = 500
    """Less free space on the disk of the home makes the node not ready: 5 %, room to act before writes fail."""

    @property
    def genesis_path(self) -> Path:
        return self.home / self.genesis

    @property
    def key_path(self) -> Path:
        return self.home / self.key

    @property
    def store_path(self) -> Path:
        return self.home / "store"

    @property
    def files_path(self) -> Path:
        """Segments and the signing guard."""
        return self.home / "replica"

    @property
    def snapshots_path(self) -> Path:
        return self.home / "snapshots"

    @property
    def retain_ms(self) -> int | None:
        """How long blocks are kept at least; None for ever."""
        return None if self.retain == "archive" else _span_ms("retain", self.retain.removeprefix("recent").strip())

    @property
    def snapshot_ms(self) -> int:
        """Block time between two snapshots; 0 for none."""
        return 0 if self.snapshot_every == "never" else _span_ms("snapshot_every", self.snapshot_every)

    @property
    def log_path(self) -> Path | None:
        return self.home / "logs" / "node.log" if self.log_file else None


_SETTINGS: Final = tuple(field.name for field in fields(NodeConfig) if field.name != "home")
_KINDS: Final[dict[str, Any]] = get_type_hints(NodeConfig)


def read_config(
    home: Path, environment: Mapping[str, str] | None = None, flags: Mapping[str, object] | None = None
) -> NodeConfig:
    """The settings of the node in this home, checked. Raises Rejected, naming the setting and where it stands."""
    values: dict[str, Any] = {}
    for source, settings in (
        (str(home / CONFIG_FILE), _file_settings(home / CONFIG_FILE)),
        ("the environment", _environment_settings(os.environ if environment is None else environment)),
        ("the command line", dict(flags or {})),
    ):
        for name, value in settings.items():
            values[name] = _typed(name, value, source)
    config = NodeConfig(home=home.absolute(), **values)
    check_config(config)
    return config


def write_config(config: NodeConfig) -> None:
    """Writes what differs from the defaults, so that the file says what the operator decided."""
    lines = ["# Settings of this node; every one of them: docs/settings.md\n"]
    for field in fields(NodeConfig):
        value = getattr(config, field.name)
        if field.name != "home" and (value != field.default or field.name in ("name", "rpc_listen", "p2p_listen")):
            lines.append(f"{field.name} = {toml_value(value)}\n")
    write_private(config.home / CONFIG_FILE, "".join(lines).encode())


def check_config(config: NodeConfig) -> None:
    """Raises Rejected unless the settings make sense together."""
    parse_address(config.rpc_listen, "rpc_listen")
    parse_address(config.p2p_listen, "p2p_listen")
    if config.rpc_listen == config.p2p_listen and not config.rpc_listen.endswith(":0"):
        _refuse("p2p_listen", f"{config.p2p_listen} is rpc_listen, too")
    for setting, value, known in (
        ("log_level", config.log_level, LOG_LEVELS),
        ("log_format", config.log_format, LOG_FORMATS),
        ("engine", config.engine, ENGINES),
        ("comet_profile", config.comet_profile, COMET_PROFILES),
        ("sync", config.sync, SYNCS),
    ):
        if value not in known:
            _refuse(setting, f"{value} is none of {', '.join(known)}")
    if config.tip_age_ready_ms < 1:
        _refuse("tip_age_ready_ms", "must be above 0")
    if not 0 <= config.disk_free_ready_bps <= 10_000:
        _refuse("disk_free_ready_bps", "must be between 0 and 10000")
    if config.retain != "archive" and not config.retain.startswith("recent "):
        _refuse("retain", f"{config.retain} is neither archive nor recent SPAN, as in: recent 30d")
    if config.snapshots_kept < 1:
        _refuse("snapshots_kept", "must be above 0; to take none: snapshot_every = never")
    _ = config.retain_ms, config.snapshot_ms
    if config.comet_rpc:
        parse_address(config.comet_rpc, "comet_rpc")
    for server in config.comet_servers:
        parse_address(server, "comet_servers")
    if config.engine == "comet" and config.sync == "snapshot":
        _check_comet_sync(config)
    for key in config.observers:
        _key(key, "observers")
    for peer in config.peers:
        who, at, where = peer.partition("@")
        if not who or not at:
            _refuse("peers", f"{peer} is not name@host:port")
        parse_address(where, "peers")


def _check_comet_sync(config: NodeConfig) -> None:
    if len(config.comet_servers) < 2:
        _refuse("comet_servers", "two or more are needed to begin with a snapshot under CometBFT")
    height, _, header_hash = config.comet_trust.partition(":")
    if not _is_number(height) or len(header_hash) != 64 or not set(header_hash.lower()) <= set("0123456789abcdef"):
        _refuse("comet_trust", f"{config.comet_trust} is not height:hash, the hash of a header in 64 hex digits")


def load_genesis(config: NodeConfig) -> Genesis:
    """The genesis this node was given. Raises Rejected."""
    try:
        return parse_genesis(config.genesis_path.read_bytes())
    except OSError as error:
        raise Rejected("node.genesis_missing", path=str(config.genesis_path), reason=error.strerror) from None


def peer_targets(config: NodeConfig, genesis: Genesis, own: bytes) -> dict[bytes, Address]:
    """Whom to dial, by key; the node itself is left out, so that all nodes may share one list."""
    names = {validator.name: validator.key for validator in genesis.validators.members}
    targets = {}
    for peer in config.peers:
        who, _, where = peer.partition("@")
        key = names.get(who) or _key(who, "peers", _near(who, names))
        if key != own:
            targets[key] = parse_address(where, "peers")
    return targets


def observer_keys(config: NodeConfig) -> frozenset[bytes]:
    return frozenset(bytes.fromhex(key) for key in config.observers)


def parse_address(text: str, setting: str) -> Address:
    """host:port, or [IPv6]:port. Raises Rejected."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdigit() and len(port) <= 5) or int(port) > 65_535:
        _refuse(setting, f"{text} is not host:port")
    return Address(host.strip("[]"), int(port))


def _span_ms(setting: str, text: str) -> int:
    """A span of time as people write it: 90s, 30m, 6h, 7d. Raises Rejected."""
    number, unit = text[:-1], text[-1:]
    if not _is_number(number) or int(number) == 0 or unit not in _SPANS_MS:
        _refuse(setting, f"{text} is not a span such as 90s, 30m, 6h or 7d")
    return int(number) * _SPANS_MS[unit]


def _is_number(text: str) -> bool:
    """Decimal digits, and few enough to make a number of."""
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX


def _file_settings(path: Path) -> dict[str, Any]:
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Rejected("node.home_empty", path=str(path.parent)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise Rejected("node.config_invalid", field=path.name, reason=str(error)) from None
    except (ValueError, RecursionError) as error:
        # Malformed; or a number of thousands of digits, or lists in lists, which the decoder does not refuse itself.
        raise Rejected("node.config_invalid", field=str(path), reason=str(error)) from None
    return settings


def _environment_settings(environment: Mapping[str, str]) -> dict[str, Any]:
    return {
        name.removeprefix(ENVIRONMENT_PREFIX).lower(): value
        for name, value in sorted(environment.items())
        if name.startswith(ENVIRONMENT_PREFIX)
    }


def _typed(name: str, value: object, source: str) -> Any:
    """The value as its setting wants it; environment and flags may give text for everything."""
    if name not in _SETTINGS:
        _refuse(name, f"unknown setting in {source}{_near(name, _SETTINGS)}")
    kind = _KINDS[name]
    if kind is int and isinstance(value, str) and _is_number(value):
        return int(value)
    if kind is int and type(value) is int:
        return value
    if kind in (str, Path) and isinstance(value, str) and "\0" not in value:
        return kind(value)
    if kind is bool and value in (True, False, "true", "false"):
        return value in (True, "true")
    if kind not in (int, str, Path, bool):
        items = value.split(",") if isinstance(value, str) else value
        if isinstance(items, list | tuple) and all(isinstance(item, str) for item in items):
            return tuple(item.strip() for item in items if item.strip())
    return _refuse(name, f"{value!r} in {source} is not {_kind_name(kind)}")


def _kind_name(kind: object) -> str:
    names: dict[object, str] = {int: "a whole number", str: "text", Path: "a path", bool: "true or false"}
    return names.get(kind, "a list of texts")


def _near(name: str, names: Mapping[str, object] | tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, list(names), 1)
    return f"; did you mean {near[0]}?" if near else ""


def _key(text: str, setting: str, hint: str = "") -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        _refuse(setting, f"{text} is neither a validator of genesis nor 64 hex digits{hint}")
    return key


def toml_value(value: object) -> str:
    """A setting as it stands in the file."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str() | Path():
            return _toml_text(str(value))
        case tuple():
            return "[" + ", ".join(_toml_text(str(item)) for item in value) + "]"
        case _:
            raise TypeError(f"{type(value).__name__} is no kind of setting")


def _toml_text(text: str) -> str:
    escaped = "".join(
        f"\\u{ord(character):04x}" if ord(character) < 32 or character in '"\\\x7f' else character for character in text
    )
    return f'"{escaped}"'


def _refuse(field: str, reason: str) -> NoReturn:
    raise Rejected("node.config_invalid", field=field, reason=reason)
