"""Who has wrapped a function of an SDK: ours, OpenTelemetry's, other vendors'.

Foreign names: modules of other tracing packages, and the SDK methods that they like to wrap.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["METHODS", "layers", "loaded", "tool"]

METHODS: Mapping[str, tuple[str, ...]] = {
    "openai": (
        "openai:OpenAI.request",
        "openai:AsyncOpenAI.request",
        "openai._base_client:SyncAPIClient.request",
        "openai._base_client:AsyncAPIClient.request",
        "openai.resources.chat.completions:Completions.create",
        "openai.resources.chat.completions:AsyncCompletions.create",
        "openai.resources.responses:Responses.create",
        "openai.resources.responses:AsyncResponses.create",
        "openai.resources.embeddings:Embeddings.create",
        "openai.resources.embeddings:AsyncEmbeddings.create",
    ),
    "anthropic": (
        "anthropic._base_client:SyncAPIClient.request",
        "anthropic._base_client:AsyncAPIClient.request",
        "anthropic.resources.messages:Messages.create",
        "anthropic.resources.messages:AsyncMessages.create",
        "anthropic.resources.messages:Messages.stream",
        "anthropic.resources.messages:AsyncMessages.stream",
    ),
    "litellm": (
        "litellm:completion",
        "litellm:acompletion",
        "litellm:text_completion",
        "litellm:embedding",
        "litellm:Router.completion",
        "litellm:Router.acompletion",
    ),
}
"""SDK to the methods that tracers wrap, as `module:attribute`."""

_TOOLS: tuple[tuple[str, str], ...] = (
    ("tollspan", "tollspan"),
    ("openinference.", "OpenInference"),
    ("opentelemetry.instrumentation.genai", "OpenTelemetry genai"),
    ("opentelemetry.instrumentation.openai_v2", "OpenTelemetry openai-v2"),
    ("opentelemetry.util.genai", "OpenTelemetry genai"),
    ("opentelemetry.instrumentation.", "OpenLLMetry"),
    ("traceloop.", "OpenLLMetry"),
    ("openlit", "OpenLIT"),
    ("langfuse", "Langfuse"),
    ("logfire", "Logfire"),
    ("ddtrace", "Datadog"),
    ("sentry_sdk", "Sentry"),
    ("mlflow", "MLflow"),
    ("langsmith", "LangSmith"),
    ("agentops", "AgentOps"),
    ("weave", "Weave"),
    ("elasticotel", "Elastic"),
)

_DEEPEST = 50


def loaded(target: str) -> Any:
    """The function that `module:attribute` names, unbound; None where it is not imported."""
    module_name, _, path = target.partition(":")
    found: Any = sys.modules.get(module_name)
    for name in path.split("."):
        if found is None:
            return None
        try:
            found = inspect.getattr_static(found, name)
        except AttributeError:
            return None
    return found


def layers(function: Any, sdk: str) -> list[str]:
    """Modules that wrapped `function`, outermost first; the SDK's own decorators are left out."""
    return [
        module
        for module in _modules(function)
        if module.partition(".")[0] not in (sdk, "functools")
    ]


def _modules(function: Any) -> Iterator[str]:
    for _ in range(_DEEPEST):
        inside = getattr(function, "__wrapped__", None)
        # wrapt keeps the wrapper on its proxy; functools.wraps leaves a function whose globals
        # tell where it was written, whatever `__module__` it has copied.
        wrapper = getattr(function, "_self_wrapper", function)
        wrapper = getattr(wrapper, "__func__", wrapper)
        where = getattr(wrapper, "__globals__", None)
        module = where.get("__name__") if isinstance(where, dict) else None
        yield str(module or getattr(type(wrapper), "__module__", "?"))
        if inside is None or inside is function:
            return
        function = inside


def tool(module: str) -> str:
    """The package that `module` belongs to, by the name that its users know."""
    for prefix, name in _TOOLS:
        if module == prefix or module.startswith(prefix):
            return name
    return module.partition(".")[0]
