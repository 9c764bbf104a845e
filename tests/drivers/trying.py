"""Clients of the SDKs that try again by themselves, made to do so four times or more, without delay.

The answers of the server say `retry-after-ms: 1`, which most heed; the others are told by their own
settings.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from needs import missing

from drivers import KEY

__all__ = ["SOON", "TRIES", "trying"]

SOON = {"retry-after-ms": "1", "retry-after": "0"}
TRIES = 4


def _by_argument(name: str, url: str, kind: str, path: str = "") -> Any:
    return getattr(import_module(name), kind)(
        api_key=KEY, base_url=f"{url}{path}", max_retries=TRIES
    )


def _portkey(url: str, is_async: bool) -> Any:
    made: Any = import_module("drivers.portkey_ai").DRIVER
    client = (made.client_async if is_async else made.client)(url)
    client.max_retries = client.openai_client.max_retries = TRIES
    return client


class _Tries:
    """In the place of the time that Mistral's SDK tries for: over after so many attempts, however long
    these take. It counts none itself."""

    def __init__(self) -> None:
        self.left = TRIES

    def __lt__(self, elapsed_ms: float) -> bool:
        self.left -= 1
        return self.left < 0


def _mistral(url: str, is_async: bool) -> Any:
    try:
        retries: Any = import_module("mistralai.client.utils.retries")
    except ImportError:
        retries = import_module("mistralai.utils.retries")
    config = retries.RetryConfig("backoff", retries.BackoffStrategy(1, 2, 1.1, _Tries()), True)
    kind = import_module("drivers.mistralai").Mistral
    return kind(api_key=KEY, server_url=url, retry_config=config)


def _cohere(url: str, is_async: bool) -> Any:
    cohere: Any = import_module("cohere")
    prefix = "Async" if is_async else ""
    kinds = {"first": f"{prefix}Client", "second": f"{prefix}ClientV2"}
    return SimpleNamespace(
        **{
            name: getattr(cohere, kind)(api_key=KEY, base_url=url, max_retries=TRIES)
            for name, kind in kinds.items()
        }
    )


def _google(url: str, is_async: bool) -> Any:
    types: Any = import_module("google.genai.types")
    if not hasattr(types, "HttpRetryOptions"):
        missing("retries of google-genai", "this version repeats nothing that can be set")
    made = import_module("drivers.google_genai").client(url)
    options = types.HttpOptions(
        base_url=url,
        timeout=10_000,
        retry_options=types.HttpRetryOptions(
            attempts=TRIES + 1, initial_delay=0.001, max_delay=0.002
        ),
        **{
            name: getattr(made._api_client._http_options, name)
            for name in ("client_args", "async_client_args")
        },
    )
    made.close()
    client = import_module("google.genai").Client(api_key=KEY, http_options=options)
    return client.aio if is_async else client


def _bedrock(url: str, is_async: bool) -> Any:
    config = import_module("botocore.config").Config(
        retries={"total_max_attempts": TRIES + 1, "mode": "standard"}
    )
    made = import_module("drivers.bedrock")
    return (made.AsyncClient if is_async else made.client)(url, config=config)


def _azure(url: str, is_async: bool) -> Any:
    made: Any = import_module("drivers.azure_ai_inference").DRIVER
    client = (made.client_async if is_async else made.client)(url)
    for each in (client.chat, client.embeddings):
        for policy in each._client._pipeline._impl_policies:
            if hasattr(policy, "total_retries"):
                policy.total_retries = policy.status_retries = TRIES
                policy.backoff_factor = 0.001
    return client


def _litellm(url: str, is_async: bool) -> Any:
    return {"api_base": f"{url}/v1", "api_key": KEY, "max_retries": TRIES}


_MADE: dict[str, Callable[[str, bool], Any]] = {
    "openai": lambda url, later: _by_argument(
        "openai", url, "AsyncOpenAI" if later else "OpenAI", "/v1"
    ),
    "anthropic": lambda url, later: _by_argument(
        "anthropic", url, "AsyncAnthropic" if later else "Anthropic"
    ),
    "groq": lambda url, later: _by_argument("groq", url, "AsyncGroq" if later else "Groq"),
    "together": lambda url, later: _by_argument(
        "together", url, "AsyncTogether" if later else "Together", "/v1"
    ),
    "portkey_ai": _portkey,
    "mistralai": _mistral,
    "cohere": _cohere,
    "google_genai": _google,
    "bedrock": _bedrock,
    "azure_ai_inference": _azure,
    "litellm": _litellm,
}


def trying(name: str) -> Callable[[str, bool], Any] | None:
    """Base URL, and whether it is to be an async one, to a client that tries again; None for an SDK
    that does not, or not so that anybody outside of it sees it."""
    return _MADE.get(name)
