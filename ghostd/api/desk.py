"""Where blocking questions are asked, off the event loop: a thread that owns the ledger, and two for the rest."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ghostd.store.ports import Ledger

T = TypeVar("T")


class Desk:
    """One thread with one ledger, opened in it at the first question: a ledger belongs to one thread."""

    def __init__(self, open_ledger: Callable[[], Ledger]) -> None:
        self._open = open_ledger
        self._ledger: Ledger | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        # Control socket, disk and /proc may hang in their own ways without delaying the ledger.
        self._side = ThreadPoolExecutor(2, thread_name_prefix="side")

    async def ask(self, question: Callable[[Ledger], T]) -> T:
        """Run `question` with the ledger, one after another, off the loop."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._answer, question)

    async def aside(self, work: Callable[[], T]) -> T:
        """Run something else that may block."""
        return await asyncio.get_running_loop().run_in_executor(self._side, work)

    async def answers(self, seconds: float) -> bool:
        """Whether the ledger can be read in time."""
        try:
            async with asyncio.timeout(seconds):
                await self.ask(lambda ledger: ledger.newest())
        except Exception:  # noqa: BLE001 - whatever keeps it from answering, the answer is no; /readyz tells it
            return False
        return True

    def close(self) -> None:
        """End both threads, the ledger closed in its own. A question that hangs is left behind."""
        with contextlib.suppress(RuntimeError):
            self._thread.submit(self._close)
        self._thread.shutdown(wait=False)
        self._side.shutdown(wait=False, cancel_futures=True)

    def _answer(self, question: Callable[[Ledger], T]) -> T:
        if self._ledger is None:
            self._ledger = self._open()
        return question(self._ledger)

    def _close(self) -> None:
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None
