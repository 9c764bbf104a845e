"""How the demo's sample application asks models: with the SDKs, as anybody would.

Each function makes one call: one logical call, however many requests the SDK needs for it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import anthropic
import openai

HANDBOOK = (
    "Every traveller pays once, at the first bridge, and shows the receipt at the others. " * 20
)

PAGES = {"v1": 5, "v2": 4, "v3": 2}
"""How often a version of a prompt repeats the handbook: they got shorter, and cheaper."""


class Clients:
    """The SDK clients, as an application makes them; keys come from the environment."""

    def __init__(self, provider: str, gateway: str) -> None:
        self.provider = provider
        self.openai = openai.OpenAI(base_url=f"{provider}/v1")
        self.openai_async = openai.AsyncOpenAI(base_url=f"{provider}/v1")
        self.anthropic = anthropic.Anthropic(base_url=provider)
        self.through = openai.OpenAI(base_url=gateway, max_retries=0)
        self.through_async = openai.AsyncOpenAI(base_url=gateway, max_retries=0)
        self.through_anthropic = anthropic.Anthropic(base_url=gateway, max_retries=0)


@dataclass(frozen=True, slots=True)
class Visit:
    """One call, and on whose behalf it is made."""

    endpoint: str
    prompt: str
    version: str
    tenant: str
    user: str
    ask: Callable[[Clients, Visit], Any]
    """One of the functions below, plain or async."""
    model: str
    fails: bool = False
    """It is meant to end in an error of the SDK."""


def _text(visit: Visit) -> str:
    return HANDBOOK * PAGES.get(visit.version, 3)


def _messages(visit: Visit) -> Any:
    question = f"{visit.tenant or 'somebody'} asks: {visit.prompt or 'what'}, please?"
    return [{"role": "system", "content": _text(visit)}, {"role": "user", "content": question}]


def chat(clients: Clients, visit: Visit) -> None:
    clients.openai.chat.completions.create(model=visit.model, messages=_messages(visit))


def chat_without_retries(clients: Clients, visit: Visit) -> None:
    client = clients.openai.with_options(max_retries=0)
    client.chat.completions.create(model=visit.model, messages=_messages(visit))


def abandoned(clients: Clients, visit: Visit) -> None:
    stream = clients.openai.chat.completions.create(
        model=visit.model,
        messages=_messages(visit),
        stream=True,
        stream_options={"include_usage": True},
    )
    with closing(stream):
        for _, _chunk in zip(range(4), stream, strict=False):
            pass  # the reader has seen enough


def priority(clients: Clients, visit: Visit) -> None:
    clients.openai.chat.completions.create(
        model=visit.model, messages=_messages(visit), service_tier="priority"
    )


def respond(clients: Clients, visit: Visit) -> None:
    clients.openai.responses.create(model=visit.model, input=_text(visit))


def respond_streamed(clients: Clients, visit: Visit) -> None:
    with clients.openai.responses.stream(model=visit.model, input=_text(visit)) as stream:
        stream.get_final_response()


def embed(clients: Clients, visit: Visit) -> None:
    texts = [_text(visit), "a receipt", f"a bridge of {visit.tenant}"]
    clients.openai.embeddings.create(model=visit.model, input=texts)


def claude(clients: Clients, visit: Visit) -> None:
    clients.anthropic.messages.create(
        model=visit.model, max_tokens=400, messages=[{"role": "user", "content": _text(visit)}]
    )


def claude_streamed(clients: Clients, visit: Visit) -> None:
    with clients.anthropic.messages.stream(
        model=visit.model, max_tokens=400, messages=[{"role": "user", "content": _text(visit)}]
    ) as stream:
        stream.get_final_message()


def claude_abandoned(clients: Clients, visit: Visit) -> None:
    with clients.anthropic.messages.stream(
        model=visit.model, max_tokens=400, messages=[{"role": "user", "content": _text(visit)}]
    ) as stream:
        next(iter(stream.text_stream))


def library(clients: Clients, visit: Visit) -> None:
    # Imported here because it takes seconds, and by name because it need not be installed.
    litellm: Any = importlib.import_module("litellm")
    litellm.completion(
        model=f"openai/{visit.model}",
        api_base=f"{clients.provider}/v1",
        messages=_messages(visit),
        num_retries=0,
    )


async def chat_streamed(clients: Clients, visit: Visit) -> None:
    await _read(clients.openai_async, visit)


async def through_streamed(clients: Clients, visit: Visit) -> None:
    await _read(clients.through_async, visit)


async def _read(client: openai.AsyncOpenAI, visit: Visit) -> None:
    stream = await client.chat.completions.create(
        model=visit.model,
        messages=_messages(visit),
        stream=True,
        stream_options={"include_usage": True},
    )
    async for _ in stream:
        pass


def through(clients: Clients, visit: Visit) -> None:
    clients.through.chat.completions.create(model=visit.model, messages=_messages(visit))


async def through_slowly(clients: Clients, visit: Visit) -> None:
    """For answers that the gateway needs several attempts for: others go on meanwhile."""
    await clients.through_async.chat.completions.create(
        model=visit.model, messages=_messages(visit)
    )


async def through_patiently(clients: Clients, visit: Visit) -> None:
    client = clients.through_async.with_options(max_retries=2)
    await client.chat.completions.create(model=visit.model, messages=_messages(visit))


def through_cached(clients: Clients, visit: Visit) -> None:
    clients.through.chat.completions.create(
        model=visit.model,
        messages=[{"role": "user", "content": f"{HANDBOOK} When do you open?"}],
        extra_body={"cache": {"use-cache": True}},
    )


def through_claude(clients: Clients, visit: Visit) -> None:
    clients.through_anthropic.messages.create(
        model=visit.model, max_tokens=300, messages=[{"role": "user", "content": _text(visit)}]
    )


def through_embed(clients: Clients, visit: Visit) -> None:
    clients.through.embeddings.create(model=visit.model, input=["a toll", "a traveller"])
