"""Puts watching functions in the place of an SDK's own when it is imported, and takes them out.

Nothing here imports an SDK: modules that are there are patched at once, others when the application
imports them (`wrapt.register_post_import_hook`).
"""

from __future__ import annotations

import functools
import inspect
import logging
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, NamedTuple

import wrapt
from opentelemetry import trace

from tollspan import __version__, semconv
from tollspan.guard import quietly

from . import _attempts
from ._answers import forget_kinds
from ._chunks import STEPS, leave_base, watch_base, watched_step, watched_step_async
from ._engine import Switch, watching
from ._sdks import Sdk
from ._spec import Chunks, Patch, Provider

__all__ = ["is_watched", "patched", "tracer", "unwatch", "use", "watch"]

_logger = logging.getLogger(__name__)
_ABSENT: Any = object()


class _Place(NamedTuple):
    """An attribute that is ours for now."""

    parent: Any
    name: str
    before: Any
    """What `vars(parent)` held; `_ABSENT` for something inherited."""
    ours: Any

    def restore(self) -> None:
        """Put back the identical object, unless somebody else has put theirs over ours."""
        if vars(self.parent).get(self.name) is not self.ours:
            return
        if self.before is _ABSENT:
            delattr(self.parent, self.name)
        else:
            setattr(self.parent, self.name, self.before)


class _Installation:
    """The patches of one SDK, from `instrument()` to `uninstrument()`."""

    def __init__(self, sdk: Sdk, tracer_provider: trace.TracerProvider | None) -> None:
        self._sdk = sdk
        self._provider: Provider
        self._tracer_provider = tracer_provider
        self._tracer = trace.get_tracer(semconv.SCOPE, __version__, tracer_provider)
        self._switch = Switch()
        self._is_there = False
        self._bases: list[type] = []
        self.places: list[_Place] = []

    def apply(self) -> None:
        for name in (self._sdk.package, *self._sdk.also):
            wrapt.register_post_import_hook(self._arrived, name)

    def _arrived(self, _: ModuleType) -> None:
        """The SDK is there: now its declaration is worth importing."""
        if not self._switch.on or self._is_there:
            return
        self._is_there = True
        with quietly:
            self._provider = self._sdk.provider()
            modules = [each.module for each in self._provider.patches]
            modules += [each.module for each in self._provider.chunks]
            for name in dict.fromkeys(modules):
                wrapt.register_post_import_hook(self._imported, name)

    def _imported(self, module: ModuleType) -> None:
        if not self._switch.on:
            return
        for row in self._provider.patches:
            if row.module == module.__name__:
                with quietly:
                    self._put(module, row.name, functools.partial(self._watch, row), row.optional)
        for chunks in self._provider.chunks:
            if chunks.module == module.__name__:
                with quietly:
                    self._watch_steps(module, chunks)
        forget_kinds()

    def _watch(self, row: Patch, original: Callable[..., Any]) -> Callable[..., Any]:
        return watching(
            original,
            self._provider,
            row.surface,
            self._tracer,
            self._tracer_provider,
            self._switch,
            row.sends,
        )

    def _watch_steps(self, module: ModuleType, chunks: Chunks) -> None:
        """A class of streams is iterated in one way or in both."""
        kind = getattr(module, chunks.name, None)
        if inspect.isclass(kind) and not any(hasattr(kind, step) for step in STEPS):
            watch_base(kind)
            self._bases.append(kind)
            return
        for step, watched in (("__next__", watched_step), ("__anext__", watched_step_async)):
            if kind is None or hasattr(kind, step):
                self._put(module, f"{chunks.name}.{step}", watched, chunks.optional)

    def _put(
        self, module: ModuleType, path: str, made: Callable[[Any], Any], optional: bool
    ) -> None:
        *parents, name = path.split(".")
        parent: Any = module
        for part in parents:
            parent = getattr(parent, part, None)
        original = getattr(parent, name, None)
        if not inspect.isroutine(original):
            level = logging.DEBUG if optional else logging.WARNING
            _logger.log(level, "not watched: %s has no function %s", module.__name__, path)
            return
        self._replace(parent, name, original, made)
        # Who wrapped the method on a class below keeps hold of the original, past what stands here.
        for below in _below(parent) if inspect.isclass(parent) else ():
            if _wraps(vars(below).get(name), original):
                self._replace(below, name, getattr(below, name), made)

    def _replace(self, parent: Any, name: str, original: Any, made: Callable[[Any], Any]) -> None:
        ours = made(original)
        self.places.append(_Place(parent, name, vars(parent).get(name, _ABSENT), ours))
        setattr(parent, name, ours)

    def remove(self) -> None:
        self._switch.on = False
        while self.places:
            with quietly:
                self.places.pop().restore()
        while self._bases:
            leave_base(self._bases.pop())
        forget_kinds()


def _below(kind: type[Any]) -> Iterator[type[Any]]:
    for each in kind.__subclasses__():
        yield each
        yield from _below(each)


def _wraps(found: Any, original: Any) -> bool:
    """Whether `found` is somebody's wrapper around `original` itself."""
    for _ in range(8):
        found = getattr(found, "__wrapped__", None)
        if found is None or found is original:
            break
    return found is not None and found is original


_installations: dict[str, _Installation] = {}
"""By the name of the SDK."""
_tracer: trace.Tracer | None = None


def use(tracer_provider: trace.TracerProvider | None) -> None:
    """Say where calls go that no patch sees; None is the global provider."""
    global _tracer
    _tracer = trace.get_tracer(semconv.SCOPE, __version__, tracer_provider)


def tracer() -> trace.Tracer:
    """The tracer of calls that no patch sees (`tollspan.record`)."""
    return _tracer or trace.get_tracer(semconv.SCOPE, __version__)


def patched() -> list[str]:
    """Every function that is watched now, as `openai._base_client.SyncAPIClient.request`."""
    return sorted(
        f"{getattr(place.parent, '__module__', '')}.{place.ours.__qualname__}".lstrip(".")
        for each in _installations.values()
        for place in each.places
    )


def watch(sdk: Sdk, tracer_provider: trace.TracerProvider | None) -> None:
    """Watch `sdk` from now on; once it is watched, do nothing."""
    if sdk.name in _installations:
        return
    use(tracer_provider)
    installation = _installations[sdk.name] = _Installation(sdk, tracer_provider)
    with quietly:
        _attempts.install(tracer_provider)
    installation.apply()


def unwatch(sdk: Sdk) -> None:
    """Restore every attribute of the SDK to the identical object; of one unwatched, do nothing."""
    if (installation := _installations.pop(sdk.name, None)) is None:
        return
    installation.remove()
    if not _installations:
        with quietly:
            if native := sys.modules.get(f"{__package__}._native"):
                native.restore()
        with quietly:
            _attempts.uninstall()


def is_watched(sdk: Sdk) -> bool:
    return sdk.name in _installations
