"""Auto-instrumentation: one module per provider SDK, all run by one engine.

Importing this package imports neither an SDK nor any provider's module.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ._sdks import SDKS, Sdk, installed_versions

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

    from ._record import record as record

__all__ = ["PROVIDERS", "instrument", "record", "uninstrument"]

_logger = logging.getLogger(__name__)

PROVIDERS: Mapping[str, Sdk] = SDKS
"""Every provider SDK that can be watched, by the name to write in `providers=[...]`."""


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
    installed = installed_versions()
    level = logging.DEBUG if providers is None else logging.WARNING
    return [name for name in chosen if _watched(name, tracer_provider, installed, level)]


def _watched(
    name: str, tracer_provider: TracerProvider | None, installed: Mapping[str, str], level: int
) -> bool:
    from ._patching import is_watched, watch

    sdk = PROVIDERS[name]
    if is_watched(sdk):
        return True
    if (why := sdk.missing(installed)) is not None:
        _logger.log(level, "%s: %s", name, why)
        return False
    watch(sdk, tracer_provider)
    return True


def uninstrument() -> None:
    """Restore every SDK to what it was; calls that have ended are settled."""
    from tollspan import ended

    from ._patching import unwatch

    ended.settle_all()
    for sdk in PROVIDERS.values():
        unwatch(sdk)


def __getattr__(name: str) -> Any:
    if name != "record":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._record import record

    globals()[name] = record
    return record
