"""Spans that others make for the very call that we watch: one call, one client span.

- The anthropic SDK makes a client span of its own (scope `com.anthropic.sdk.python`):
  https://github.com/anthropics/anthropic-sdk-python/blob/main/src/anthropic/_tracing.py
- The mistralai SDK makes one for each HTTP request, if it is told to (scope `mistralai_sdk_tracer`):
  https://github.com/mistralai/client-python/blob/main/src/mistralai/client/_hooks/tracing.py
- `opentelemetry-util-genai` marks an open inference with a context key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context

from tollspan import calls, contexts, semconv
from tollspan.config import mistral_telemetry
from tollspan.remembered import Remembered

__all__ = ["foreign_span"]

# opentelemetry-util-genai 1.3b0, `_inference_invocation.py` and `_embedding_invocation.py`.
_OPEN_INFERENCE = "opentelemetry.genai.client.inference.context"
_OPEN_EMBEDDING = "opentelemetry.genai.client.embedding.context"


def foreign_span(
    client: Any, options: Any, tracer_provider: trace.TracerProvider | None
) -> trace.Span | None:
    """The span to adopt: an open inference's, `INVALID_SPAN` for one that the SDK is about to
    start, None where the call needs one of ours."""
    if calls.unready is not None:
        calls.unready()
    here = contexts.current()
    marked = (here.get(_OPEN_INFERENCE) or here.get(_OPEN_EMBEDDING)) is not None
    if marked and calls.current_call.get() is None and (span := _open_inference(here)) is not None:
        return span
    if not calls.adopts or not _may_trace(type(client)):
        return None
    return trace.INVALID_SPAN if _traces_itself(client, options, tracer_provider) else None


def _open_inference(now: Context) -> trace.Span | None:
    """The current span, if somebody marked it as a client call in progress.

    It is adopted once: of two calls inside one inference the second gets a span of its own.
    """
    span = trace.get_current_span(now)
    context = span.get_span_context()
    if not context.is_valid or context.span_id in calls.open_calls or _carries_a_call(span):
        return None
    return span


def _carries_a_call(span: trace.Span) -> bool:
    return semconv.REQUEST_ID in (getattr(span, "attributes", None) or ())


def _has_a_tracer(kind: Any) -> bool:
    """Whether clients of this class have what `_traces_itself` looks at: most never do."""
    return hasattr(kind, "_tracer") or any(
        str(each.__module__).startswith(("anthropic", "mistralai")) for each in kind.__mro__
    )


_may_trace: Callable[[Any], bool] = Remembered(_has_a_tracer, 64).__getitem__


def _traces_itself(client: Any, options: Any, tracer_provider: trace.TracerProvider | None) -> bool:
    """Whether the SDK will start a span for this call, on the provider that we use."""
    if getattr(client, "_tracer", None) is not None:
        theirs = _of_anthropic(client, options)
    else:
        theirs = _of_mistral(client) if hasattr(client, "sdk_configuration") else None
    return theirs is not None and theirs is (tracer_provider or trace.get_tracer_provider())


def _of_anthropic(client: Any, options: Any) -> Any:
    """The tracer provider that the anthropic client will use for this call, if any."""
    if not getattr(options, "span_name", None):
        return None
    chosen = getattr(client, "_open_telemetry", None)
    theirs = chosen.get("tracer_provider") if isinstance(chosen, dict) else None
    return theirs or trace.get_tracer_provider()


def _of_mistral(resource: Any) -> Any:
    """The tracer provider that a method of the mistralai SDK will use, if any.

    Before 3.0 (2.x) it traces wherever a global provider is; later only where it was told to, by a
    setting of the client that counts from its first request on, or by `MISTRAL_SDK_TELEMETRY`. Its
    own provider, which exports to Mistral, is never ours.
    """
    configuration = getattr(resource, "sdk_configuration", None)
    hooks = getattr(configuration, "__dict__", {}).get("_hooks")
    for hook in getattr(hooks, "before_request_hooks", ()):
        if type(hook).__name__ != "TracingHook":
            continue
        if not hasattr(hook, "_telemetry_use_global_provider"):
            return _real_global_provider()
        if hook.tracer_provider is not None:
            return hook.tracer_provider
        if hook._telemetry_use_global_provider:
            return _real_global_provider()
        if hook._telemetry_auto_disabled:
            return None
        setting = getattr(configuration, "telemetry", None)
        if not isinstance(setting, (bool, str)):
            setting = mistral_telemetry()
        chosen = isinstance(setting, str) and setting.strip().lower() == "global"
        return _real_global_provider() if chosen else None
    return None


def _real_global_provider() -> Any:
    found = trace.get_tracer_provider()
    return None if isinstance(found, trace.ProxyTracerProvider) else found
