"""What the global options say, wherever on the command line they stand."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

DEFAULT_URL: Final = "http://127.0.0.1:26600"


def default_home(environ: Mapping[str, str]) -> Path:
    """CONCENTO_HOME, else `concento` in the XDG data folder."""
    named = environ.get("CONCENTO_HOME")
    if named:
        return Path(named)
    data = environ.get("XDG_DATA_HOME") or str(Path(environ.get("HOME") or "~").expanduser() / ".local" / "share")
    return Path(data) / "concento"


@dataclass(slots=True)
class Settings:
    """One command line's options, filled in while it is parsed."""

    json: bool = False
    home: Path = field(default_factory=lambda: default_home(os.environ))
    named_url: str | None = field(default_factory=lambda: os.environ.get("CONCENTO_URL") or None)
    sender: str | None = field(default_factory=lambda: os.environ.get("CONCENTO_FROM") or None)
    password_file: str | None = field(default_factory=lambda: os.environ.get("CONCENTO_PASSWORD_FILE") or None)
    yes: bool = False
    quiet: bool = False
    verbose: int = 0
    wait: bool = True
    timeout_s: float | None = None
    drafts: bool = False
    """Whether a command ends where it would sign."""

    @property
    def url(self) -> str:
        """The nodes to talk to: those that were named, else this home's local network, else the usual port."""
        return self.named_url or ",".join(_local_urls(self.home)) or DEFAULT_URL


def is_elsewhere(settings: Settings) -> bool:
    """Whether this home has a local network that listens at none of the URLs that were asked."""
    local = _local_urls(settings.home)
    return bool(local) and set(local).isdisjoint(url.strip().rstrip("/") for url in settings.url.split(","))


def _local_urls(home: Path) -> Sequence[str]:
    """Where the nodes of this home's local network answer; nothing where it has none."""
    try:
        ready = json.loads((home / "testnet" / "ready.json").read_bytes())
        return [str(node["rpc"]) for node in ready["nodes"]]
    except (OSError, ValueError, KeyError, TypeError):
        return ()
