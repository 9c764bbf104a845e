"""A fault in any function of ours that runs inside a call: the caller notices nothing.

Every function and method of the engine, and of all that the openai and anthropic declarations import,
is found by itself and made to raise, one after the other, while calls of all kinds are made; results
and exceptions must be those of the bare SDK. Left out are the few through which the caller's own data
flows. For the wires of other SDKs, tests/test_providers.py does the same.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Any

import pytest
import sdks
from opentelemetry import context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tollspan import attribution, calls, guard, instrumentation
from tollspan.instrumentation import _open_calls
from tollspan.remembered import Remembered

pytestmark = [
    pytest.mark.quiet,
    # Python 3.13: a generator's code is put into a plain function, on purpose.
    pytest.mark.filterwarnings("ignore:Assigning a code object:DeprecationWarning"),
]

CONDUITS = {
    "_stream.SyncChunks.__iter__",
    "_stream.SyncChunks.__next__",
    "_stream.AsyncChunks.__aiter__",
    "_stream.AsyncChunks.__anext__",
    "_stream._Chunks.__getattr__",
    "_stream._Close.__call__",
    "_stream._AsyncClose.__call__",
    "_answers.awaited",
    "_flight.Flight.__init__",  # sets its slots, no more
    "_attempts.open_call",  # reads two context variables, no more
    "_httpx._send",
    "_httpx._send_async",
    "_httpx._sent",
    "_httpx._Closing.response",
}
"""What the caller's call, chunks and closing pass through: a fault there is a fault of the caller's
call by construction. They hold one step of the SDK's each, and everything else in `quietly`."""

ROOTS = ("_patching", "_httpx", "_gateway_facts", "_usage_asked", "openai", "anthropic")
"""Modules that these import at their top are walked, and they themselves."""

SETUP = {"_patching", "_sdks"}
"""Modules that work before or beside calls."""


class Fault(RuntimeError):
    """Ours."""


raised: list[str] = []


def _raising(*args: Any, **kwargs: Any) -> Any:
    raised.append("")
    raise Fault("injected")


async def _raising_async(*args: Any, **kwargs: Any) -> Any:
    raised.append("")
    raise Fault("injected")


def imported(name: str) -> Iterator[str]:
    """Names of the modules of `tollspan.instrumentation` that the module `name` there imports."""
    source = inspect.getsource(importlib.import_module(f"tollspan.instrumentation.{name}"))
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            yield from [node.module] if node.module else [each.name for each in node.names]


def walked() -> list[str]:
    found: list[str] = []
    waiting = list(ROOTS)
    while waiting:
        if (name := waiting.pop()) not in found:
            found.append(name)
            waiting += imported(name)
    return sorted(set(found) - SETUP)


def functions() -> Iterator[tuple[str, FunctionType]]:
    modules = [importlib.import_module(f"tollspan.instrumentation.{name}") for name in walked()]
    for module in [*modules, attribution]:
        short = module.__name__.rpartition(".")[2]
        for name, value in vars(module).items():
            if inspect.isclass(value) and value.__module__ == module.__name__:
                for method, held in vars(value).items():
                    yield from _function(f"{short}.{name}.{method}", module.__name__, held)
            else:
                yield from _function(f"{short}.{name}", module.__name__, value)


def _function(name: str, module: str, value: Any) -> Iterator[tuple[str, FunctionType]]:
    if isinstance(value, property):
        value = value.fget
    if isinstance(value, (staticmethod, classmethod)):
        value = value.__func__
    value = getattr(value, "__wrapped__", value)
    if not isinstance(value, FunctionType) or value.__module__ != module:
        return
    if value.__code__.co_freevars or value.__qualname__.endswith("__del__"):
        return  # finalisers cannot raise at anybody
    if name not in CONDUITS:
        yield name, value


FUNCTIONS = dict(functions())

Case = tuple[str, str, bool]
CASES: list[Case] = [
    ("chat", "create", False),
    ("chat", "raw", False),
    ("chat", "streaming response, bytes", False),
    ("chat", "stream", False),
    ("chat", "stream in with", False),
    ("chat", "raw stream", False),
    ("chat", "streaming response, lines", False),
    ("responses", "helper", False),
    ("messages", "create", False),
    ("messages", "helper", False),
    ("embeddings", "create", False),
    ("chat", "create", True),
    ("chat", "stream", True),
    ("messages", "stream", True),
    ("messages", "streaming response, lines", True),
]


def test_the_conduits_are_functions_of_ours() -> None:
    known = {name for name, _ in _all_functions()}

    assert known >= CONDUITS
    assert len(FUNCTIONS) > 120


def _all_functions() -> Iterator[tuple[str, FunctionType]]:
    before = set(CONDUITS)
    CONDUITS.clear()
    try:
        yield from list(functions())
    finally:
        CONDUITS.update(before)


async def outcomes() -> list[Any]:
    found: list[Any] = []
    for api, way, is_async in CASES:
        server = sdks.server_for(api)
        if is_async:
            client = sdks.async_client_for(api, server)
            ask = functools.partial(sdks.ALL[way][1], client, api)
            found.append(await sdks.outcome_async(ask))
        else:
            client = sdks.client_for(api, server)
            found.append(sdks.outcome(functools.partial(sdks.ALL[way][0], client, api)))
    found.append(sdks.outcome(_fails))
    found.append(sdks.outcome(_left))
    return found


def _fails() -> Any:
    server = sdks.server_for("chat", status=400, body={"error": {"message": "m"}})
    return sdks.plain(sdks.openai_client(server), "chat")


def _left() -> Any:
    client = sdks.anthropic_client(sdks.server_for("messages"))
    with client.messages.create(**sdks.MESSAGE, stream=True) as stream:
        return next(stream)


@pytest.fixture
def clean() -> Iterator[None]:
    """What a fault of ours may leave behind must not reach the next test."""
    before = context.get_current()
    raised.clear()
    yield
    calls.current_call.set(None)
    context.attach(before)
    _open_calls.live.clear()
    calls.open_calls.clear()


def swapped(function: FunctionType) -> Callable[[], None]:
    """Make `function` raise wherever it is referred to; gives what undoes it."""
    before: CodeType = function.__code__
    raising = _raising_async if inspect.iscoroutinefunction(function) else _raising
    # The code runs with the globals of the function that it is put into.
    function.__globals__["Fault"], function.__globals__["raised"] = Fault, raised
    function.__code__ = raising.__code__

    def undo() -> None:
        function.__code__ = before
        del function.__globals__["Fault"], function.__globals__["raised"]

    return undo


_bare: list[Any] = []


@pytest.mark.parametrize("name", FUNCTIONS)
async def test_a_fault_in(
    name: str, provider: TracerProvider, exporter: InMemorySpanExporter, clean: None
) -> None:
    if not _bare:
        _bare.extend(await outcomes())
    instrumentation.instrument(provider, ["openai", "anthropic"])
    for cached in (value for value in vars(_module(name)).values()):
        if isinstance(cached, Remembered):
            cached.clear()
        elif hasattr(cached, "cache_clear"):
            cached.cache_clear()
    undo = swapped(FUNCTIONS[name])
    try:
        got = await outcomes()
    finally:
        undo()
        instrumentation.uninstrument()

    assert got == _bare
    if raised:
        assert guard.faults
        faulty.add(name)
    if _open_calls.live:
        sdks.settle()
    if name not in ESSENTIAL:
        assert len(sdks.call_spans(exporter)) == len(CASES) + 2


def _module(name: str) -> Any:
    return inspect.getmodule(FUNCTIONS[name])


ESSENTIAL = {
    "_call.Call.__init__",
    "_call.Call.start",
    "_call.Call.end",
    "_call.Call.answered",
    "_call.Call.complete",
    "_call.Call.abandon",
    "_call.Call.fail",
    "_dropped.drop",
    "_answers.handed_on",
    "_stream.Holder.__init__",
    "_settling._end",
    "_settling._end_span",
}
"""Without these there is no call, or no end of it; the caller still notices nothing."""

faulty: set[str] = set()


def test_faults_were_really_raised() -> None:
    """Runs last: most functions take part in one of the calls above."""
    if len(_bare) and faulty:
        assert len(faulty) > 60
