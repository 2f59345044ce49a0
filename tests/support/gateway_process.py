"""A gateway as a process of its own, over a fake chain with as many lanes as one likes: prints its URL and serves.

python -m support.gateway_process FOLDER LANES DOWNLOADS_MAX STALL_S
"""

from __future__ import annotations

import asyncio
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

from aiohttp import web

from concento.cids import cid
from gateway.app import make_app
from gateway.content import Content
from gateway.lanes import Lanes
from gateway.service import Gateway
from support.fakechain import GATEWAY, LANE, FakeAsyncClient, FakeChain, FakeSession, member_item

MEMBER = b"\x31" * 32
PATH = "1.wav"


class WideChain(FakeChain):
    """The licence has many lanes, all with the same key."""

    lanes = 1

    def _licence(self) -> dict[str, Any]:
        document = super()._licence()
        (lane,) = document["receipts"]["lanes"]
        document["receipts"]["lanes"] = [{**lane, "lane": LANE + number} for number in range(self.lanes)]
        return document


def item(data: bytes) -> dict[str, Any]:
    return member_item(0, MEMBER, PATH, sha256(data).digest(), len(data), 2_500)


async def main(folder: Path, lanes: int, downloads_max: int, stall_s: float) -> None:
    (file,) = (folder / "content").iterdir()
    data = file.read_bytes()
    # As if each reader had a licence of his own: one has so many units that are not signed for.
    chain = WideChain([item(data)], unsigned_units_max=lanes)
    chain.lanes = lanes
    client: Any = FakeAsyncClient(chain)
    session: Any = FakeSession(chain)
    gateway = Gateway(client, session, GATEWAY, Content(folder / "content"), Lanes(folder / "lanes"))
    await gateway.start()
    runner = web.AppRunner(make_app(gateway, downloads_max, stall_s), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    del data
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


def put(folder: Path, data: bytes) -> None:
    """The only file of its store."""
    (folder / "content").mkdir(parents=True)
    (folder / "content" / cid(sha256(data).digest())).write_bytes(data)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
