"""Every SDK that can be watched: one table, from which entry points, tests and the README derive.

A row knows of an SDK only what must be known before it is imported. How its calls are read stands
in the module of the row, which is imported when the application imports the SDK.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._spec import Provider

__all__ = ["SDKS", "Sdk"]


@dataclass(frozen=True, slots=True)
class Sdk:
    """One SDK, and the module that declares how it is watched."""

    name: str
    """In `instrument(providers=[...])`, of its module here, and after `tollspan_` of its entry point."""
    package: str
    """Import name that all of its patched modules are below; its import brings the watching in."""
    requires: Sequence[str]
    """Supported versions, as PEP 508 requirements (`openai >= 1.40`): the oldest that is tested."""
    title: str
    """What people call it, for the README."""
    covers: str
    """What of it is watched, for the README."""
    module: str = ""
    """Declares `PROVIDER`, by absolute name; by default the module `name` of this package."""

    def provider(self) -> Provider:
        """How its calls are read. Imports the declaring module, never the SDK."""
        declared: Provider = import_module(self.module or f"{__package__}.{self.name}").PROVIDER
        return declared

    def missing(self) -> str | None:
        """The first requirement that is not installed, in words; None where all are.

        OpenTelemetry's own check, which the entry points go through, takes 10 ms to import.
        """
        from importlib.metadata import PackageNotFoundError, version

        for each in self.requires:
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


_ROWS = (
    Sdk(
        "openai",
        package="openai",
        requires=("openai >= 1.40",),
        title="OpenAI, Azure OpenAI, and every host that the openai SDK is pointed at",
        covers="chat, responses, embeddings, completions, images, audio, moderations",
    ),
    Sdk(
        "anthropic",
        package="anthropic",
        # Before 0.45 `.stream()` threw away the stream that `request` returned and read its body
        # itself.
        requires=("anthropic >= 0.45",),
        title="Anthropic, also on Bedrock and Vertex",
        covers="messages, beta messages, count_tokens (never billed)",
    ),
    Sdk(
        "litellm",
        package="litellm",
        requires=("litellm >= 1.60",),
        title="LiteLLM as a library",
        covers="completion, text completion, embedding, Router",
    ),
)

SDKS: Mapping[str, Sdk] = {each.name: each for each in _ROWS}
