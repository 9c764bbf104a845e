"""The HTTP clients that are watched: httpx, httpx2, requests, aiohttp, botocore.

Each is patched when the application imports it, above its transport: custom transports, mounted
proxies, mock transports and user-made clients are all seen. Outside an open call a patched method
reads two context variables and goes on; where attribution is known, it sends that along (`_onward`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

import wrapt

from tollspan.guard import quietly

__all__ = ["install", "uninstall"]

Patches = Callable[[ModuleType], Iterable[tuple[type, str, Callable[..., Any]]]]
"""The classes of a module, the names of their methods, and what goes around each."""

CLIENTS: Mapping[str, tuple[str, str]] = {
    "httpx": ("_httpx", "patches"),
    "httpx2": ("_httpx", "patches"),
    "requests": ("_requests", "patches"),
    "aiohttp": ("_aiohttp", "patches"),
    "botocore.endpoint": ("_botocore", "patches"),
    "aiobotocore.endpoint": ("_botocore", "patches_async"),
}
"""Module of a client to the module here that knows it, and its `Patches`: imported with the client."""


class _Applied(NamedTuple):
    owner: type
    name: str
    original: Any
    ours: Any


_applied: list[_Applied] = []
_hooked: set[str] = set()
_installed = False


def install() -> None:
    """Patch the clients that are imported; the others when they are imported. Idempotent."""
    global _installed
    _installed = True
    for name in CLIENTS:
        if name not in _hooked:
            _hooked.add(name)
            wrapt.register_post_import_hook(_imported, name)  # at once if it is imported already
        elif name in sys.modules:
            _patch(sys.modules[name])


def uninstall() -> None:
    """Put the original methods back, the identical objects.

    Where somebody else has wrapped ours since, ours stays inside. It does nothing without a call or
    a block of attribution, nor inside another of ours.
    """
    global _installed
    _installed = False
    for each in _applied:
        if each.owner.__dict__.get(each.name) is each.ours:
            setattr(each.owner, each.name, each.original)
    _applied.clear()


def _imported(module: ModuleType) -> None:
    # This runs inside the application's import statement.
    if _installed:
        _patch(module)


def _patch(module: ModuleType) -> None:
    with quietly:
        knows, which = CLIENTS[module.__name__]
        patches: Patches = getattr(import_module(f"{__package__}.{knows}"), which)
        for owner, name, wrapper in patches(module):
            original = owner.__dict__.get(name)
            if original is None or any(
                each.owner is owner and each.name == name for each in _applied
            ):
                continue
            ours = wrapt.FunctionWrapper(original, wrapper)
            setattr(owner, name, ours)
            _applied.append(_Applied(owner, name, original, ours))
