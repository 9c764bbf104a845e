"""How near providers' rate limits are. Panels of the board of reliability."""

from __future__ import annotations

from ..board import link
from ..panels import ANY_IS_BAD, COUNT, SHARE, Column, lines, table
from ..sql import calls

__all__ = ["HEADROOM", "LEFT"]

VALUE = "${__value.raw:percentencode}"
NEARLY = (("text", None), ("red", 0.0), ("orange", 0.05), ("text", 0.2))
"""Of what is left of a rate limit."""

HEADROOM = table(
    "How near are the rate limits?",
    "By model and key: the least share of the requests and tokens per window that a provider's answer "
    "stated as left in the range, what the newest answer stated, and the share of calls that were "
    "refused for the limits.",
    calls(
        """
SELECT provider, requested AS model, api_key, count() AS calls,
       min(remaining_requests / nullIf(limit_requests, 0)) AS requests_left,
       min(remaining_tokens / nullIf(limit_tokens, 0)) AS tokens_left,
       argMax(remaining_requests, at) AS newest_requests,
       argMax(remaining_tokens, at) AS newest_tokens,
       countIf(limited) AS refused, refused / calls AS share,
       sum(greatest(coalesce(app_attempts, 1), 1)) / count() AS attempts_per_call
FROM calls GROUP BY provider, requested, api_key
ORDER BY least(coalesce(requests_left, 1), coalesce(tokens_left, 1)), refused DESC, calls DESC,
         provider, requested, api_key LIMIT 30
"""
    ),
    columns=[
        Column("model", link=("Only this one", link("reliability", model=VALUE))),
        Column("calls", COUNT, width=80),
        Column("requests_left", SHARE, 1, width=120, steps=NEARLY),
        Column("tokens_left", SHARE, 1, width=110, steps=NEARLY),
        Column("newest_requests", COUNT, width=130),
        Column("newest_tokens", COUNT, width=120),
        Column("refused", COUNT, width=80),
        Column("share", SHARE, 1, width=80, steps=ANY_IS_BAD),
        Column("attempts_per_call", COUNT, 2, width=140),
    ],
)
LEFT = lines(
    "What is left of the rate limits?",
    "Least share of the requests or tokens per window that answers of each time bucket stated as left, "
    "the six most called models of the range.",
    calls(
        """
, stated AS (
  SELECT at, concat(provider, ' ', requested) AS one,
         least(coalesce(remaining_requests / nullIf(limit_requests, 0), 1),
               coalesce(remaining_tokens / nullIf(limit_tokens, 0), 1)) AS unused
  FROM calls WHERE remaining_requests IS NOT NULL OR remaining_tokens IS NOT NULL
), biggest AS (SELECT one FROM stated GROUP BY one ORDER BY count() DESC, one LIMIT 6)
SELECT $__timeInterval(at) AS time, one AS series, min(unused) AS share
FROM stated WHERE one IN (SELECT one FROM biggest) GROUP BY time, series ORDER BY time, series
"""
    ),
    unit=SHARE,
    display_name="${__field.labels.series}",
    no_value="no answer states its limits",
)
