"""Read a licensed asset into a folder: open a lane, take every file, sign for it, close the lane.

Files that are there already with the right bytes are neither fetched nor paid again.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from concento.access import units_of
from concento.accounts import parse_address
from concento.cids import cid, parse_cid
from concento.client.audio import hash_file
from concento.client.gateway import GatewaySession, Lane
from concento.client.rights import check_quota, due_ubeat, missing_deposit_ubeat
from concento.client.session import Session
from concento.errors import Rejected
from concento.keys import public_key
from concento.messages.licences import TopUpLicence
from concento.messages.receipts import CloseAccess, OpenAccess
from concento.terms import Purpose

PAGE: Final = 200

OnFile = Callable[[int, int, str], None]
"""Told (files done, files in all, path) after each file."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One file of the asset, as the chain describes it; `place` is its member's in the dataset that is read."""

    member: bytes
    place: int
    part: int
    path: str
    content: bytes
    size: int
    duration_ms: int


def fetch(
    session: Session,
    gateway_url: str,
    gateway: str,
    asset: str,
    target: Path,
    purpose: Purpose,
    on_file: OnFile = lambda done, total, path: None,
) -> dict[str, Any]:
    """Fetch an asset for a purpose from the gateway with this address; what `concento fetch --json` prints.

    Raises RpcError licence.required and its like as the chain says, Rejected where bytes or receipts are wrong,
    Unavailable where gateway or node do not answer.
    """
    client = session.client
    licence = _licence(session, asset, purpose)
    dataset = client.asset(licence["asset"])
    by_use = dataset["members"] is not None and dataset["members"]["weight_rule"] == "usage"
    files = list(wanted_files(session, licence["asset"]))
    missing = [file for file in files if not _is_here(target, file)]
    outcome: dict[str, Any] = {
        "asset": licence["asset"],
        "licence": licence["id"],
        "dir": str(target),
        "files": [],
        "bytes": 0,
        "units": 0,
        "cost_ubeat": "0",
        "anchored": [],
    }
    if not missing:
        return outcome
    status = client.status()
    lane = _open_lane(session, licence, parse_address(gateway, status["dev"]), missing)
    time_ms = int(client.status()["time_ms"])
    with GatewaySession(gateway_url, session.network, lane, purpose, time_ms, by_use) as reader:
        try:
            for number, file in enumerate(missing, 1):
                units = units_of(licence["unit"], file.duration_ms)
                outcome["files"].append(_take(reader, target, file, units))
                on_file(number, len(missing), file.path)
        finally:
            try:
                outcome["anchored"], _ = reader.close()
            finally:
                # Also where the gateway is gone: what the lane has locked must come free.
                session.send([CloseAccess(lane.licence, lane.gateway, lane.number, reader.signed)])
    units = sum(entry.pop("units") for entry in outcome["files"])
    outcome["bytes"] = sum(entry["bytes"] for entry in outcome["files"])
    outcome["units"] = units
    outcome["cost_ubeat"] = str(due_ubeat(licence, units))
    return outcome


def wanted_files(session: Session, asset: str) -> Iterator[Wanted]:
    """Every file of an asset: a recording's own, or those of all members of a dataset and of the datasets inside it.

    A recording that several of these hold comes once.
    """
    cursor: str | None = None
    known: set[str] = set()
    while True:
        page = session.client.members(asset, cursor=cursor, limit=PAGE, deep=True)
        for item in page["items"]:
            if item["asset"] in known:
                continue
            known.add(item["asset"])
            for part, entry in enumerate(item["parts"]):
                yield Wanted(
                    member=bytes.fromhex(item["asset"]),
                    place=int(item["place"]),
                    part=part,
                    path=entry["path"],
                    content=parse_cid(entry["cid"]),
                    size=int(entry["bytes"]),
                    duration_ms=int(item["duration_ms"] or 0),
                )
        cursor = page["next"]
        if cursor is None:
            return


def local_path(target: Path, path: str) -> Path:
    """Where a file with this path on the chain is kept below `target`. Raises Rejected for a path that would escape."""
    pure = PurePosixPath(path)
    unsafe = pure.is_absolute() or not pure.parts or any(part in ("..", ".") for part in pure.parts)
    if unsafe or "\\" in path or "\0" in path or ":" in pure.parts[0]:
        raise Rejected("fetch.path_unsafe", path=path)
    return target.joinpath(*pure.parts)


def _licence(session: Session, asset: str, purpose: str) -> dict[str, Any]:
    verdict = session.client.check_licence(asset, session.address, purpose)
    if not verdict["allowed"]:
        error = Rejected(verdict["kind"], asset=asset, purpose=purpose, licence=verdict["licence"])
        # The chain knows the price and the offer; our own hint would have holes.
        error.hint = verdict["hint"] or error.hint
        raise error
    document: dict[str, Any] = session.client.licence(verdict["licence"])
    return document


def _open_lane(session: Session, licence: dict[str, Any], gateway: bytes, files: list[Wanted]) -> Lane:
    """Put a new lane on the chain, with as many units as the files cost, and what the deposit lacks to pay for them.

    Tiers, what is left of a guarantee, what other lanes have locked and what lies there already all count.
    """
    units = sum(units_of(licence["unit"], file.duration_ms) for file in files)
    check_quota(licence, units)
    missing = missing_deposit_ubeat(licence, units)
    seed, number = secrets.token_bytes(32), secrets.randbelow(2**32)
    licence_id = bytes.fromhex(licence["id"])
    actions: list[Any] = [OpenAccess(licence_id, gateway, number, public_key(seed), units)]
    if missing:
        actions.insert(0, TopUpLicence(licence_id, missing))
    document = session.send(actions)
    if document["status"] != "final":
        raise Rejected("fetch.lane_refused", reason=document["error"]["message"])
    return Lane(licence_id, int(licence["epoch"]), gateway, number, seed, bytes.fromhex(licence["asset"]))


def _take(reader: GatewaySession, target: Path, file: Wanted, units: int) -> dict[str, Any]:
    path = local_path(target, file.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    try:
        with partial.open("wb") as sink:
            received = reader.fetch(file.member, file.part, file.path, file.size, file.content, sink, units, file.place)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return {
        "path": file.path,
        "bytes": received.bytes,
        "cid": cid(file.content),
        "receipt": received.receipt,
        "seq": received.seq,
        "units": received.units,
    }


def _is_here(target: Path, file: Wanted) -> bool:
    path = local_path(target, file.path)
    return path.is_file() and path.stat().st_size == file.size and hash_file(path)[0] == file.content
