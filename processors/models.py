"""How models and providers are named: by providers, by gateways, by the price book, on routes.

Provider names are those of `gen_ai.provider.name`:
https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/
LiteLLM's: https://docs.litellm.ai/docs/providers
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

__all__ = [
    "book_provider",
    "label",
    "makers_own",
    "provider_name",
    "split",
    "undated",
    "unplaced",
]

_PROVIDERS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        # any spelling: (gen_ai.provider.name, the book's id)
        "openai": ("openai", "openai"),
        "text-completion-openai": ("openai", "openai"),
        "anthropic": ("anthropic", "anthropic"),
        "azure.ai.openai": ("azure.ai.openai", "azure"),
        "az.ai.openai": ("azure.ai.openai", "azure"),
        "azure": ("azure.ai.openai", "azure"),
        "azure_text": ("azure.ai.openai", "azure"),
        "azure-openai": ("azure.ai.openai", "azure"),
        "azure_openai": ("azure.ai.openai", "azure"),
        "azure.ai.inference": ("azure.ai.inference", "azure"),
        "az.ai.inference": ("azure.ai.inference", "azure"),
        "azure_ai": ("azure.ai.inference", "azure"),
        "azure-ai-foundry": ("azure.ai.inference", "azure"),
        "aws.bedrock": ("aws.bedrock", "aws"),
        "aws": ("aws.bedrock", "aws"),
        "aws_bedrock": ("aws.bedrock", "aws"),
        "amazon-bedrock": ("aws.bedrock", "aws"),
        "amazon bedrock": ("aws.bedrock", "aws"),
        "bedrock": ("aws.bedrock", "aws"),
        "bedrock_converse": ("aws.bedrock", "aws"),
        "gcp.gemini": ("gcp.gemini", "google"),
        "gemini": ("gcp.gemini", "google"),
        "google ai studio": ("gcp.gemini", "google"),
        "google-ai-studio": ("gcp.gemini", "google"),
        "gcp.vertex_ai": ("gcp.vertex_ai", "google"),
        "vertex_ai": ("gcp.vertex_ai", "google"),
        "vertexai": ("gcp.vertex_ai", "google"),
        "vertex": ("gcp.vertex_ai", "google"),
        "google-vertex": ("gcp.vertex_ai", "google"),
        "google_vertex_ai": ("gcp.vertex_ai", "google"),
        "gcp.gen_ai": ("gcp.gen_ai", "google"),
        "google": ("gcp.gen_ai", "google"),
        "google_genai": ("gcp.gen_ai", "google"),
        "mistral_ai": ("mistral_ai", "mistral"),
        "mistral": ("mistral_ai", "mistral"),
        "mistralai": ("mistral_ai", "mistral"),
        "cohere": ("cohere", "cohere"),
        "cohere_chat": ("cohere", "cohere"),
        "groq": ("groq", "groq"),
        "deepseek": ("deepseek", "deepseek"),
        "perplexity": ("perplexity", "perplexity"),
        "x_ai": ("x_ai", "x-ai"),
        "xai": ("x_ai", "x-ai"),
        "x-ai": ("x_ai", "x-ai"),
        "moonshot_ai": ("moonshot_ai", "moonshotai"),
        "moonshot": ("moonshot_ai", "moonshotai"),
        "moonshotai": ("moonshot_ai", "moonshotai"),
        "together_ai": ("together_ai", "together"),
        "together": ("together_ai", "together"),
        "fireworks_ai": ("fireworks", "fireworks"),
        "fireworks": ("fireworks", "fireworks"),
        "openrouter": ("openrouter", "openrouter"),
        "cerebras": ("cerebras", "cerebras"),
        "databricks": ("databricks", "databricks"),
        "novita": ("novita", "novita"),
        "voyage": ("voyage", "voyageai"),
        "voyageai": ("voyage", "voyageai"),
        "cloudflare": ("cloudflare", "cloudflare"),
        "github_copilot": ("github_copilot", "github-copilot"),
        "minimax": ("minimax", "minimax"),
        "zai": ("zai", "zai"),
        "zhipuai": ("zhipuai", "zhipuai"),
        "baseten": ("baseten", "baseten"),
        "ovhcloud": ("ovhcloud", "ovhcloud"),
        "modal": ("modal", "modal"),
        "avian": ("avian", "avian"),
    }
)


def provider_name(name: str) -> str:
    """Any spelling of a provider as its `gen_ai.provider.name`; an unknown one as it is."""
    known = _PROVIDERS.get(name.lower())
    return known[0] if known else name


def book_provider(name: str) -> str | None:
    """The book's id of a provider, or None: a name that merely resembles one is another one."""
    known = _PROVIDERS.get(name.lower())
    return known[1] if known else None


def split(model: str) -> tuple[str | None, str]:
    """`openai/gpt-4o-mini` as (`openai`, `gpt-4o-mini`); without a known prefix (None, model)."""
    head, slash, rest = model.partition("/")
    if slash and rest and head.lower() in _PROVIDERS:
        return provider_name(head), rest
    return None, model


@lru_cache(maxsize=1)
def _endings() -> tuple[re.Pattern[str], ...]:
    """Version, date and trail of a model's name. Compiled when first used, not when imported."""
    return (
        re.compile(r"(?:-v\d+)?:\d+$"),
        re.compile(r"[-@](?:20\d{2}-[01]\d-[0-3]\d|20\d{2}[01]\d[0-3]\d|\d{4})(?=$|[-:@])"),
        re.compile(r"-(?:latest|preview)$|@(?:latest|default)$"),
    )


def undated(model: str) -> str:
    """`model` without what tells one release of it from another.

    `gpt-4o-mini-2024-07-18`, `claude-sonnet-4-5@20250929`, `…-20240620-v1:0`, `…-latest`.
    """
    bare = model
    for ending in _endings():
        bare = ending.sub("", bare)
    return bare or model


_MAKERS_OWN = (
    ("openai", r"(?:gpt-(?!oss|neo|j\b|2\b)[0-9]|o[1-9](?:-|$)|chatgpt-|text-embedding-[3a])"),
    ("anthropic", r"claude-"),
    ("gcp.gemini", r"gemini-"),
)
_DATED = r".*-(?:20\d{2}-?[01]\d-?[0-3]\d|\d{4})"


def makers_own(model: str) -> str | None:
    """Who made a dated release of a model whose weights nobody else has; None for all other names.

    The date matters: a server of one's own repeats the name that it was started with
    (`--served-model-name gpt-4o`).
    """
    for maker, family in _MAKERS_OWN:
        if re.match(family + _DATED, model) is not None:
            return maker
    return None


_PLACE = r"(?:arn:[^/]*/)?(?:[a-z]{2,6}(?:-[a-z]+)?\.)?[a-z0-9-]+\.(?=[a-z])"


def unplaced(model: str) -> str:
    """A model of Bedrock as its maker names it, without ARN, group of regions and maker.

    `global.anthropic.claude-sonnet-4-5-20250929-v1:0` is `claude-sonnet-4-5-20250929-v1:0`.
    """
    place = re.match(_PLACE, model)
    return model[place.end() :] if place is not None else model


_ABSURD = r"(?i)[^A-Za-z0-9._:/+@ -]|[0-9a-f]{16,}|[0-9a-f]{8}-[0-9a-f]{4}-"
_LONGEST = 80


@lru_cache(maxsize=4096)
def label(model: str) -> str:
    """`model` as a part of a route: undated, short, printable; `other` for what is no model name.

    Fine-tuned models go by the model they were made from; ARNs and ids are `other`.
    """
    if len(model) > 2 * _LONGEST:
        return "other"
    if model.startswith("ft:"):
        model = model.split(":", 2)[1]
    if model.startswith("arn:") or re.search(_ABSURD, model):
        return "other"
    bare = undated(model)
    if not bare or len(bare) > _LONGEST:
        return "other"
    return bare
