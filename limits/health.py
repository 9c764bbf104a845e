"""How the backends are that this process calls: `tollspan.health("openai").available`.

Watching begins with the first question; where the settings name backends, with `tollspan.instrument`.
Who never asks pays nothing. What is not known is available.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from tollspan import calls
from tollspan.guard import quietly

from .circuits import Change, State
from .guards import Guard, after_call, before_call
from .in_process import Beside
from .watched import Known, Snapshot, Watched

__all__ = ["Health", "health", "known", "listen", "on_change", "unlisten"]


def _told(watched: Watched, change: Change, moment: datetime) -> None:
    with quietly:
        listen()
        if _beside is not None:
            _beside.changed(watched, change, moment)
    for listener in _listeners:
        with quietly:
            listener(watched, change, moment)


Listener = Callable[[Watched, Change, datetime], None]
_listeners: list[Listener] = []

known: Final = Known(_told)
"""The backends of this process."""


def on_change(listener: Listener) -> Callable[[], None]:
    """Tell `listener` of each change of a circuit, from whichever thread notices it; it must not wait.
    What comes back takes it away."""
    _listeners.append(listener)
    return lambda: _listeners.remove(listener)


class Health:
    """How a backend is, asked anew with every attribute.

    Where the name means several (a provider at two addresses), it is as well as the best of them.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def available(self) -> bool:
        """Whether a call may be made now. A backend that nobody knows is available."""
        now = self.backends
        return not now or any(each.admits for each in now)

    @property
    def state(self) -> State:
        """`closed` (calls go), `open` (none goes) or `half_open` (a few are tried)."""
        best = self._best()
        return "closed" if best is None else best.state

    @property
    def since(self) -> datetime | None:
        """When the state began, in UTC; None: it has never changed."""
        return None if (best := self._best()) is None else best.since

    @property
    def reason(self) -> str:
        """Why the state changed, in a few words."""
        return "" if (best := self._best()) is None else best.reason

    @property
    def latency_p95_s(self) -> float | None:
        """What 95 % of the good calls of the last minute did not exceed, in seconds."""
        best = self._best()
        watched = known.find(best.where) if best is not None else None
        return None if watched is None else watched.latency_p95_s()

    @property
    def retry_after_s(self) -> float | None:
        """Seconds until a call is worth trying: of an open circuit's cool-down, or as the backend has
        asked; None: now."""
        return None if (best := self._best()) is None else best.retry_after_s

    @property
    def is_limited(self) -> bool:
        """Whether it has asked for patience (429 with Retry-After): it is available, but will refuse."""
        admitted = [each for each in self.backends if each.admits]
        return bool(admitted) and all(each.is_limited for each in admitted)

    @property
    def outcomes(self) -> dict[str, int]:
        """Calls of the last minute by how they ended: `answered`, `slow`, `refused` (4xx), `limited`
        (429), `server` (5xx), `connect`, `timeout`."""
        counted: dict[str, int] = {}
        for each in self.backends:
            for kind, count in each.kinds.items():
                counted[kind] = counted.get(kind, 0) + count
        return counted

    @property
    def backends(self) -> list[Snapshot]:
        """Each backend that the name means."""
        return [each.snapshot() for each in known.called(self.name)]

    def guard(self) -> Guard:
        """A context manager and decorator that raises `tollspan.CircuitOpen` in place of a call."""
        return Guard(known, self.name)

    def _best(self) -> Snapshot | None:
        return min(self.backends, key=_badness, default=None)

    def __repr__(self) -> str:
        return f"<Health {self.name!r}: {self.state}>"


def _badness(one: Snapshot) -> tuple[int, float]:
    return ("closed", "half_open", "open").index(one.state), one.retry_after_s or 0.0


def health(name: str) -> Health:
    """How the backend `name` is: a provider (`openai`), a host (`api.openai.com`, `localhost:8000`), a
    base URL, or a name of the file `TOLLSPAN_BACKENDS`.

    Raises:
        TypeError: `name` is no text.
    """
    if not isinstance(name, str):
        raise TypeError(f"{name!r} is no name of a backend: write a provider or a host")
    listen()
    return Health(urlsplit(name).netloc.rpartition("@")[2] if "://" in name else name)


_hooked: list[Callable[[], None]] = []
_beside: Beside | None = None
_starting = threading.RLock()


def listen() -> None:
    """Hear of every call from now on, and run beside them whatever the settings ask for. Idempotent;
    cannot fail: a file of backends that cannot be used is logged."""
    global _beside
    if _beside is not None:
        return
    with _starting:
        if not _hooked:
            _hooked.append(calls.on_before(before_call))
            _hooked.append(calls.on_after(lambda call: after_call(known, call)))
        if _beside is None:
            _beside = Beside(known)
            atexit.register(_beside.stop)  # a change of the last moment is told, too
            with quietly:
                _beside.start()


def unlisten() -> None:
    """Hear of nothing any more, and forget (tests)."""
    global _beside
    with _starting:
        while _hooked:
            _hooked.pop()()
        if _beside is not None:
            _beside.stop()
            atexit.unregister(_beside.stop)
        _beside = None
        known.forget()


def _after_fork() -> None:
    """Locks may be held by threads that are not here, nor is whatever ran beside: it starts again with
    the next question or change."""
    global _starting, _beside
    _starting = threading.RLock()
    if _beside is not None:
        atexit.unregister(_beside.stop)
    _beside = None
    known.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
