"""The one place where tollspan's own faults are caught.

Everything of ours that runs inside somebody else's call stands in a `with quietly:` block. Such a
block cannot return a value in the caller's place: the worst that it can do is to lose telemetry.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any

from .config import settings

__all__ = ["faults", "harmless", "quietly"]

_logger = logging.getLogger("tollspan")
_said: set[str] = set()

faults: Counter[str] = Counter()
"""Faults swallowed so far, by `ExceptionType at file:line`; `tollspan doctor` prints them."""


class _Quietly:
    """A block of our own code: a fault in it is counted and logged once per place, never raised.

    Only `Exception` is caught: `CancelledError`, `GeneratorExit` and `KeyboardInterrupt` belong to
    the caller. With `TOLLSPAN_RAISE=1` (our tests) the fault is raised.
    """

    __slots__ = ()

    __enter__ = staticmethod(bool)  # entered ten times a call, and a builtin is entered fastest

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if error is None:
            return False
        if not isinstance(error, Exception) or settings().raise_faults:
            return False
        _count(error, trace)
        return True


def _count(error: Exception, trace: TracebackType | None) -> None:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "?"
    place = f"{type(error).__name__} at {where}"
    faults[place] += 1
    if (
        place not in _said and len(_said) < 1000
    ):  # a storm of faults must not become a storm of logs
        _said.add(place)
        _logger.warning("tollspan lost some telemetry; your call is unaffected", exc_info=error)


quietly = _Quietly()


def harmless(function: Callable[[Any], object]) -> Callable[[Any], None]:
    """`function` of one argument, made unable to raise: `quietly` for hot loops.

    Entering a `with` block costs 150 ns, which would be a tenth of what a chunk of a stream may
    cost; a `try` in place costs nothing until something fails.
    """

    def harmlessly(value: Any) -> None:
        try:
            function(value)
        except Exception as error:
            if settings().raise_faults:
                raise
            _count(error, error.__traceback__)

    return harmlessly
