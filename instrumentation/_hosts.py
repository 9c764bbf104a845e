"""Who answers at a host: `gen_ai.provider.name` from the address that a client talks to."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from tollspan import semconv

from ._spec import Provider

__all__ = ["named", "provider_at", "server", "servers"]

_NAMES = {
    "api.openai.com": "openai",
    "api.anthropic.com": "anthropic",
    "openrouter.ai": "openrouter",
    "api.deepseek.com": "deepseek",
    "api.groq.com": "groq",
    "api.x.ai": "x_ai",
    "api.mistral.ai": "mistral_ai",
    "api.together.xyz": "together_ai",
    "api.together.ai": "together_ai",
    "api.perplexity.ai": "perplexity",
    "api.fireworks.ai": "fireworks",
    "integrate.api.nvidia.com": "nvidia",
    "api.cerebras.ai": "cerebras",
    "api.cohere.com": "cohere",
    "api.cohere.ai": "cohere",
    "api.moonshot.ai": "moonshot_ai",
    "api.moonshot.cn": "moonshot_ai",
    "api.z.ai": "zai",
    "open.bigmodel.cn": "zhipuai",
    "api.deepinfra.com": "deepinfra",
    "api.novita.ai": "novita",
    "api.sambanova.ai": "sambanova",
    "api.hyperbolic.xyz": "hyperbolic",
    "inference.baseten.co": "baseten",
    "models.github.ai": "github",
    "models.inference.ai.azure.com": "github",
    "api.githubcopilot.com": "github_copilot",
    "router.huggingface.co": "huggingface",
    "api-inference.huggingface.co": "huggingface",
    "ark.cn-beijing.volces.com": "volcengine",
    "ark.ap-southeast.bytepluses.com": "volcengine",
    "api.lambda.ai": "lambda",
    "api.lambdalabs.com": "lambda",
    "api.friendli.ai": "friendli",
    "inference.friendli.ai": "friendli",
    "api.siliconflow.cn": "siliconflow",
    "api.siliconflow.com": "siliconflow",
    "ai-gateway.vercel.sh": "vercel",
    "api.cloudflare.com": "cloudflare",
    "api.voyageai.com": "voyage",
    "api.minimax.io": "minimax",
    "api.minimaxi.com": "minimax",
    "api.arcee.ai": "arcee",
    "api.avian.io": "avian",
    "api.meta.ai": "meta",
    "api.studio.nebius.ai": "nebius",
    "api.studio.nebius.com": "nebius",
    "api.tokenfactory.nebius.com": "nebius",
    "ollama.com": "ollama",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "aiplatform.googleapis.com": "gcp.vertex_ai",
}

"""By the conventions' names where they have one, else by the price book's; others by their own.

Not here: hosts of the user's own (vLLM, Ollama, a gateway). A call there goes by the name of its
SDK, `openai` for instance, which is the language that is spoken and not who answers; the conventions
leave that to `server.address`.
"""

_PATTERNS = (
    (r"(.+\.)?api\.openai\.com", "openai"),
    (r".+\.openai\.azure\.(com|us|cn)", "azure.ai.openai"),
    (r".+\.cognitiveservices\.azure\.com", "azure.ai.openai"),
    (r".+\.services\.ai\.azure\.com", "azure.ai.inference"),
    (r".+-aiplatform\.googleapis\.com", "gcp.vertex_ai"),
    (r"dashscope(-[a-z]+)?\.aliyuncs\.com", "alibaba_cloud"),
    (r"oai\.endpoints\.kepler\.ai\.cloud\.ovh\.net", "ovhcloud"),
    (r".+\.(cloud\.databricks\.com|azuredatabricks\.net|gcp\.databricks\.com)", "databricks"),
    (r".+\.ml\.cloud\.ibm\.com", "ibm.watsonx.ai"),
    (r".+\.api\.baseten\.co", "baseten"),
    (r".+\.modal\.(run|direct)", "modal"),
    (r".+\.api\.nebius\.(ai|cloud|com)", "nebius"),
    (r".+\.endpoints\.huggingface\.cloud", "huggingface"),
    (r".+\.api\.x\.ai", "x_ai"),
    (r"bedrock(-runtime|-mantle)?[.-].+\.(amazonaws\.com(\.cn)?|api\.aws)", "aws.bedrock"),
)
"""Compiled when a host is asked for that is not named above."""

_ABSOLUTE = ("http://", "https://")


@lru_cache(maxsize=256)
def provider_at(host: str) -> str | None:
    """The provider that owns `host`; None for gateways, private and unknown hosts."""
    host = host.lower().rstrip(".")
    if host in _NAMES:
        return _NAMES[host]
    return next((name for pattern, name in _PATTERNS if re.fullmatch(pattern, host)), None)


def server(base_url: Any, url: str = "") -> tuple[str | None, int | None]:
    """Host and port that a request goes to: those of `url` if it is absolute, else of `base_url`.

    `base_url` is the URL object of httpx or httpx2 (`.host`, `.port`, `.scheme`), or a string.
    """
    absolute = url if url.startswith(_ABSOLUTE) else ""
    if not absolute and not isinstance(base_url, str):
        host, port = getattr(base_url, "host", None), getattr(base_url, "port", None)
        scheme = getattr(base_url, "scheme", None)
    else:
        host, port, scheme = _split(absolute or str(base_url))
    if not isinstance(host, str) or not host:
        return None, None
    if not isinstance(port, int):
        port = 80 if scheme == "http" else 443
    return host, port


def servers(provider: Provider) -> Callable[[Any, str], Mapping[str, Any]]:
    """A look-up from client and URL to provider name, server address and port, for `provider`."""
    known: WeakKeyDictionary[Any, tuple[Any, Mapping[str, Any]]] = WeakKeyDictionary()
    last: tuple[Any, Any, str, Mapping[str, Any]] = None, None, "", {}
    """What was asked last: the class of the client, its base URL and the path; and the answer."""

    def server_of(client: Any, url: str) -> Mapping[str, Any]:
        nonlocal last
        # The property of openai's client imports a module each time that it is read.
        base_url = getattr(client, "_base_url", None) or client.base_url
        kind, where, path, found = last
        if where is base_url and path == url and kind is type(client):
            return found
        if url.startswith(_ABSOLUTE):
            return named(provider, client, *server(base_url, url))
        kept = known.get(client)
        if kept is None or kept[0] is not base_url:  # it can be set anew
            kept = known[client] = base_url, named(provider, client, *server(base_url))
        last = type(client), base_url, url, kept[1]
        return kept[1]

    return server_of


def named(provider: Provider, client: Any, host: str | None, port: int | None) -> Mapping[str, Any]:
    """Provider name, server address and port of a call of `client` to `host`, as attributes."""
    name = (provider_at(host) if host else None) or provider.named(client) or provider.name
    if host is None:
        return {semconv.PROVIDER: name}
    return {semconv.PROVIDER: name, semconv.SERVER_ADDRESS: host, semconv.SERVER_PORT: port}


@lru_cache(maxsize=64)
def _split(url: str) -> tuple[str | None, int | None, str]:
    try:
        parts = urlsplit(url)
        return parts.hostname, parts.port, parts.scheme
    except ValueError:  # a port that is no number, an address in half a bracket
        return None, None, ""
