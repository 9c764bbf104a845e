"""The demo's sample application: a small shop that asks models for things, in many ways.

It knows OpenTelemetry only as the user of `opentelemetry-instrument` does, and tollspan only by
`tollspan.attribute`. Its provider is the chaos provider of this machine, so accidents happen.

    opentelemetry-instrument python -m tollspan.launcher.demo_app --provider URL --gateway URL

Prints a line of JSON when it knows how many calls it will make, and one after each.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
import urllib.request
from collections.abc import Sequence
from typing import Any

import anthropic
import openai
from opentelemetry import trace

import tollspan

from ._demo_asking import (
    Clients,
    Visit,
    abandoned,
    chat,
    chat_streamed,
    chat_without_retries,
    claude,
    claude_abandoned,
    claude_streamed,
    embed,
    library,
    priority,
    respond,
    respond_streamed,
    through,
    through_cached,
    through_claude,
    through_embed,
    through_patiently,
    through_slowly,
    through_streamed,
)

GATEWAY_WITHIN_S = 120.0

# --- what happens on a day ------------------------------------------------------------------------
TENANTS = (("acme", "u_17"), ("globex", "u_42"), ("initech", "u_08"))

DIRECT: tuple[Visit, ...] = (
    *(
        Visit("checkout.ai_summary", "summary", version, tenant, user, chat, "gpt-4o-mini")
        for version in ("v1", "v2", "v3")
        for tenant, user in TENANTS
    ),
    Visit("checkout.ai_summary", "summary", "v3", "acme", "u_18", chat, "gpt-4.1"),
    *(
        Visit("support.chat", "reply", "v7", tenant, user, chat_streamed, "gpt-4.1-mini")
        for tenant, user in TENANTS * 2
    ),
    Visit("support.chat", "reply", "v7", "globex", "u_43", abandoned, "gpt-4.1-2025-04-14"),
    Visit("search.index", "", "", "acme", "", embed, "text-embedding-3-small"),
    Visit("search.index", "", "", "globex", "", embed, "text-embedding-3-small"),
    Visit("legal.review", "clauses", "v2", "initech", "u_09", claude, "claude-sonnet-4-6"),
    Visit("legal.review", "clauses", "v2", "initech", "u_09", claude, "claude-sonnet-4-6"),
    Visit("legal.review", "clauses", "v2", "initech", "u_08", claude_streamed, "claude-sonnet-4-6"),
    Visit(
        *("legal.review", "clauses", "v2", "globex", "u_43"),
        claude_abandoned,
        "claude-haiku-4-5-20251001",
    ),
    Visit("reports.weekly", "report", "v4", "acme", "u_17", respond, "gpt-5-mini"),
    Visit("reports.weekly", "report", "v5", "globex", "u_42", respond_streamed, "gpt-5-mini"),
    Visit("reports.weekly", "report", "v5", "acme", "u_17", priority, "gpt-5"),
    Visit(
        *("reports.weekly", "report", "v5", "initech", "u_08"),
        chat_without_retries,
        "gpt-4.1-nano",
        fails=True,
    ),
    Visit("community.reply", "polite", "v1", "globex", "u_44", chat, "gpt-4o"),
    Visit("community.reply", "polite", "v1", "globex", "u_45", chat, "gpt-4o", fails=True),
    Visit("labs.tone", "tone", "v0", "acme", "u_17", chat, "house-model-7b"),
    Visit("labs.tone", "tone", "v0", "initech", "u_08", chat, "house-model-7b"),
    Visit("", "", "", "", "", chat, "gpt-4o-mini"),  # somebody forgot to say who asks
    Visit("agents.plan", "plan", "v1", "acme", "u_17", library, "gpt-4o-mini"),
    Visit("agents.plan", "plan", "v1", "globex", "u_42", library, "gpt-4.1-mini"),
)

GATEWAY: tuple[Visit, ...] = (
    *(
        Visit("checkout.ai_summary", "summary", "v4", tenant, user, through, "chat-fast")
        for tenant, user in TENANTS
    ),
    *(
        Visit("support.chat", "reply", "v8", tenant, user, through_streamed, "chat-fast")
        for tenant, user in TENANTS
    ),
    Visit("checkout.ai_summary", "summary", "v4", "acme", "u_18", through_slowly, "chat-steady"),
    Visit("checkout.ai_summary", "summary", "v4", "globex", "u_42", through, "chat-swap"),
    Visit("reports.weekly", "report", "v6", "acme", "u_17", through_slowly, "chat-large"),
    Visit("reports.weekly", "report", "v6", "initech", "u_08", through_patiently, "chat-busy"),
    *(
        Visit("faq.answer", "faq", "v2", tenant, user, through_cached, "chat-fast")
        for tenant, user in TENANTS
    ),
    Visit("legal.review", "clauses", "v3", "initech", "u_09", through_claude, "claude-haiku-4-5"),
    Visit("search.index", "", "", "acme", "", through_embed, "embed"),
    Visit("labs.tone", "tone", "v1", "acme", "u_17", through, "chat-unheard-of", fails=True),
)


class Unexpected(RuntimeError):
    """A call ended otherwise than it was meant to."""


def _say(**fact: Any) -> None:
    print(json.dumps(fact), flush=True)


def _attributed(visit: Visit) -> Any:
    return tollspan.attribute(
        endpoint=visit.endpoint or None,
        prompt=visit.prompt or None,
        prompt_version=visit.version or None,
        tenant=visit.tenant or None,
        user=visit.user or None,
    )


_ERRORS = (openai.OpenAIError, anthropic.AnthropicError)


def _ended(visit: Visit, error: BaseException | None) -> None:
    if visit.fails is not (error is not None):
        raise Unexpected(f"{visit.endpoint} with {visit.model}: {error or 'no error came'}")
    _say(done=visit.endpoint or "untagged")


def _one(clients: Clients, visit: Visit) -> None:
    """One request to the shop, as its web framework would trace it."""
    tracer = trace.get_tracer("shop")
    name = f"POST /{visit.endpoint.replace('.', '/')}"
    with tracer.start_as_current_span(name, kind=trace.SpanKind.SERVER), _attributed(visit):
        failed = None
        try:
            visit.ask(clients, visit)
        except _ERRORS as error:
            failed = error
        _ended(visit, failed)


async def _together(clients: Clients, visits: Sequence[Visit]) -> None:
    """Requests that are open at the same time."""

    async def one(visit: Visit) -> None:
        tracer = trace.get_tracer("shop")
        name = f"GET /{visit.endpoint.replace('.', '/')}"
        with tracer.start_as_current_span(name, kind=trace.SpanKind.SERVER), _attributed(visit):
            await visit.ask(clients, visit)
            _ended(visit, None)

    await asyncio.gather(*(one(visit) for visit in visits))
    await clients.openai_async.close()
    await clients.through_async.close()


def _day(clients: Clients, visits: Sequence[Visit]) -> None:
    streamed = [visit for visit in visits if asyncio.iscoroutinefunction(visit.ask)]
    asyncio.run(_together(clients, streamed))
    for visit in visits:
        if visit not in streamed:
            _one(clients, visit)


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + GATEWAY_WITHIN_S
    while True:
        try:
            with urllib.request.urlopen(f"{url}/health/liveliness", timeout=2):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--provider", required=True, help="base URL of the provider")
    parser.add_argument("--gateway", required=True, help="base URL of the gateway")
    given = parser.parse_args()
    _say(total=len(DIRECT) + len(GATEWAY))
    try:
        _day(Clients(given.provider, given.gateway), DIRECT)
        _wait_for(given.gateway)
        _day(Clients(given.provider, given.gateway), GATEWAY)
    except (Unexpected, OSError, *_ERRORS) as error:
        print(f"the sample application stopped: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
