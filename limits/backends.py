"""What a backend is: where it stands, how it is probed, when its circuit opens."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, urlsplit

from .circuits import Policy
from .watched import Where

__all__ = ["KINDS", "USUAL", "Backend", "Check"]

KINDS: Final = ("http", "tcp", "ping")

USUAL: Final = ("2xx", "3xx", "401", "403", "405", "429")
"""Statuses of a backend that lives: it asks for a key, or for patience."""


@dataclass(frozen=True, slots=True)
class Check:
    """One way of asking a backend."""

    kind: str
    method: str = "GET"
    path: str = ""
    """Behind the path of the backend's URL."""
    expect: tuple[str, ...] = USUAL
    """Statuses (`200`) and classes of them (`2xx`) that are well."""
    decides: bool = True
    """Whether the backend is down when this is; else it is only told."""

    def expects(self, status: int) -> bool:
        return str(status) in self.expect or f"{status // 100}xx" in self.expect


@dataclass(frozen=True, slots=True)
class Backend:
    """One backend as the file declares it."""

    name: str
    url: str
    provider: str = ""
    checks: tuple[Check, ...] = (Check("http"),)
    interval_s: float = 30.0
    jitter: float = 0.1
    timeout_s: float = 5.0
    up_after: int = 2
    down_after: int = 3
    ca_file: str = ""
    policy: Policy = field(default_factory=Policy)

    @property
    def parts(self) -> SplitResult:
        return urlsplit(self.url)

    @property
    def port(self) -> int:
        """The port that is asked."""
        return self.parts.port or (443 if self.parts.scheme == "https" else 80)

    @property
    def where(self) -> Where:
        return Where(
            self.provider,
            self.parts.hostname or "",
            0 if self.port in (80, 443) else self.port,
        )
