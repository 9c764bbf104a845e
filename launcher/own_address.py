"""Whether a name is this machine's own, asked of the system rather than guessed."""

from __future__ import annotations

import socket
from contextlib import suppress

__all__ = ["is_own"]

EVERYWHERE = frozenset({"0.0.0.0", "::", ""})


def is_own(name: str, bound: str) -> bool:
    """Whether what listens at `bound`, an address of ours, hears who connects to `name`.

    A name that nobody can resolve now is not known to be ours.
    """
    named, ours = _addresses(name), _addresses(bound)
    if bound in EVERYWHERE:
        return any(map(_is_here, named))
    return bool(named & ours)


def _addresses(name: str) -> set[str]:
    with suppress(OSError, UnicodeError):
        return {str(each[4][0]) for each in socket.getaddrinfo(name, None)}
    return set()


def _is_here(address: str) -> bool:
    """Only an address of this machine can be bound. Nothing is sent."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as asked:
        asked.bind((address, 0))
        return True
    return False
