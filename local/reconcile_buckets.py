"""What the usage and cost APIs of OpenAI and Anthropic answer: pages of time buckets in JSON.

OpenAI: https://platform.openai.com/docs/api-reference/usage (completions and the like, costs).
Anthropic: https://platform.claude.com/docs/en/build-with-claude/usage-cost-api, whose amounts are in
cents. Both begin days in UTC.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from .reconcile_lines import (
    Line,
    Place,
    Read,
    beside,
    moment,
    number,
    span_of,
    whole,
)
from .reconcile_meters import CACHE_READ, INPUT, meter

__all__ = ["all_input", "is_page", "item", "page", "parts", "tier_of"]

Found = Mapping[str, Any]

STANDARD = frozenset({"", "default", "standard", "auto"})
ITEM = re.compile(r"(?:[\w ]+\| *)?([^,|]+), *[a-z_ ]*(?:input|output)", re.IGNORECASE)
"""A line item that counts tokens of a model: `priority | gpt-5.6-sol, output, long context`."""
MODEL = re.compile(
    r"(?:[\w ]+\| *)?((?:chatgpt|dall-e|gpt|o\d|omni|sora|tts|whisper)-[\w.-]+) *(?:,|$)",
    re.IGNORECASE,
)
"""One that counts images, seconds or letters of a model: `dall-e-3, standard, 1024x1024`."""


def is_page(found: Any) -> bool:
    return isinstance(found, Mapping) and isinstance(found.get("data"), list)


def page(found: Found, place: Place) -> Read:
    """One page of an API.

    Raises:
        BadExport: it is of neither, or a field of it is not what it should be.
    """
    made = Read(place.name, "", "", [], more=found.get("has_more") is True)
    for at, bucket in enumerate(found["data"]):
        here = place.below(f"data[{at}]")
        if not isinstance(bucket, Mapping) or not isinstance(bucket.get("results"), list):
            raise here.bad("is no bucket of OpenAI's or Anthropic's usage or cost API")
        openai = "start_time" in bucket
        begin, end = ("start_time", "end_time") if openai else ("starting_at", "ending_at")
        period = span_of(
            moment(bucket.get(begin), here.below(f".{begin}")),
            moment(bucket.get(end), here.below(f".{end}")),
            here,
        )
        for n, result in enumerate(bucket["results"]):
            below = here.below(f".results[{n}]")
            if not isinstance(result, Mapping):
                raise below.bad("is no object")
            cost = "amount" in result
            shape = f"{'openai' if openai else 'anthropic'} {'cost' if cost else 'usage'}"
            if made.shape not in ("", shape):
                raise below.bad(f"is of {shape}, and what stands before it of {made.shape}")
            made.shape, made.provider = shape, shape.partition(" ")[0]
            made.lines.append(_JSON[shape](result, *period, below))
        if not made.provider:
            made.provider = "openai" if openai else "anthropic"
    made.shape = made.shape or "empty"
    return made


def _count(found: Found, name: str, place: Place) -> int | None:
    value = found.get(name)
    here = place.below(f".{name}")
    return None if value is None else whole(number(value, here), here)


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def parts(**counts: int | None) -> dict[str, int]:
    return {part: count for part, count in counts.items() if count is not None}


def _openai_usage(found: Found, start: datetime, end: datetime, place: Place) -> Line:
    tokens = parts(
        input=_count(found, "input_tokens", place),
        output=_count(found, "output_tokens", place),
        cache_read=_count(found, "input_cached_tokens", place),
    )
    tier = tier_of(_text(found.get("service_tier")), str(found.get("batch")).lower() == "true")
    return Line(
        start,
        end,
        model=_text(found.get("model")),
        tokens=tokens,
        requests=_count(found, "num_model_requests", place),
        tier=tier,
        key=_text(found.get("api_key_id")),
        project=_text(found.get("project_id")),
    )


def tier_of(stated: str, batch: bool = False) -> str:
    if batch:
        return "batch"
    return "standard" if stated.lower() in STANDARD else stated.lower()


def _openai_cost(found: Found, start: datetime, end: datetime, place: Place) -> Line:
    amount = found.get("amount")
    if not isinstance(amount, Mapping):
        raise place.below(".amount").bad("is no object with value and currency")
    value = amount.get("value")
    made = Line(
        start,
        end,
        amount=None if value is None else number(value, place.below(".amount.value")),
        currency=_text(amount.get("currency")).upper() or "USD",
        key=_text(found.get("api_key_id")),
        project=_text(found.get("project_id")),
    )
    quantity = found.get("quantity")
    here = place.below(".quantity")
    counted = None if quantity is None else whole(number(quantity, here), here)
    item(made, _text(found.get("line_item")), counted)
    return made


def item(made: Line, item: str, quantity: int | None) -> None:
    """What a line item of OpenAI's says."""
    if not item:
        return  # not grouped: the whole bill of the day
    meant = meter(item)
    found = ITEM.match(item) or (MODEL.match(item) if meant.tier else None)
    if found is None:
        made.category, made.what = beside(item), item
        return
    made.model, made.tier = found[1].strip().partition(" ")[0], meant.tier
    if quantity is not None and meant.part:
        made.tokens = {meant.part: quantity}
        if meant.part == CACHE_READ:
            made.tokens[INPUT] = quantity


def _anthropic_usage(found: Found, start: datetime, end: datetime, place: Place) -> Line:
    written = found.get("cache_creation")
    written = written if isinstance(written, Mapping) else {}
    below = place.below(".cache_creation")
    counts = [_count(written, name, below) for name in written if str(name).endswith("_tokens")]
    writes = sum(each or 0 for each in counts) if counts else None
    return Line(
        start,
        end,
        model=_text(found.get("model")),
        tokens=all_input(
            _count(found, "uncached_input_tokens", place),
            _count(found, "cache_read_input_tokens", place),
            writes,
            _count(found, "output_tokens", place),
        ),
        tier=tier_of(_text(found.get("service_tier"))),
        key=_text(found.get("api_key_id")),
        project=_text(found.get("workspace_id")),
    )


def all_input(
    fresh: int | None, read: int | None, written: int | None, answered: int | None
) -> dict[str, int]:
    """Counts that stand apart, as the ledger counts: all input, cached included."""
    made = parts(cache_read=read, cache_write=written, output=answered)
    if fresh is not None:
        made[INPUT] = fresh + (read or 0) + (written or 0)
    return made


def _anthropic_cost(found: Found, start: datetime, end: datetime, place: Place) -> Line:
    cents = number(found.get("amount"), place.below(".amount"))
    made = Line(
        start,
        end,
        model=_text(found.get("model")),
        amount=cents.scaleb(-2),
        currency=_text(found.get("currency")).upper() or "USD",
        tier=tier_of(_text(found.get("service_tier"))),
        project=_text(found.get("workspace_id")),
    )
    if (kind := _text(found.get("cost_type"))) not in ("", "tokens"):
        made.category, made.what = beside(kind), kind
    return made


_JSON = {
    "openai usage": _openai_usage,
    "openai cost": _openai_cost,
    "anthropic usage": _anthropic_usage,
    "anthropic cost": _anthropic_cost,
}
