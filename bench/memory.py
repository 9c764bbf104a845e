"""What a process of a benchmark takes of the machine's memory."""

from __future__ import annotations

from pathlib import Path

__all__ = ["rss_mb"]


def rss_mb() -> float:
    """The most memory that this process has had, in megabytes, requests made for it included."""
    # getrusage would say what the process that started this one has had, if that was more.
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0
