"""What the demo's provider does: its script, and the model groups of the gateway in front of it.

A script belongs to the model that the provider is asked for, so every accident has a model of its
own and the order in which calls come does not matter. `demo_app` holds the other half.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tollspan.chaos import Chaos, content_filter, hang, ok, repeat, status

__all__ = ["FALLBACKS", "gateway_models", "write_script"]

FALLBACKS: Mapping[str, Sequence[str]] = {"chat-large": ["chat-backup"]}


def write_script(chaos: Chaos) -> None:
    """Everything that is not a plain good answer."""
    # Asked for by the application itself:
    chaos.script(
        ok(input_tokens=14_200, cache_write_tokens=12_000, cache_write_1h_tokens=1_500),
        ok(input_tokens=14_350, cached_tokens=13_500, output_tokens=310),
        ok(input_tokens=14_410, cached_tokens=13_500, output_tokens=280),
        model="claude-sonnet-4-6",
    )
    chaos.script(
        ok(input_tokens=2_300, output_tokens=1_450, reasoning_tokens=1_088),
        ok(input_tokens=2_300, output_tokens=1_210, cached_tokens=1_920, reasoning_tokens=896),
        model="gpt-5-mini",
    )
    chaos.script(status(429, retry_after=0.2), ok(output_tokens=220), model="gpt-4.1")
    for left in ("gpt-4.1-2025-04-14", "claude-haiku-4-5-20251001"):
        chaos.script(hang(after_chunks=6, then=ok(output_tokens=600)), model=left)
    chaos.script(content_filter(), content_filter(blocked=True), model="gpt-4o")
    chaos.script(status(500), model="gpt-4.1-nano")
    chaos.script(ok(output_tokens=300, service_tier="default"), model="gpt-5")
    # Asked for by the gateway:
    chaos.script(status(500), ok(output_tokens=260), model="gpt-4o-2024-08-06")
    chaos.script(status(429), model="gpt-4o-2024-11-20")
    chaos.script(repeat(status(500), 2), model="gpt-5-2025-08-07")
    chaos.script(repeat(status(429), 2), ok(output_tokens=180), model="gpt-5-nano-2025-08-07")
    chaos.script(ok(input_tokens=9_000, cached_tokens=8_000), model="claude-haiku-4-5")


def gateway_models(chaos: Chaos) -> list[dict[str, Any]]:
    """LiteLLM's `model_list`: groups, deployments, and where they are (the chaos provider)."""

    def deployment(group: str, name: str, model: str, **more: Any) -> dict[str, Any]:
        claude = model.startswith("anthropic/")
        base = chaos.anthropic_base_url if claude else chaos.openai_base_url
        asked = {"model": model, "api_base": base, "api_key": "not-needed", **more}
        return {"model_name": group, "litellm_params": asked, "model_info": {"id": name}}

    return [
        deployment("chat-fast", "fast", "openai/gpt-4o-mini-2024-07-18"),
        deployment("chat-steady", "steady", "openai/gpt-4o-2024-08-06"),
        # The first is preferred; when it is limited, the retry goes to the second: another model.
        deployment("chat-swap", "swap-east", "openai/gpt-4o-2024-11-20", weight=1),
        deployment("chat-swap", "swap-west", "openai/gpt-4.1-mini-2025-04-14", weight=0),
        deployment("chat-large", "large", "openai/gpt-5-2025-08-07"),
        deployment("chat-backup", "backup", "openai/gpt-4.1-nano-2025-04-14"),
        deployment("chat-busy", "busy", "openai/gpt-5-nano-2025-08-07"),
        deployment("claude-haiku-4-5", "haiku", "anthropic/claude-haiku-4-5"),
        deployment("embed", "embed", "openai/text-embedding-3-large"),
    ]
