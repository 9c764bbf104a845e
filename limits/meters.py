"""The meter provider on which health is measured: the launcher says which; until then the global one.

Small, because the launcher imports it whether or not anybody asks for health.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider

__all__ = ["current", "measure", "measure_with"]

current: MeterProvider | None = None

Made = Callable[["MeterProvider | None"], None]
_made: list[Made] = []


def measure(instruments: Made) -> None:
    """Have `instruments` made on the provider of now, and on each later one. What is made has to look
    whether its provider is still `current`."""
    _made.append(instruments)
    instruments(current)


def measure_with(provider: MeterProvider | None) -> None:
    """Measure on `provider` from now on; None is the global one."""
    global current
    if provider is current:
        return
    current = provider
    for each in _made:
        each(provider)
