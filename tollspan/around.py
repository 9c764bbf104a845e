"""Decorators of any kind of function: what covers it covers exactly its own execution.

A generator runs in steps, and between them its caller's own code does: that stays outside.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AbstractContextManager
from typing import Any

__all__ = ["Again", "around"]

Again = Callable[[], AbstractContextManager[Any]]
"""Enters the same block once more; a function that is no generator enters it once."""


def around(function: Callable[..., Any], starting: Callable[[], Again]) -> Callable[..., Any]:
    """`function`, covered: def, async def, generator or async generator.

    `starting` is asked at each call of the function; decorated functions run concurrently.
    """
    if inspect.isasyncgenfunction(function):
        return _around_async_generator(function, starting)
    if inspect.isgeneratorfunction(function):
        return _around_generator(function, starting)
    if inspect.iscoroutinefunction(function):
        return _around_coroutine(function, starting)

    @functools.wraps(function)
    def inside(*args: Any, **kwargs: Any) -> Any:
        with starting()():
            return function(*args, **kwargs)

    return inside


def _around_coroutine(
    function: Callable[..., Awaitable[Any]], starting: Callable[[], Again]
) -> Callable[..., Any]:
    @functools.wraps(function)
    async def inside(*args: Any, **kwargs: Any) -> Any:
        with starting()():
            return await function(*args, **kwargs)

    return inside


def _around_generator(
    function: Callable[..., Any], starting: Callable[[], Again]
) -> Callable[..., Any]:
    @functools.wraps(function)
    def inside(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        again = starting()
        steps = function(*args, **kwargs)
        step, value = steps.send, None
        while True:
            try:
                with again():  # per step: the caller's own code stays outside the block
                    produced = step(value)
            except StopIteration as end:
                return end.value
            try:
                value, step = (yield produced), steps.send
            except GeneratorExit:
                with again():
                    steps.close()
                raise
            except BaseException as error:  # noqa: BLE001  (handed on to the generator)
                value, step = error, steps.throw

    return inside


def _around_async_generator(
    function: Callable[..., AsyncGenerator[Any, Any]], starting: Callable[[], Again]
) -> Callable[..., Any]:
    @functools.wraps(function)
    async def inside(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        again = starting()
        steps = function(*args, **kwargs)
        step: Callable[..., Any] = steps.asend
        value: Any = None
        while True:
            try:
                with again():
                    produced = await step(value)
            except StopAsyncIteration:
                return
            try:
                value, step = (yield produced), steps.asend
            except GeneratorExit:
                with again():
                    await steps.aclose()
                raise
            except BaseException as error:  # noqa: BLE001  (handed on to the generator)
                value, step = error, steps.athrow

    return inside
