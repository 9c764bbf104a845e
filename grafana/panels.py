"""Panels of the kinds that the boards are made of, each with everything set that it depends on.

The list of kinds, units, reducers and options is the panel profile: `tests/test_grafana_profile.py`
holds every board to it, and the local page draws exactly it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common, dashboard

__all__ = [
    "Column",
    "Panel",
    "Query",
    "bars",
    "change",
    "heatmap",
    "lines",
    "metric_lines",
    "nodes",
    "number",
    "states",
    "table",
    "traces",
]

CLICKHOUSE = "grafana-clickhouse-datasource"
PLUGIN_VERSION = "4.20.0"
FORMATS = {"timeseries": 0, "table": 1, "traces": 3}
"""What the plugin's server side obeys; `queryType` says the same to its editor."""

USD = "currencyUSD"
EXACT_USD = "prefix:$"
"""For tables: `currencyUSD` writes 12345 as $12.3K."""
SHARE = "percentunit"
COUNT = "locale"
AXIS_COUNT = "sishort"
EMPTY_CELL = "–"

BUCKETS = 60
"""Of time: a bar of one pixel is a stroke that nobody can point at, a percentile of three calls none."""

NEUTRAL = (("text", None),)
Steps = Sequence[tuple[str, float | None]]
ERRORS: Steps = (("text", None), ("orange", 0.01), ("red", 0.05))
ANY_IS_BAD: Steps = (("text", None), ("orange", 0.000001))
"""Colours from a value on; the first holds from the beginning."""


class Query(Dataquery):
    """A query of a datasource for which the SDK has no builder."""

    def __init__(self, **fields: Any) -> None:
        self.fields = fields

    def to_json(self) -> dict[str, object]:
        return self.fields

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        return cls(**data)


def clickhouse(sql: str, kind: str, ref: str = "A") -> Query:
    return Query(
        refId=ref,
        datasource={"type": CLICKHOUSE, "uid": "${datasource}"},
        editorType="sql",
        queryType=kind,
        format=FORMATS[kind],
        pluginVersion=PLUGIN_VERSION,
        rawSql=sql.strip(),
    )


def promql(expression: str, legend: str, ref: str) -> Query:
    return Query(
        refId=ref,
        datasource={"type": "prometheus", "uid": "${prometheus}"},
        expr=expression,
        legendFormat=legend,
        editorMode="code",
        range=True,
        instant=False,
    )


@dataclass(frozen=True)
class Column:
    """How one column of a frame is shown; `link` is a title and an address."""

    name: str
    unit: str = ""
    decimals: int | None = None
    width: int | None = None
    link: tuple[str, str] | None = None
    bar: bool = False
    steps: Steps = ()
    hidden: bool = False
    nothing: str = ""
    """What stands where there is no value; else what the panel says."""
    mappings: Sequence[dict[str, Any]] = ()

    def properties(self) -> list[dashboard.DynamicConfigValue]:
        found: dict[str, Any] = {}
        if self.unit:
            found["unit"] = self.unit
        if self.decimals is not None:
            found["decimals"] = self.decimals
        if self.width is not None:
            found["custom.width"] = self.width
        if self.link:
            found["links"] = [{"title": self.link[0], "url": self.link[1]}]
        if self.steps:
            found["thresholds"] = {"mode": "absolute", "steps": _steps(self.steps)}
            found["custom.cellOptions"] = {"type": "color-text"}
        if self.bar:
            mode = "thresholds" if self.steps else "continuous-blues"
            found |= {"min": 0, "max": 1, "color": {"mode": mode}}
            found["custom.cellOptions"] = {"type": "gauge", "mode": "basic"}
        if self.hidden:
            found["custom.hidden"] = True
        if self.nothing:
            found["noValue"] = self.nothing
        if self.mappings:
            found["mappings"] = list(self.mappings)
        return [_value(name, value) for name, value in found.items()]


def change(name: str, **more: Any) -> Column:
    """A share of more (or less) than before. After a quiet time it is millions of percent, which
    nobody reads: from ten times as much on it says just that, and sorts as the number it is."""
    manifold = {"from": 9, "to": None, "result": {"text": "tenfold or more"}}
    mappings = [{"type": "range", "options": manifold}]
    return Column(name, SHARE, 1, mappings=mappings, **more)


def _value(name: str, value: Any) -> dashboard.DynamicConfigValue:
    return dashboard.DynamicConfigValue(id_val=name, value=value)


@dataclass(frozen=True)
class Panel:
    """One panel before it has a place and a number."""

    kind: str
    title: str
    description: str
    queries: Sequence[Query]
    width: int
    height: int
    options: dict[str, Any]
    custom: dict[str, Any] | None = None
    unit: str = ""
    decimals: int | None = None
    least: float | None = None
    steps: Steps = NEUTRAL
    color: str = "palette-classic-by-name"
    display_name: str = ""
    no_value: str = "no calls in range"
    columns: Sequence[Column] = ()
    mappings: Sequence[dict[str, Any]] = ()
    datasource: str = "datasource"
    points: int | None = None
    """How many time buckets there are at most; else as many as the panel has pixels."""

    def sized(self, width: int, height: int) -> Panel:
        return replace(self, width=width, height=height)

    def built(self, number: int) -> Builder[dashboard.Panel]:
        """With its number, which links and alert rules name; the board gives it its place."""
        kind = "prometheus" if self.datasource == "prometheus" else CLICKHOUSE
        made = (
            builders.Panel()
            .type(self.kind)
            .id(number)
            .title(self.title)
            .description(self.description)
            .datasource(common.DataSourceRef(type_val=kind, uid=f"${{{self.datasource}}}"))
            .span(self.width)
            .height(self.height)
            .options(self.options)
        )
        defaults = dashboard.FieldConfig(
            color=dashboard.FieldColor(mode=dashboard.FieldColorModeId(self.color)),
            thresholds=dashboard.ThresholdsConfig(
                mode=dashboard.ThresholdsMode.ABSOLUTE, steps=_thresholds(self.steps)
            ),
            unit=self.unit or None,
            decimals=self.decimals,
            min_val=self.least,
            display_name=self.display_name or None,
            no_value=self.no_value,
            custom=self.custom,
        )
        defaults.mappings = list(self.mappings)  # type: ignore[arg-type]
        made = made.defaults(defaults)
        if self.points is not None:
            made = made.max_data_points(self.points)
        for query in self.queries:
            made = made.with_target(_Ready(query))
        if self.kind == "table":
            # Grafana writes the panel's text for nothing into every cell that has no value.
            made = made.override_by_regexp("/.*/", [_value("noValue", EMPTY_CELL)])
        for column in self.columns:
            made = made.override_by_name(column.name, column.properties())
        return made


class _Ready(Builder[Dataquery]):
    def __init__(self, query: Query) -> None:
        self.query = query

    def build(self) -> Dataquery:
        return self.query


def _thresholds(steps: Steps) -> list[dashboard.Threshold]:
    return [dashboard.Threshold(value=value, color=color) for color, value in steps]


def _steps(steps: Steps) -> list[dict[str, Any]]:
    return [{"color": color, "value": value} for color, value in steps]


def number(title: str, description: str, sql: str, **more: Any) -> Panel:
    """A stat of one row: each column is a big number with its name."""
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "graphMode": "none",
        "colorMode": "value" if "steps" in more else "none",
        "justifyMode": "auto",
        "textMode": "value_and_name",
        "orientation": "auto",
        "wideLayout": False,
        "showPercentChange": False,
        "percentChangeColorMode": "standard",
    }
    made = Panel("stat", title, description, [clickhouse(sql, "table")], 4, 4, options)
    return replace(made, **{"color": "thresholds"} | more)


def table(title: str, description: str, sql: str, sort: str = "", **more: Any) -> Panel:
    """A table; `sort` is the column that it comes sorted by, largest first."""
    options: dict[str, Any] = {"showHeader": True, "cellHeight": "sm", "frameIndex": 0}
    if sort:
        options["sortBy"] = [{"displayName": sort, "desc": True}]
    custom = {"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False}
    query = [clickhouse(sql, "table")]
    made = Panel("table", title, description, query, 24, 9, options, custom)
    return replace(made, **{"color": "thresholds"} | more)


def _legend(calcs: Sequence[str], placement: str) -> dict[str, Any]:
    return {
        "legend": {
            "displayMode": "table" if calcs else "list",
            "placement": placement,
            "showLegend": True,
            "calcs": list(calcs),
            **({"sortBy": "Total", "sortDesc": True} if "sum" in calcs else {}),
        },
        "tooltip": {"mode": "multi", "sort": "desc"},
    }


STACKED = {
    "drawStyle": "bars",
    "fillOpacity": 80,
    "lineWidth": 0,
    "showPoints": "never",
    "stacking": {"mode": "normal", "group": "A"},
}
LINES = {
    "drawStyle": "line",
    "fillOpacity": 0,
    "lineWidth": 2,
    "showPoints": "auto",
    "spanNulls": False,
    "stacking": {"mode": "none", "group": "A"},
}


def bars(title: str, description: str, sql: str, **more: Any) -> Panel:
    """Stacked bars over time, for what adds up: money, tokens, calls."""
    query = [clickhouse(sql, "timeseries")]
    options = _legend(["sum"], "right")
    made = Panel("timeseries", title, description, query, 12, 8, options, STACKED, least=0)
    made = replace(made, points=BUCKETS)
    return replace(made, **{"display_name": "${__field.labels.series}"} | more)


def lines(title: str, description: str, sql: str, **more: Any) -> Panel:
    """Lines over time, for what does not add up: latencies, rates, ratios. A gap is no value."""
    query = [clickhouse(sql, "timeseries")]
    options = _legend([], "bottom")
    made = Panel("timeseries", title, description, query, 12, 8, options, LINES, least=0)
    return replace(made, points=BUCKETS, **more)


def metric_lines(
    title: str, description: str, expressions: Sequence[tuple[str, str]], **more: Any
) -> Panel:
    """Lines of Prometheus expressions, each with its legend."""
    queries = [
        promql(expression, legend, chr(ord("A") + place))
        for place, (expression, legend) in enumerate(expressions)
    ]
    options = _legend([], "bottom")
    made = Panel("timeseries", title, description, queries, 8, 7, options, LINES, least=0)
    return replace(made, datasource="prometheus", **{"no_value": "no such metric here"} | more)


def heatmap(title: str, description: str, sql: str, **more: Any) -> Panel:
    """Raw values over time, counted into cells by the panel, on a logarithmic axis of seconds."""
    options: dict[str, Any] = {
        "calculate": True,
        "calculation": {"yBuckets": {"mode": "count", "scale": {"type": "log", "log": 2}}},
        "color": {"mode": "scheme", "scheme": "Blues", "steps": 32, "exponent": 0.5},
        "yAxis": {"unit": "s", "axisPlacement": "left"},
        "cellGap": 1,
        "legend": {"show": True},
        "tooltip": {"mode": "single", "yHistogram": False, "showColorScale": False},
        "showValue": "never",
        "filterValues": {"le": 1e-9},
        "rowsFrame": {"layout": "auto"},
    }
    query = [clickhouse(sql, "timeseries")]
    return replace(Panel("heatmap", title, description, query, 12, 8, options), **more)


def states(title: str, description: str, sql: str, words: Sequence[tuple[int, str, str]]) -> Panel:
    """State timeline: one row per series; `words` are value, text and colour of each state."""
    mapping = {
        "type": "value",
        "options": {
            str(value): {"text": word, "color": color, "index": value}
            for value, word, color in words
        },
    }
    options = {
        "mergeValues": True,
        "showValue": "auto",
        "alignValue": "left",
        "rowHeight": 0.8,
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    return Panel(
        "state-timeline",
        title,
        description,
        [clickhouse(sql, "timeseries")],
        width=24,
        height=7,
        options=options,
        custom={"fillOpacity": 70, "lineWidth": 0},
        color="thresholds",
        display_name="${__field.labels.series}",
        mappings=[mapping],
        points=BUCKETS,
    )


def nodes(title: str, description: str, nodes_sql: str, edges_sql: str, **more: Any) -> Panel:
    """A node graph of two frames; Grafana tells them apart by their names."""
    queries = [clickhouse(nodes_sql, "table", "nodes"), clickhouse(edges_sql, "table", "edges")]
    options: dict[str, Any] = {"nodes": {}, "edges": {}}
    return replace(Panel("nodeGraph", title, description, queries, 12, 10, options), **more)


def traces(title: str, description: str, sql: str) -> Panel:
    """The waterfall of one trace."""
    query = [clickhouse(sql, "traces")]
    return Panel("traces", title, description, query, width=24, height=14, options={})
