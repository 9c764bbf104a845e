"""The first of several backends that is well: for functions, clients, models, whatever asks.

One generator decides, and each turn is a block; calling functions, awaiting coroutines and the
caller's own loop all go through these two.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Generic, Self, TypeVar
from urllib.parse import urlsplit

from .guards import CircuitOpen, Guarded
from .health import health, known
from .outcomes import FAILURES, LIMITED

__all__ = ["Failover", "Turn", "failover"]

T = TypeVar("T")
IsOther = Callable[[Exception, Guarded], bool]
"""Whether an exception that left a block is a reason to ask another backend."""


class Turn(Generic[T]):
    """One candidate's turn: `name`, `candidate`, and the block in which it is asked.

    An error that is its backend's fault ends the block quietly, and the next turn comes.
    """

    def __init__(self, name: str, candidate: T, block: Guarded, is_other: IsOther) -> None:
        self.name = name
        self.candidate = candidate
        self.error: Exception | None = None
        """What ended the block quietly."""
        self._block = block
        self._is_other = is_other
        self.resume = block.resume
        self.pause = block.pause

    def __enter__(self) -> Self:
        self.resume()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self._block.__exit__(kind, error, trace)
        if isinstance(error, Exception) and self._is_other(error, self._block):
            self.error = error
        return self.error is not None


class Failover(Generic[T]):
    """Candidates in order of preference.

    Iterating gives one turn after the other, until the block of one ends without an error. Calling
    calls the candidates, and gives what the first one gives that does not fail.

    Raises (both):
        CircuitOpen: none may be asked now.
        Exception: the last candidate's own error, when all that might be asked have failed; and at
            once the error of any of them that is not its backend's fault.
    """

    def __init__(self, candidates: Iterable[tuple[str, T]], also: tuple[type[Exception], ...]):
        self._candidates = tuple(candidates)
        self._also = also

    def __repr__(self) -> str:
        return f"<tollspan.failover: {', '.join(name for name, _ in self._candidates)}>"

    def __iter__(self) -> Iterator[Turn[T]]:
        refused: CircuitOpen | None = None
        failed: Exception | None = None
        for name, candidate in self._in_order():
            block = Guarded(known, name)
            try:
                block.__enter__()
            except CircuitOpen as error:
                refused = _sooner(refused, error)
                continue
            block.pause()
            turn = Turn(name, candidate, block, self._is_other)
            try:
                yield turn
            finally:
                block.forgo()
            if turn.error is None:
                return
            failed = turn.error
        last = failed or refused
        assert last is not None
        raise last

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the candidates with these arguments. Of coroutine functions comes a coroutine."""
        running = self._running(args, kwargs)
        if any(inspect.iscoroutinefunction(candidate) for _, candidate in self._candidates):
            return self._awaited(running)
        turn, given = next(running)
        if inspect.isawaitable(given):
            turn.pause()
            return self._awaited(running, turn, given)
        return _end(running, given)

    def _running(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Running:
        for turn in self:
            with turn:
                function: Any = turn.candidate
                return (yield turn, function(*args, **kwargs))

    async def _awaited(
        self, running: Running, turn: Turn[Any] | None = None, given: Any = None
    ) -> Any:
        if turn is None:
            turn, given = next(running)
        else:
            turn.resume()
        while True:
            try:
                answer = (await given) if inspect.isawaitable(given) else given
            except BaseException as error:  # noqa: BLE001 - handed on to the generator
                turn, given = running.throw(error)
            else:
                return _end(running, answer)

    def _in_order(self) -> list[tuple[str, T]]:
        """Those that have asked for patience come last: they are there, but will refuse."""
        limited = {name for name, _ in self._candidates if health(name).is_limited}
        return sorted(self._candidates, key=lambda each: each[0] in limited)

    def _is_other(self, error: Exception, block: Guarded) -> bool:
        told = block.outcome
        failed = told is not None and (told.kind in FAILURES or told.kind == LIMITED)
        return failed or isinstance(error, (CircuitOpen, *self._also))


Running = Generator[tuple[Turn[Any], Any], Any, Any]
"""Gives what each candidate gave on its turn; is sent, or thrown, what came of that."""


def _end(running: Running, answer: Any) -> Any:
    try:
        running.send(answer)
    except StopIteration as end:
        return end.value
    raise AssertionError("a good answer is the last")


def _sooner(one: CircuitOpen | None, other: CircuitOpen) -> CircuitOpen:
    if one is None or (other.retry_after_s or 0.0) < (one.retry_after_s or 0.0):
        return other
    return one


def failover(
    candidates: Mapping[str, T] | Iterable[Any], *, also: type[Exception] | tuple[Any, ...] = ()
) -> Failover[Any]:
    """Asks the first of `candidates` that is well, and the next one when it fails.

    Args:
        candidates: in order of preference: `{backend: candidate}`, or a list of `(backend, candidate)`,
            of clients that have a `base_url`, or of names alone. A backend is what `tollspan.health`
            takes. Candidates are functions, or whatever the caller asks in a loop of its own.
        also: more exceptions that are a reason to ask the next one, beside connections that fail,
            timeouts, 5xx and 429.

    Raises:
        TypeError: a candidate does not say which backend it asks.
        ValueError: there is none.
    """
    pairs = candidates.items() if isinstance(candidates, Mapping) else candidates
    named = [_named(each) for each in pairs]
    if not named:
        raise ValueError("failover needs candidates: write [(backend, function), …]")
    return Failover(named, also if isinstance(also, tuple) else (also,))


def _named(candidate: Any) -> tuple[str, Any]:
    if isinstance(candidate, str):
        return candidate, candidate
    if isinstance(candidate, tuple) and len(candidate) == 2 and isinstance(candidate[0], str):
        return candidate
    parts = urlsplit(str(getattr(candidate, "base_url", "")))
    if parts.netloc:
        return parts.netloc.rpartition("@")[2], candidate
    raise TypeError(f"{candidate!r} does not say which backend it asks: write (backend, candidate)")
