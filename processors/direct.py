"""Which hosts answer by themselves: known providers, and what `TOLLSPAN_DIRECT_HOSTS` names."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from tollspan import semconv
from tollspan.config import settings
from tollspan.remembered import Remembered

__all__ = ["is_direct", "is_provider"]

_PROVIDERS = (
    ".ai21.com",
    ".aliyuncs.com",
    ".amazonaws.com",
    ".amazonaws.com.cn",
    ".anthropic.com",
    ".api.aws",
    ".arcee.ai",
    ".avian.io",
    ".azure.cn",
    ".azure.com",
    ".azure.us",
    ".azuredatabricks.net",
    ".baseten.co",
    ".bigmodel.cn",
    ".bytepluses.com",
    ".cerebras.ai",
    ".cloudflare.com",
    ".cohere.ai",
    ".cohere.com",
    ".databricks.com",
    ".deepinfra.com",
    ".deepseek.com",
    ".fireworks.ai",
    ".friendli.ai",
    ".github.ai",
    ".githubcopilot.com",
    ".googleapis.com",
    ".groq.com",
    ".huggingface.cloud",
    ".huggingface.co",
    ".hyperbolic.xyz",
    ".ibm.com",
    ".inference.net",
    ".lambda.ai",
    ".lambdalabs.com",
    ".lepton.ai",
    ".meta.ai",
    ".minimax.io",
    ".minimaxi.com",
    ".mistral.ai",
    ".modal.direct",
    ".modal.run",
    ".moonshot.ai",
    ".moonshot.cn",
    ".nebius.ai",
    ".nebius.cloud",
    ".nebius.com",
    ".novita.ai",
    ".nvidia.com",
    ".ollama.com",
    ".openai.com",
    ".ovh.net",
    ".perplexity.ai",
    ".replicate.com",
    ".sambanova.ai",
    ".siliconflow.cn",
    ".siliconflow.com",
    ".together.ai",
    ".together.xyz",
    ".volces.com",
    ".voyageai.com",
    ".x.ai",
    ".z.ai",
)
"""Ends of the hosts of companies that serve models under their own names."""

_LOCAL = frozenset({"ollama", "vllm", "lmstudio", "lm_studio", "llamacpp", "llama.cpp", "tgi"})
"""Providers (`gen_ai.provider.name`) that are servers in one's own house."""

_PRIVATE = tuple(
    ipaddress.ip_network(each)
    for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
)


def _is_provider(host: str) -> bool:
    return ("." + host.lower()).endswith(_PROVIDERS)


is_provider: Callable[[str], bool] = Remembered(_is_provider, 1024).__getitem__
"""Whether a company that serves models under its own name answers at a host."""


def is_direct(host: str, call: Mapping[str, Any]) -> bool:
    """Whether models are served at `host` itself, as far as anybody said so."""
    if call.get(semconv.PROVIDER) in _LOCAL:
        return True
    return _is_named(host.lower(), settings().direct_hosts)


@lru_cache(maxsize=1024)
def _is_named(host: str, entries: tuple[str, ...]) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return _is_named_name(host, entries)
    if address.is_loopback or address.is_unspecified:
        if "loopback" in entries:
            return True
    elif "private" in entries and any(address in network for network in _PRIVATE):
        return True
    return any(address in network for network in _networks(entries))


def _is_named_name(host: str, entries: tuple[str, ...]) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return "loopback" in entries
    if "private" in entries and "." not in host:  # a service name of Docker or Kubernetes
        return True
    suffixes = tuple(entry[1:].lower() for entry in entries if entry.startswith("*."))
    return host in (entry.lower() for entry in entries) or host.endswith(suffixes or ("\0",))


def _networks(entries: Iterable[str]) -> list[Any]:
    found = []
    for entry in entries:
        try:
            found.append(ipaddress.ip_network(entry, strict=False))
        except ValueError:  # a name, or one of the words
            continue
    return found
