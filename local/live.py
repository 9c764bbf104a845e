"""Telling open pages that calls came in: server-sent events, ids only.

A page that does not read is told less often, never more slowly the others: each holds one set of
ids, which is emptied when it is sent.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable

__all__ = ["Live"]

HEARTBEAT_S = 15.0
MOST_IDS = 500
"""Of one event; a page that was away that long asks for the list again."""


class Live:
    """All open pages. `tell` may be called from any thread, the rest belongs to the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._pages: set[_Page] = set()
        self._closed = False

    def tell(self, call_ids: Iterable[str]) -> None:
        """These calls are new or changed."""
        ids = list(call_ids)
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell, ids)

    def _tell(self, ids: list[str]) -> None:
        for page in self._pages:
            page.ids.update(dict.fromkeys(ids))
            page.wake.set()

    def tell_gone(self) -> None:
        """Calls were taken out: pages read the list anew."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell_gone)

    def _tell_gone(self) -> None:
        for page in self._pages:
            page.gone = True
            page.wake.set()

    def close(self) -> None:
        """End every stream, so that the server can stop."""
        self._closed = True
        for page in self._pages:
            page.wake.set()

    async def events(self) -> AsyncIterator[str]:
        """What one page is sent."""
        page = _Page()
        self._pages.add(page)
        try:
            yield "retry: 2000\n\n"
            while not self._closed:
                try:
                    await asyncio.wait_for(page.wake.wait(), HEARTBEAT_S)
                except TimeoutError:
                    yield ": still here\n\n"
                    continue
                page.wake.clear()
                ids, page.ids = list(page.ids), {}
                if page.gone:
                    page.gone = False
                    yield "event: gone\ndata: {}\n\n"
                if ids:
                    data = {"ids": ids[-MOST_IDS:], "calls": len(ids)}
                    yield f"event: calls\ndata: {json.dumps(data)}\n\n"
        finally:
            self._pages.discard(page)


class _Page:
    __slots__ = ("__weakref__", "gone", "ids", "wake")

    def __init__(self) -> None:
        self.gone = False
        self.ids: dict[str, None] = {}
        self.wake = asyncio.Event()
