"""Auto-instrumentation: one module per provider SDK, all run by one engine.

Importing this package imports neither an SDK nor any provider's module.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

    from ._record import record as record
    from ._spec import Provider

__all__ = ["PROVIDERS", "instrument", "record", "uninstrument"]

_logger = logging.getLogger(__name__)

PROVIDERS: Mapping[str, str] = {
    "openai": "tollspan.instrumentation.openai",
    "anthropic": "tollspan.instrumentation.anthropic",
    "litellm": "tollspan.instrumentation.litellm",
}
"""Every provider SDK that can be watched, and the module that declares it."""


def instrument(
    tracer_provider: TracerProvider | None = None, providers: Iterable[str] | None = None
) -> list[str]:
    """Watch the SDKs of `providers`, or all that are installed; gives the names of those watched.

    SDKs are never imported: one that is imported later is watched from then on. What is watched
    already stays as it is.

    Raises:
        ValueError: `providers` names one that is not in `PROVIDERS`.
    """
    chosen = list(PROVIDERS) if providers is None else list(providers)
    for name in chosen:
        if name not in PROVIDERS:
            raise ValueError(f"provider {name!r} is unknown: write one of {', '.join(PROVIDERS)}")
    from ._patching import use

    use(tracer_provider)
    return [name for name in chosen if _watched(name, tracer_provider, providers is not None)]


def _watched(name: str, tracer_provider: TracerProvider | None, asked: bool) -> bool:
    from ._patching import is_watched, watch

    provider = _provider(name)
    if is_watched(provider):
        return True
    if (why := _missing(provider.requires)) is not None:
        _logger.log(logging.WARNING if asked else logging.DEBUG, "%s: %s", name, why)
        return False
    watch(provider, tracer_provider)
    return True


def _provider(name: str) -> Provider:
    provider: Provider = import_module(PROVIDERS[name]).PROVIDER
    return provider


def _missing(requires: Iterable[str]) -> str | None:
    """The first of `requires` (each `name` or `name >= 1.40`) that is not installed, in words.

    OpenTelemetry's own check, which the entry points go through, takes 10 ms to import.
    """
    from importlib.metadata import PackageNotFoundError, version

    for each in requires:
        name, _, floor = (part.strip() for part in each.partition(">="))
        try:
            found = version(name)
        except PackageNotFoundError:
            return f"{name} is not installed"
        if floor and _numbers(found) < _numbers(floor):
            return f"{name} {found} is older than {floor}, the oldest that is supported"
    return None


def _numbers(version: str) -> list[int]:
    """The release of `version`: `1.40.0rc1` is 1, 40, 0."""
    return [int(part) for part in re.findall(r"\d+", re.match(r"[\d.]*", version)[0])]  # type: ignore[index]


def uninstrument() -> None:
    """Restore every SDK to what it was."""
    from ._patching import is_watched, unwatch

    for name in PROVIDERS:
        if is_watched(_provider(name)):
            unwatch(_provider(name))


def __getattr__(name: str) -> Any:
    if name != "record":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._record import record

    globals()[name] = record
    return record
