"""LiteLLM used as a library: its functions and its Router, each as one call around those it makes.

Batches are left to what LiteLLM asks inside: the openai SDK's own calls tell of their results.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._litellm_modes import (
    COMPLETION,
    EMBEDDING,
    IMAGE,
    MESSAGES,
    MODERATION,
    RERANK,
    RESPONSES,
    SPEECH,
    TEXT_COMPLETION,
    TRANSCRIPTION,
)
from ._spec import Chunks, Patch, Provider, Sent, Surface

__all__ = ["PROVIDER"]

_FUNCTIONS: Mapping[str, Surface] = {
    "completion": COMPLETION,
    "text_completion": TEXT_COMPLETION,
    "embedding": EMBEDDING,
    "responses": RESPONSES,
    "image_generation": IMAGE,
    "image_edit": IMAGE,
    "image_variation": IMAGE,
    "transcription": TRANSCRIPTION,
    "speech": SPEECH,
    "moderation": MODERATION,
    "rerank": RERANK,
}
"""Each also has an async twin, whose name begins with an `a`."""

_BY_NAME: Mapping[str, Surface] = {
    **_FUNCTIONS,
    **{f"a{name}": surface for name, surface in _FUNCTIONS.items()},
    "anthropic_messages": MESSAGES,
}
_IN_EVERY_VERSION = frozenset(
    f"{a}{name}" for name in ("completion", "text_completion", "embedding") for a in ("", "a")
)


def _of_router(given: Mapping[str, Any]) -> Sent | None:
    """What the Router's one way of doing anything else is to do; None where it is no inference."""
    surface = _BY_NAME.get(getattr(given.get("original_function"), "__name__", ""))
    if surface is None:
        return None
    return Sent(surface, {**given, **(given.get("kwargs") or {})}, "")


PROVIDER = Provider(
    name="litellm",
    # The package's own names, through which users and the Router call. Inside the package the
    # functions call one another by other names, so one call is not seen twice.
    patches=(
        *(
            Patch("litellm", name, surface, optional=name not in _IN_EVERY_VERSION)
            for name, surface in _BY_NAME.items()
        ),
        Patch("litellm.anthropic_interface.messages", "acreate", MESSAGES, optional=True),
        Patch("litellm.anthropic_interface.messages", "create", MESSAGES, optional=True),
        *(
            Patch(
                "litellm.router",
                f"Router.{name}",
                surface,
                optional=name not in _IN_EVERY_VERSION,
            )
            for name, surface in _BY_NAME.items()
        ),
        *(
            Patch("litellm.router", f"Router.{name}", sends=_of_router, optional=True)
            for name in ("_ageneric_api_call_with_fallbacks", "_generic_api_call_with_fallbacks")
        ),
    ),
    chunks=(
        Chunks("litellm.litellm_core_utils.streaming_handler", "CustomStreamWrapper"),
        Chunks("litellm.utils", "TextCompletionStreamWrapper"),
        *(
            Chunks(f"litellm.responses.{module}streaming_iterator", name, optional=True)
            for module, name in (
                ("", "BaseResponsesAPIStreamingIterator"),  # the Router makes a class of it
                ("", "ResponsesAPIStreamingIterator"),
                ("", "SyncResponsesAPIStreamingIterator"),
                ("", "MockResponsesAPIStreamingIterator"),
                ("", "CachedResponsesAPIStreamingIterator"),
                ("litellm_completion_transformation.", "LiteLLMCompletionStreamingIterator"),
            )
        ),
        Chunks("litellm.router", "FallbackAwareAnthropicMessagesStream", optional=True),
        *(
            Chunks(f"litellm.llms.anthropic.{module}.messages.{name}", kind, optional=True)
            for module in ("pass_through", "experimental_pass_through")
            for name, kind in (
                ("streaming_iterator", "AnthropicMessagesStreamingResponse"),
                ("fake_stream_iterator", "FakeAnthropicMessagesStreamIterator"),
                ("agentic_streaming_iterator", "AgenticAnthropicStreamingIterator"),
                ("response_cache", "CachedAnthropicMessagesStreamIterator"),
            )
        ),
    ),
)


def __getattr__(name: str) -> Any:
    """`Instrumentor`, for the entry point, made when it is asked for."""
    if name != "Instrumentor":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._instrumentor import instrumentor

    return instrumentor(__name__)
