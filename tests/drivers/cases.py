"""Every way of asking every SDK that is installed here, sync and async, and what came of it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterator
from importlib.util import find_spec
from typing import Any

from outcomes import shown, told
from packaging.version import Version

from drivers import Driver, Way, driver, installed
from drivers.server import Answer, Served
from tollspan.instrumentation import PROVIDERS

__all__ = ["CASES", "DRIVERS", "STREAMS", "Case", "one"]


class Case:
    """One way of asking one SDK, sync or async."""

    def __init__(self, driver: Driver, way: Way, is_async: bool) -> None:
        self.driver, self.way, self.is_async = driver, way, is_async

    def __str__(self) -> str:
        return f"{self.driver.name}-{self.way.name}-{'async' if self.is_async else 'sync'}"

    def run(self, url: str, asked: Callable[[Any], Any]) -> Any:
        """What the caller gets when `asked` (which may await) has a fresh client for `url`."""
        if self.is_async:
            return asyncio.run(self._run_async(url, asked))
        client = self.driver.client(url)  # type: ignore[misc]
        try:
            return self._outcome(lambda: asked(client))
        finally:
            self.driver.close(client)

    async def _run_async(self, url: str, asked: Callable[[Any], Awaitable[Any]]) -> Any:
        client = self.driver.client_async(url)  # type: ignore[misc]
        try:
            return "returned", self._shown(await asked(client))
        except Exception as error:  # noqa: BLE001  (compared with what the bare SDK raises)
            return told(error)
        finally:
            await (self.driver.close_async or _close)(client)

    def _outcome(self, make: Callable[[], Any]) -> Any:
        try:
            return "returned", self._shown(make())
        except Exception as error:  # noqa: BLE001
            return told(error)

    def _shown(self, value: Any) -> Any:
        return (self.driver.shown or shown)(value)

    def ask(self, url: str) -> Any:
        return self.run(url, self.way.ask_async if self.is_async else self.way.ask)  # type: ignore[arg-type]

    def ask_each(self, served: Served, answers: list[Answer]) -> list[Any]:
        """What the caller gets for each of `answers`, with one client for all."""
        ask: Any = self.way.ask_async if self.is_async else self.way.ask
        found: list[Any] = []

        def each(client: Any) -> None:
            for served.answer in answers:
                found.append(self._outcome(functools.partial(ask, client)))

        async def each_async(client: Any) -> None:
            for served.answer in answers:
                try:
                    found.append(("returned", self._shown(await ask(client))))
                except Exception as error:  # noqa: BLE001
                    found.append(told(error))

        self.run(served.url, each_async if self.is_async else each)
        return found


async def _close(client: Any) -> None:
    await client.close()


def _cases() -> Iterator[Case]:
    for name in installed():
        if find_spec(f"drivers.{name}") is None:
            continue  # the first test says so
        found = driver(name)
        has = Version(_version(name))
        for way in found.ways:
            if way.since and has < Version(way.since):
                continue
            if way.ask is not None and found.client is not None:
                yield Case(found, way, False)
            if way.ask_async is not None and found.client_async is not None:
                yield Case(found, way, True)


def _version(name: str) -> str:
    from importlib.metadata import version

    return version(PROVIDERS[name].requires[0].partition(">=")[0].strip())


CASES = list(_cases())
STREAMS = [
    case
    for case in CASES
    if (case.way.opened_async if case.is_async else case.way.opened) is not None
]
DRIVERS = list(dict.fromkeys(case.driver.name for case in CASES))


def one(cases: list[Case]) -> list[Case]:
    """The first sync and the first async case of each driver."""
    return list({(case.driver.name, case.is_async): case for case in reversed(cases)}.values())
