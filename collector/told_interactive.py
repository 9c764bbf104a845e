"""Usage records of llm-interactive-proxy, as `/v1/usage/export` gives them. (foreign names)

https://github.com/matdev83/llm-interactive-proxy (`docs/user_guide/features/usage-tracking.md`,
`src/core/domain/usage_record.py`). Of each call it keeps a record for the way in (`CTP`) and one for the
way to the model (`PTB`): the latter tells what the model was asked, the others tell it again.

What the backend reported is what was used. The proxy's own counts, which stand in where it reported
none, are marked as untrusted; 0 is how it writes that it does not know.
"""

from __future__ import annotations

from typing import Any

from tollspan import semconv
from tollspan.processors.models import provider_name, split

from .told import Told, told
from .told_events import Event, attribution

__all__ = ["read"]

SOURCE = "llm-interactive-proxy"
COUNTING_LEG = "PTB"
LEGS = ("CTP", "PTB", "BTP", "PTC")
_POINTS = ("verbatim_prompt", "mutated_prompt", "verbatim_completion", "mutated_completion")


def read(said: Any, now_ns: int) -> Told | None:
    """The call that a record tells of; None for those of other ways than that to the model.

    Raises:
        Untold: with what is wrong, by path.
    """
    event = Event(said, now_ns)
    leg = event.at("leg")
    if leg not in LEGS:
        event.wrong("leg", leg, f"one of {', '.join(LEGS)}")
    elif leg != COUNTING_LEG:
        return None
    id_, begun = event.text("id"), event.time("timestamp")
    event.needs("id", id_)
    event.needs("timestamp", begun)
    event.needs("model", event.text("model"))
    took_ms = event.number("total_duration_ms") or None
    attributes = _said(event)
    event.done()
    return told(
        SOURCE,
        trace=id_ or "",
        key=id_ or "",
        attributes=attributes,
        resource={semconv.SERVICE_NAME: SOURCE},
        scope=SOURCE,
        start_ns=begun or 0,
        took_ns=round(took_ms * 1e6) if took_ms is not None else None,
    )


def _said(event: Event) -> dict[str, Any]:
    backend = event.text("backend_type")
    maker, model = split(event.text("model") or "")
    status = event.count("http_status_code")
    failed = status is not None and status >= 400
    provider = provider_name(backend) if backend else maker
    first_ms = event.number("ttft_ms")
    session = event.text("session_id")
    found: dict[str, Any] = {
        semconv.OPERATION: "chat",
        semconv.PROVIDER: provider,
        semconv.REQUEST_MODEL: model if maker == provider else event.text("model"),
        semconv.STATUS: "error" if failed else "success",
        semconv.ERROR_TYPE: str(status) if failed else None,
        semconv.GATEWAY_NAME: SOURCE,
        semconv.MODEL_DEPLOYMENT: event.text("backend_instance_id"),
        semconv.TOOLS_CALLED: event.count("tool_call_count") or None,
        semconv.SESSION: session,
        semconv.CONVERSATION_ID: session,
        semconv.USER: event.text("proxy_user"),
        semconv.DATA_MODE: "real",
        f"{semconv.TAG_PREFIX}app": event.text("app_title"),
    }
    if first_ms is not None:
        found[semconv.TIME_TO_FIRST_CHUNK] = first_ms / 1000
        found[semconv.REQUEST_STREAM] = True
    for point in _POINTS:
        found[f"llm_interactive_proxy.{point}_tokens"] = event.count(f"{point}_tokens") or None
    _usage(event, found, backend)
    return attribution({name: value for name, value in found.items() if value is not None})


def _usage(event: Event, found: dict[str, Any], backend: str | None) -> None:
    said = "backend_reported_usage"
    used, made = event.count(f"{said}.prompt_tokens"), event.count(f"{said}.completion_tokens")
    if used or made:
        found[semconv.INPUT_TOKENS], found[semconv.OUTPUT_TOKENS] = used, made
        cached = event.count(f"{said}.prompt_tokens_details.cached_tokens")
        thought = event.count(f"{said}.completion_tokens_details.reasoning_tokens")
        found[semconv.CACHE_READ_TOKENS] = cached or None
        found[semconv.REASONING_TOKENS] = thought or None
    else:
        found[semconv.INPUT_TOKENS] = event.count("mutated_prompt_tokens") or None
        found[semconv.OUTPUT_TOKENS] = event.count("verbatim_completion_tokens") or None
        if found[semconv.INPUT_TOKENS] or found[semconv.OUTPUT_TOKENS]:
            found[semconv.USAGE_UNTRUSTED] = True
    cost = event.number(f"{said}.cost")
    upstream = event.number(f"{said}.cost_details.upstream_inference_cost")
    if cost is not None or upstream is not None:
        total = (cost or 0) + (upstream or 0)
        billed = backend is not None and backend.startswith("openrouter")
        found[semconv.COST_REPORTED if billed else "gen_ai.usage.cost"] = total
