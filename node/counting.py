"""The check that a quick start leaves for later: a store that was closed in order is counted beside the work.

Nothing is written, and the count is of the moment of the start. A store that lost records while the node was down
stops the node within seconds to minutes, as the start itself would have after any other end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from concento.errors import Broken, Rejected
from node.stoppable import StoppableView, Stopped
from state.store.opening import CommitRecord, OpenStore, check_records


class Counting:
    """Counts the records of a store in a thread; `lost` is called on the loop if any are missing."""

    def __init__(self, store: OpenStore, lost: Callable[[Broken], None]) -> None:
        self._snapshot = StoppableView(store.kv.snapshot())
        self._task = asyncio.ensure_future(self._run(store.commit, store.kv.name, lost))

    async def wait(self) -> None:
        """Until everything is counted."""
        await self._task

    async def stop(self) -> None:
        """Ends the count where it is; nothing of the store is read afterwards."""
        self._snapshot.is_stopped = True
        await self.wait()

    async def _run(self, commit: CommitRecord, name: str, lost: Callable[[Broken], None]) -> None:
        try:
            await asyncio.to_thread(check_records, self._snapshot, commit, name)
        except Stopped:
            return
        except Broken as error:
            lost(error)
        except Rejected as error:
            lost(Broken("{reason} {hint}", reason=str(error), hint=error.hint or ""))
        finally:
            self._snapshot.close()
