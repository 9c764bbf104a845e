"""Everything on a laptop, in one process: OTLP in, an embedded ClickHouse, the usage API, the page.

`LocalStack` (for programs, tests and the demo) and `up` (the command) are loaded on first use, so
that asking for one without the extra `tollspan[local]` fails with a sentence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .command import up
    from .server import LocalStack

__all__ = ["LocalStack", "up"]


def __getattr__(name: str) -> Any:
    if name == "LocalStack":
        from .server import LocalStack

        return LocalStack
    if name == "up":
        from .command import up

        return up
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
