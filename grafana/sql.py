"""What every panel's statement stands on: the calls of the time range, filtered by the variables.

A statement is written against `calls` (or `hops`), a table expression that holds the filters once.
Its time column is called `at`, because an alias `time` beside a column `time` means one thing or
the other depending on a server's setting. Texts that nobody stated are '-', so that they can be
chosen in a menu: an empty value of a variable would mean no filter.

Variables reach SQL in one form only, `${name:queryparam}`: percent-encoded, so that no quote and no
backslash arrives, and decoded by ClickHouse. `${name:singlequote}` escapes quotes but no backslash
(@grafana/scenes formatRegistry.ts), which lets a value that holds `\\'` out of its literal.
"""

from __future__ import annotations

import re

__all__ = ["LAST", "REQUESTS", "START", "VARIABLES", "calls", "chosen", "hops", "known"]

MODEL = "coalesce(nullIf(c.served_model, ''), nullIf(c.response_model, ''), c.request_model)"
"""The model that a call is counted under: the best that is known of it."""


REQUESTS = "greatest(coalesce(c.app_attempts, 1), coalesce(c.upstream_attempts, 1), 1)"
"""Requests that a call took: the SDK's, or those that reached a model where they were more."""


def known(text: str) -> str:
    """`text`, or '-' where it is empty."""
    return f"if({text} = '', '-', {text})"


VARIABLES = {
    "environment": known("c.environment"),
    # A call whose mode nobody stated is real: money is never hidden because a label is missing.
    "data_mode": "if(c.data_mode = '', 'real', c.data_mode)",
    "tenant": known("c.tenant"),
    "team": known("c.tags['team']"),
    "endpoint": known("c.endpoint"),
    "provider": known("c.provider"),
    "model": known(MODEL),
    "prompt_version": known("c.prompt_version"),
}
"""Name of each variable that every board has, and what it filters."""

OTHERS = {
    "user": known("c.user"),
    "session": known("c.session"),
    "service": known("c.service"),
    "tracer": known("c.scope"),
    "route": known("c.route"),
    "prompt": known("c.prompt"),
    "requested": known("c.request_model"),
    "served": known("coalesce(nullIf(c.served_model, ''), c.response_model)"),
    "grade": known("c.cost_grade"),
    "grade_reason": known("c.cost_grade_reason"),
    "source": known("c.cost_source"),
    "waste": known("c.waste_reason"),
    "unpriced": "(c.cost_usd IS NULL AND c.cost_grade = 'unpriced')",
    "unpriced_why": known("c.unpriced_reason"),
    "book": known("c.price_version"),
    "error": known("c.error_type"),
    "blamed": known("c.blame"),
    "blocked": known("c.blocked_by"),
    "api_key": known("c.api_key"),
    "failed": "c.status IN ('error', 'blocked')",
    "limited": (
        "(c.error_type = '429' OR positionCaseInsensitive(c.error_type, 'ratelimit') > 0 "
        "OR positionCaseInsensitive(c.error_type, 'throttl') > 0)"
    ),
    "cut_off": "hasAny(c.finish_reasons, ['length', 'max_tokens', 'MAX_TOKENS', 'max_output_tokens'])",
    "requests": REQUESTS,
    "tokens": "(coalesce(c.input_tokens, 0) + coalesce(c.output_tokens, 0))",
}
"""Columns of `calls` that have another name or meaning than those of the view."""

PLAIN = [
    "call_id",
    "trace_id",
    "span_id",
    "operation",
    "status",
    "streaming",
    "hop_count",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_usd",
    "reported_usd",
    "derived_usd",
    "avoided_usd",
    "wasted_usd",
    "cache_saved_usd",
    "limit_requests",
    "remaining_requests",
    "limit_tokens",
    "remaining_tokens",
    "service_tier",
    "time_to_first_chunk_s",
    "duration_s",
    "app_attempts",
    "upstream_attempts",
    "upstream_confidence",
    "model_swapped",
    "fallback",
    "cache_hit",
    "request_id",
]
"""Columns of `calls` that are those of the view."""

START = "toDateTime(toStartOfMonth(toDateTime($__toTime, 'UTC')), 'UTC')"
"""Begin of the month in which the time range ends."""

LAST = f"addMonths({START}, -1)"
"""Begin of the month before."""

WINDOWS = {
    "range": "$__timeFilter({time})",
    "both": (
        "{time} >= $__fromTime - dateDiff('second', $__fromTime, $__toTime) AND {time} <= $__toTime"
    ),
    "month": f"{{time}} >= least({START}, toDateTime($__toTime, 'UTC') - 1209600)"
    " AND {time} <= $__toTime",
    "months": f"{{time}} >= least({LAST}, toDateTime($__toTime, 'UTC') - 1209600)"
    " AND {time} <= $__toTime",
}
"""Time windows: the range; the range and the equally long one before; since the begin of the month, or
of the one before, or for fourteen days, whichever is longer."""

COLUMNS = {
    "at": "c.time",
    "current": "(c.time >= $__fromTime)",
    **VARIABLES,
    **OTHERS,
    **{name: f"c.{name}" for name in PLAIN},
}
HOP_COLUMNS = {
    "at": "h.time",
    "hop": known("h.name"),
    "role": known("h.role"),
    "hop_model": known("h.model"),
    "hop_provider": known("h.provider"),
    "evidence": known("h.evidence"),
    "hop_status": "h.status",
    **{
        name: f"h.{name}" for name in ["call_id", "hop_index", "span_id", "trace_id", "overhead_ms"]
    },
    "endpoint": known("h.endpoint"),
    "route": known("h.route"),
}

ON_HOPS = ("environment", "data_mode", "tenant", "endpoint")
"""Variables whose column a hop has from its call."""


def chosen(variable: str, expression: str) -> str:
    """The condition that `expression` is one of the values chosen for `variable`; All is no condition.

    The macro's parser knows no quotes: neither a parenthesis nor a comma may stand in a literal.
    """
    start = len(f"var-{variable}=") + 1
    values = (
        f"arrayMap(p -> decodeURLComponent(substring(p, {start})), "
        f"splitByChar('&', '${{{variable}:queryparam}}'))"
    )
    return f"$__conditionalAll(has({values}, {expression}), ${variable})"


def _named(columns: dict[str, str], body: str) -> str:
    words = set(re.findall(r"\w+", body))
    return ",\n    ".join(f"{what} AS {name}" for name, what in columns.items() if name in words)


def calls(body: str, window: str = "range", without: str = "") -> str:
    """The statement `body` over `calls`; it may begin with a comma and more table expressions.

    Args:
        window: a name of WINDOWS.
        without: a variable that shall not filter.
    """
    filters = VARIABLES | {"user": known("c.user")}
    conditions = [WINDOWS[window].format(time="c.time")]
    conditions += [chosen(name, column) for name, column in filters.items() if name != without]
    where = "\n    AND ".join(conditions)
    return (
        f"WITH calls AS (\n  SELECT {_named(COLUMNS, body)}\n  FROM tollspan_calls AS c\n"
        f"  WHERE {where}\n){_continued(body)}"
    )


def hops(body: str) -> str:
    """The statement `body` over `hops`, the hops of `calls`.

    What a hop states of its call filters at once; only a variable that stands on the call alone has
    the calls looked up, which costs a second for a few million of them.
    """
    conditions = [WINDOWS["range"].format(time="h.time")]
    for name in (*VARIABLES, "user"):
        if name in ON_HOPS:
            conditions.append(chosen(name, VARIABLES[name].replace("c.", "h.")))
        else:
            looked_up = "h.call_id IN (SELECT call_id FROM calls)"
            conditions.append(f"$__conditionalAll({looked_up}, ${name})")
    where = "\n    AND ".join(conditions)
    table = (
        f", hops AS (\n  SELECT {_named(HOP_COLUMNS, body)}\n  FROM tollspan_hops AS h\n"
        f"  WHERE {where}\n)"
    )
    return calls(table + _continued(body))


def _continued(body: str) -> str:
    body = body.strip()
    return body if body.startswith(",") else "\n" + body
