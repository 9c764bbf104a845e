"""Hops: through which proxies, routers and models calls go, and what that costs."""

from __future__ import annotations

from ..board import Board, Row, link
from ..panels import (
    AXIS_COUNT,
    COUNT,
    ERRORS,
    EXACT_USD,
    SHARE,
    USD,
    Column,
    bars,
    lines,
    nodes,
    number,
    states,
    table,
)
from ..sql import WINDOWS, calls, chosen, hops, known
from .routes import BEFORE_AFTER, CHANGES, SWITCHES

VALUE = "${__value.raw:percentencode}"
NAMED = "${__field.labels.series}"


BEHIND = number(
    "Through a gateway",
    "Share of the calls in the range that had a hop between application and model.",
    calls("SELECT countIf(hop_count > 1) / nullIf(countIf(hop_count > 0), 0) AS share FROM calls"),
    no_value="no path known",
    columns=[Column("share", SHARE, 1)],
)
FELL_BACK = number(
    "Fallbacks",
    "Share of the calls in the range that a fallback answered, and their number.",
    calls(
        "SELECT countIf(fallback) / nullIf(count(), 0) AS share, countIf(fallback) AS calls FROM calls"
    ),
    columns=[Column("share", SHARE, 1), Column("calls", COUNT)],
)
SWAPPED = number(
    "Another model",
    "Share of the calls in the range that another model answered than was asked for.",
    calls(
        """
SELECT countIf(model_swapped) / nullIf(count(), 0) AS share, countIf(model_swapped) AS calls
FROM calls
"""
    ),
    columns=[Column("share", SHARE, 1), Column("calls", COUNT)],
)
ATTEMPTS = number(
    "Attempts per call",
    "Requests of the SDK, and requests that reached a model as far as known, per call of the range.",
    calls("SELECT avg(app_attempts) AS sdk, avg(upstream_attempts) AS upstream FROM calls"),
    columns=[Column("sdk", COUNT, 2), Column("upstream", COUNT, 2, nothing="not known")],
)
CACHED = number(
    "Answered by a cache",
    "Share of the calls in the range that a gateway's cache answered, and what that saved.",
    calls(
        "SELECT countIf(cache_hit) / nullIf(count(), 0) AS share, sum(avoided_usd) AS saved FROM calls"
    ),
    columns=[Column("share", SHARE, 1), Column("saved", USD, nothing="nothing known")],
)
STOPPED = number(
    "Stopped on the way",
    "Calls of the range that a proxy or a model's safety system blocked.",
    calls(
        """
SELECT countIf(blocked = 'proxy') AS by_proxy, countIf(blocked = 'model') AS by_model FROM calls
"""
    ),
    columns=[Column("by_proxy", COUNT), Column("by_model", COUNT)],
)

ROUTES = table(
    "Routes",
    "Every path of the range: what its calls cost, how long they took, how often they failed, and "
    "how many requests each took, of the SDK or behind it, and the trace of the newest that took most; "
    "slowest 5 % from 20 calls on.",
    calls(
        """
SELECT route, count() AS calls, sum(cost_usd) AS spend,
       toFloat64(spend) / nullIf(countIf(cost_usd IS NOT NULL), 0) AS per_call,
       if(count() < 20, NULL, quantile(0.95)(duration_s)) AS p95,
       countIf(failed) / count() AS failing,
       avg(requests) AS attempts_per_call, countIf(fallback) AS fallbacks,
       countIf(cache_hit) AS from_cache, argMax(trace_id, (requests, at, call_id)) AS most_tried
FROM calls GROUP BY route ORDER BY calls DESC, route LIMIT 50
"""
    ),
    columns=[
        Column("calls", COUNT, width=90),
        Column("spend", EXACT_USD, width=110),
        Column("per_call", EXACT_USD, width=110),
        Column("p95", "s", width=90),
        Column("failing", SHARE, 1, width=90, steps=ERRORS),
        Column("attempts_per_call", COUNT, 2, width=140),
        Column("most_tried", width=130, link=("Open trace", link("trace", trace_id=VALUE))),
    ],
)
GRAPH = nodes(
    "Where do calls go?",
    "Hops of the range's calls: endpoints on one side, then proxies, routers and models; numbers are "
    "how many calls passed, rings the share that ended well.",
    hops(
        """
, points AS (
  SELECT arrayJoin(if(hop_index = 0,
                      [('endpoint', endpoint), (role, if(role = 'model', hop_model, hop))],
                      [(role, if(role = 'model', hop_model, hop))])) AS point,
         hop_status = 'error' AS broken
  FROM hops
)
SELECT concat(point.1, ' ', point.2) AS id, any(point.2) AS title, any(point.1) AS subtitle,
       count() AS mainstat, 1 - avg(broken) AS arc__success, avg(broken) AS arc__errors
FROM points GROUP BY id ORDER BY mainstat DESC, id LIMIT 60
"""
    ),
    hops(
        """
, placed AS (
  SELECT call_id, endpoint, concat(role, ' ', if(role = 'model', hop_model, hop)) AS node,
         lagInFrame(node) OVER (PARTITION BY call_id ORDER BY hop_index
                                ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS last
  FROM hops
)
SELECT concat(source, ' > ', target) AS id, source, target, mainstat FROM (
  SELECT if(last = '', concat('endpoint ', endpoint), last) AS source, node AS target,
         count() AS mainstat
  FROM placed GROUP BY source, target
) ORDER BY mainstat DESC, id LIMIT 200
"""
    ),
    no_value="no path known",
)
SERVED = table(
    "Asked for and served",
    "Calls of the range by the model that was asked for and the one that answered.",
    calls(
        """
SELECT requested, served, count() AS calls, countIf(model_swapped) AS swapped,
       countIf(fallback) AS fallbacks, sum(cost_usd) AS spend, argMax(trace_id, at) AS newest
FROM calls GROUP BY requested, served ORDER BY swapped DESC, calls DESC, requested, served LIMIT 50
"""
    ),
    width=12,
    height=10,
    columns=[
        *[Column(name, COUNT, width=90) for name in ("calls", "swapped", "fallbacks")],
        Column("spend", EXACT_USD, width=110),
        Column("newest", link=("Open trace", link("trace", trace_id=VALUE))),
    ],
)
OVERHEAD = lines(
    "Overhead by hop",
    "Slowest 5 % of what each hop adds by itself in each time bucket, where it is known.",
    hops(
        """
SELECT $__timeInterval(at) AS time, hop AS series, quantile(0.95)(overhead_ms) AS p95
FROM hops WHERE overhead_ms IS NOT NULL GROUP BY time, series ORDER BY time, series
"""
    ),
    unit="ms",
    display_name=NAMED,
    no_value="no overhead known",
)
EXCLUSIVE = bars(
    "Time by hop",
    "Where the calls of each time bucket spent their time: what each hop added, and the rest, which "
    "is the model and the network; only calls with a known overhead.",
    hops(
        """
, spent AS (
  SELECT at, arrayJoin([(hop, overhead_ms / 1000), ('model and network', -overhead_ms / 1000)]) AS part
  FROM hops WHERE overhead_ms IS NOT NULL
  UNION ALL
  SELECT at, ('model and network', duration_s) FROM calls
  WHERE duration_s IS NOT NULL
    AND call_id IN (SELECT call_id FROM hops WHERE overhead_ms IS NOT NULL)
)
SELECT $__timeInterval(at) AS time, part.1 AS series, greatest(sum(part.2), 0) AS spent_s
FROM spent GROUP BY time, series ORDER BY time, series
"""
    ),
    unit="s",
    no_value="no overhead known",
)
PROBED = (
    f"p.decides AND {WINDOWS['range'].format(time='p.time')} "
    f"AND {chosen('provider', known('p.provider'))}"
)
"""Probes that a board shows; of the variables they have but the provider."""

BACKENDS = states(
    "Backends",
    "Each provider and model that was asked for in each time bucket, by the share of its calls that "
    "failed: fewer than 5 %, more, or all of them. Below them backends that are probed, by their probes.",
    calls(
        f"""
, biggest AS (
  SELECT provider, requested FROM calls GROUP BY provider, requested
  ORDER BY count() DESC, provider, requested LIMIT 12
), told AS (
  SELECT at, concat(provider, ' ', requested) AS series, failed AS is_bad, failed AS is_down
  FROM calls WHERE (provider, requested) IN (SELECT provider, requested FROM biggest)
  UNION ALL
  SELECT p.time, concat('probe of ', p.backend), NOT p.ok, p.state = 'down'
  FROM probes AS p WHERE {PROBED}
)
SELECT $__timeInterval(at) AS time, series,
       multiIf(countIf(is_down) = count(), 2, countIf(is_bad) >= 0.05 * count(), 1, 0) AS state
FROM told GROUP BY time, series ORDER BY time, series
"""
    ),
    [(0, "well", "green"), (1, "failing", "orange"), (2, "down", "red")],
)
BLAME = bars(
    "Who is to blame?",
    "Calls of each time bucket that failed, were slow or were retried, by where the fault lay.",
    calls(
        """
SELECT $__timeInterval(at) AS time, blamed AS series, count() AS calls
FROM calls WHERE blamed != '-' GROUP BY time, series ORDER BY time, series
"""
    ),
    unit=AXIS_COUNT,
    no_value="nobody in range",
)
GUARDS = table(
    "Caches and guardrails",
    "Hops of the range that are no proxy, router or model: how often they took part and failed.",
    hops(
        """
SELECT role, hop AS name, route, count() AS calls, countIf(hop_status = 'error') AS failing,
       quantile(0.95)(overhead_ms) AS overhead_p95
FROM hops WHERE role NOT IN ('proxy', 'router', 'model')
GROUP BY role, hop, route ORDER BY calls DESC, role, name, route LIMIT 50
"""
    ),
    width=12,
    no_value="none in range",
    columns=[Column("calls", COUNT, width=90), Column("overhead_p95", "ms", width=120)],
)


BOARD = Board(
    "hops",
    "Hops",
    "Which proxies, routers and models stand between the application and its answer, and what does "
    "that cost?",
    [
        Row(
            "Which way do calls go?",
            [BEHIND, FELL_BACK, SWAPPED, ATTEMPTS, CACHED, STOPPED, GRAPH, SERVED, ROUTES],
        ),
        Row("How much time does each hop add?", [OVERHEAD, EXCLUSIVE]),
        Row("Is a backend down? Who is to blame?", [BACKENDS, BLAME, GUARDS.sized(12, 8)]),
        Row("What did a change of route do?", [*CHANGES, BEFORE_AFTER]),
    ],
    annotations=[SWITCHES],
)
