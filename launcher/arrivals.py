"""Whether what exporters of ours sent last did arrive, and that they are brief at an end.

Small, because the launcher imports it whether or not there is any exporter yet.
"""

from __future__ import annotations

from typing import Protocol
from weakref import WeakSet

__all__ = ["arrive", "be_brief", "listen_to"]


class Sender(Protocol):
    closing: bool
    """It is not to try for long."""
    arrived: bool
    """The last batch did."""


_senders: WeakSet[Sender] = WeakSet()


def listen_to(sender: Sender) -> None:
    _senders.add(sender)


def be_brief() -> None:
    """The process may end any moment: what cannot be sent at once is not tried for long."""
    for each in _senders:
        each.closing = True


def arrive() -> bool:
    """Whether what was sent last did arrive, as far as exporters of ours sent it."""
    return all(each.arrived for each in _senders)
