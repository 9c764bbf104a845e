"""Says when the program imports its first LLM SDK, just before it does.

What only matters to programs that call LLMs waits for that: patches, the price book, the exporter.
A program that never imports an SDK pays for none of it.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

from tollspan.guard import quietly
from tollspan.instrumentation import PROVIDERS

__all__ = ["SDKS", "forget", "when_imported"]

SDKS = frozenset(name for sdk in PROVIDERS.values() for name in (sdk.package, *sdk.also))

_actions: list[Callable[[], None]] = []


class _Finder:
    """Finds nothing itself."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in SDKS:
            return None
        _run()
        # Search anew: import hooks that were just put before this one want to see the SDK too.
        return importlib.util.find_spec(name)


_finder = _Finder()


def when_imported(action: Callable[[], None]) -> None:
    """Run `action` before the first SDK is imported; at once where one has been."""
    if not SDKS.isdisjoint(sys.modules):
        action()
        return
    _actions.append(action)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def _run() -> None:
    _take_away()
    while _actions:
        action = _actions.pop(0)
        with quietly:
            action()


def _take_away() -> None:
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)


def forget() -> None:
    """Whatever waits will not be run."""
    _actions.clear()
    _take_away()
