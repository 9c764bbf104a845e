"""Calls that have not ended: who may end them, and who does when the process goes."""

from __future__ import annotations

import atexit
import os
from typing import TYPE_CHECKING

from tollspan import calls, ended
from tollspan.guard import quietly

if TYPE_CHECKING:
    from ._call import Call

__all__ = ["abandon_all", "end_at_exit", "live", "registered"]

live: dict[Call, Call] = {}
"""Calls that have not ended. Taking a call out of it is the right to end it: `pop` is
atomic, so of all threads that see an end only one writes it."""


def abandon_all() -> None:
    """End every open call: the process or its span processor goes."""
    for call in list(live.values()):
        with quietly:
            call.abandon()


registered = False
"""`end_at_exit` has done its work."""


def end_at_exit() -> None:
    """At exit, end what is open. Registered with the first call, when a tracer provider is there:
    the last that registered goes first, and a provider that was shut down takes no more spans."""
    global registered
    if not registered:
        registered = True
        atexit.register(_end_all)


def _end_all() -> None:
    abandon_all()
    ended.close()


def _after_fork() -> None:
    """A child does not end its parent's calls."""
    live.clear()
    calls.open_calls.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
