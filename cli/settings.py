"""What the global options say, wherever on the command line they stand."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
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
    url: str = field(default_factory=lambda: os.environ.get("CONCENTO_URL") or DEFAULT_URL)
    sender: str | None = field(default_factory=lambda: os.environ.get("CONCENTO_FROM") or None)
    password_file: str | None = field(default_factory=lambda: os.environ.get("CONCENTO_PASSWORD_FILE") or None)
    yes: bool = False
    quiet: bool = False
    verbose: int = 0
    wait: bool = True
    timeout_s: float | None = None
    drafts: bool = False
    """Whether a command ends where it would sign."""


def is_elsewhere(settings: Settings) -> bool:
    """Whether this home has a local network that listens at none of the URLs that were asked."""
    try:
        ready = json.loads((settings.home / "testnet" / "ready.json").read_bytes())
        urls = {node["rpc"] for node in ready["nodes"]}
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return urls.isdisjoint(url.strip().rstrip("/") for url in settings.url.split(","))
