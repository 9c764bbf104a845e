"""The functions of ours that read an SDK's calls, and a way to make each of them raise."""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

from tollspan.instrumentation._sdks import Sdk

__all__ = ["entered", "functions_of", "swapped"]

PURE = "tollspan.instrumentation."
ENGINE = {
    "_adoption", "_attempts", "_call", "_chunks", "_context", "_dropped", "_engine", "_patching",
    "_read", "_sdks", "_spec", "_stream", "_hosts", "_paths", "_headers",
}  # fmt: skip
"""Read by every call: `test_own_faults.py` makes these raise."""


def _raising(*args: Any, **kwargs: Any) -> Any:
    raise RuntimeError("injected")  # by names that every module has: it runs with others' globals


@cache
def functions_of(sdk: Sdk) -> dict[str, FunctionType]:
    """Functions and methods of the module that declares `sdk` and of the wires that it uses."""
    sdk.provider()
    modules = [sys.modules[f"{PURE}{sdk.name}"]]
    for module in modules:
        modules += [each for each in _wires(module) if each not in modules]
    found: dict[str, FunctionType] = {}
    for module in modules:
        short = module.__name__.removeprefix(PURE)
        for name, value in vars(module).items():
            if inspect.isclass(value) and value.__module__ == module.__name__:
                for method, held in vars(value).items():
                    _note(found, f"{short}.{name}.{method}", module, held)
            else:
                _note(found, f"{short}.{name}", module, value)
    return found


def _wires(module: ModuleType) -> list[ModuleType]:
    names = {getattr(value, "__module__", None) for value in vars(module).values()}
    return [
        sys.modules[name]
        for name in sorted(filter(None, names))
        if name.startswith(PURE) and name.removeprefix(PURE) not in ENGINE
    ]


def _note(found: dict[str, FunctionType], name: str, module: ModuleType, value: Any) -> None:
    if isinstance(value, (staticmethod, classmethod)):
        value = value.__func__
    value = getattr(value, "__wrapped__", value)
    if not isinstance(value, FunctionType) or value.__module__ != module.__name__:
        return
    if not value.__code__.co_freevars and value.__name__ != "__getattr__":
        found[name] = value


@contextmanager
def entered(functions: Mapping[str, FunctionType]) -> Iterator[set[str]]:
    """Names of those of `functions` that run meanwhile, in this thread or in one that begins."""
    names: dict[CodeType, list[str]] = {}
    for name, function in functions.items():
        names.setdefault(function.__code__, []).append(name)
    found: set[str] = set()

    def looking(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code in names:
            found.update(names[frame.f_code])

    before = sys.getprofile(), threading.getprofile()
    threading.setprofile(looking)
    sys.setprofile(looking)
    try:
        yield found
    finally:
        sys.setprofile(before[0])
        threading.setprofile(before[1])  # type: ignore[arg-type]  (None is taken, too)


def swapped(function: FunctionType) -> Callable[[], None]:
    """Make `function` raise wherever it is referred to; gives what undoes it."""
    before = function.__code__
    function.__code__ = _raising.__code__

    def undo() -> None:
        function.__code__ = before

    return undo
