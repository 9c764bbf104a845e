"""A whole board: its variables, links, annotations and panels, as classic JSON of one fixed form."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog import runtime
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import common, dashboard

from . import sql
from .panels import CLICKHOUSE, FORMATS, Panel, Query

__all__ = ["Board", "Row", "link"]

SCHEMA_VERSION = 41
"""Of Grafana 11.6, the oldest that the ClickHouse plugin works in; newer ones migrate it on load."""

MENU_LENGTH = 500

register_default_plugins()
for _type in (CLICKHOUSE, "prometheus"):
    runtime.register_dataquery_variant(
        runtime.DataqueryConfig(identifier=_type, from_json_hook=Query.from_json)
    )


@dataclass(frozen=True)
class Row:
    """A row's title is the question that its panels answer."""

    question: str
    panels: Sequence[Panel]
    collapsed: bool = False


@dataclass(frozen=True)
class Board:
    """One board; `uid` without the `tollspan-` that every one begins with."""

    uid: str
    title: str
    description: str
    rows: Sequence[Row]
    annotations: Sequence[tuple[str, str, str]] = ()
    """Name, colour and statement of each."""
    variables: Sequence[dashboard.VariableModel] = field(default=())
    """Besides those that every board has."""
    metrics: bool = False
    """Whether it asks Prometheus, too."""

    def text(self) -> str:
        """The file: what the SDK's own models read from the draft and write again."""
        draft = _plain(self._built())
        made = _plain(dashboard.Dashboard.from_json(json.loads(json.dumps(draft))))
        if lost := sorted(_lost(draft, made)):
            raise ValueError(f"{self.uid}: Grafana has no such settings: {', '.join(lost)}")
        made["schemaVersion"] = SCHEMA_VERSION
        for each in (*made["links"], *made["annotations"]["list"]):
            # The SDK knows one value and always writes it: it hides the list of boards in a menu.
            del each["placement"]
        return json.dumps(made, indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    def _built(self) -> dashboard.Dashboard:
        made = (
            builders.Dashboard(f"Tollspan: {self.title}")
            .uid(f"tollspan-{self.uid}")
            .description(self.description)
            .tags(["tollspan"])
            .readonly()
            .timezone("utc")
            .time("now-24h", "now")
            .refresh("1m")
            .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
            .link(
                builders.DashboardLink("Boards")
                .type(dashboard.DashboardLinkType.DASHBOARDS)
                .tags(["tollspan"])
                .as_dropdown(True)
                .include_vars(True)
                .keep_time(True)
            )
        )
        made = made.with_variable(
            builders.DatasourceVariable("datasource").label("Ledger").type(CLICKHOUSE)
        )
        if self.metrics:
            made = made.with_variable(
                builders.DatasourceVariable("prometheus").label("Metrics").type("prometheus")
            )
        for variable in _variables():
            made = made.with_variable(variable)
        built = made.build()
        assert built.templating is not None and built.templating.list_val is not None
        built.templating.list_val.extend(self.variables)
        built.annotations = dashboard.AnnotationContainer(
            list_val=[_annotation(*each) for each in self.annotations]
        )
        built.panels = self._placed()
        return built

    def numbers(self) -> dict[str, int]:
        """Number of each panel by its title, rows counted with them, in reading order."""
        titles = [
            title for row in self.rows for title in (row.question, *(p.title for p in row.panels))
        ]
        return {title: number for number, title in reversed(list(enumerate(titles, start=1)))}

    def _placed(self) -> list[dashboard.Panel | dashboard.RowPanel]:
        """Rows and panels on the 24 columns, numbered in reading order."""
        placed: list[dashboard.Panel | dashboard.RowPanel] = []
        count, y = 0, 0
        for row in self.rows:
            count += 1
            head = builders.Row(row.question).id(count).collapsed(row.collapsed).build()
            head.grid_pos = dashboard.GridPos(x=0, y=y, w=24, h=1)
            placed.append(head)
            y += 1
            x, tallest = 0, 0
            for panel in row.panels:
                if x + panel.width > 24:
                    x, y, tallest = 0, y + tallest, 0
                count += 1
                built = panel.built(count).build()
                built.grid_pos = dashboard.GridPos(x=x, y=y, w=panel.width, h=panel.height)
                (head.panels if row.collapsed else placed).append(built)
                x, tallest = x + panel.width, max(tallest, panel.height)
            y += tallest
        return placed


def link(board: str, **values: str) -> str:
    """Address of `board` with the time range and all variables, those in `values` replaced.

    A value is what stands behind `var-name=`: a cell as `${__value.raw:percentencode}`.
    """
    kept = [name for name in ("datasource", *sql.VARIABLES, "user") if name not in values]
    parts = [f"var-{name}={value}" for name, value in values.items()]
    parts += [f"${{{name}:queryparam}}" for name in kept]
    return f"/d/tollspan-{board}?{'&'.join(parts)}&${{__url_time_range}}"


LABELS = {
    "environment": "Environment",
    "data_mode": "Data mode",
    "tenant": "Tenant",
    "team": "Team",
    "endpoint": "Endpoint",
    "provider": "Provider",
    "model": "Model",
    "prompt_version": "Prompt version",
}
ALL = dashboard.VariableOption(selected=True, text="All", value="$__all")
MODES = ("real", "test", "replay", "shadow")


def _variables() -> list[
    builders.QueryVariable | builders.CustomVariable | builders.TextBoxVariable
]:
    made: list[builders.QueryVariable | builders.CustomVariable | builders.TextBoxVariable] = []
    for name, label in LABELS.items():
        if name == "data_mode":
            made.append(_modes(label))
            continue
        only = ["environment", "data_mode"] + (["endpoint"] if name == "prompt_version" else [])
        conditions = [sql.chosen(each, sql.VARIABLES[each]) for each in only if each != name]
        menu = "\n  AND ".join(["$__timeFilter(c.time)", *conditions])
        statement = (
            f"SELECT {sql.VARIABLES[name]} AS choice\nFROM tollspan_calls AS c\nWHERE {menu}\n"
            f"GROUP BY choice ORDER BY count() DESC, choice LIMIT {MENU_LENGTH}"
        )
        made.append(
            builders.QueryVariable(name)
            .label(label)
            .datasource(common.DataSourceRef(type_val=CLICKHOUSE, uid="${datasource}"))
            .query({"editorType": "sql", "rawSql": statement})
            .multi(True)
            .include_all(True)
            .current(ALL)
            .allow_custom_value(True)
            .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        )
    made.append(builders.TextBoxVariable("user").label("User").default_value(""))
    return made


def _modes(label: str) -> builders.CustomVariable:
    """Tests and experiments never stand in the money unless somebody asks for them."""
    options = [
        dashboard.VariableOption(selected=mode == "real", text=mode, value=mode) for mode in MODES
    ]
    return (
        builders.CustomVariable("data_mode")
        .label(label)
        .values(",".join(MODES))
        .options(options)
        .multi(True)
        .include_all(True)
        .current(dashboard.VariableOption(selected=True, text=["real"], value=["real"]))
    )


def _annotation(name: str, color: str, statement: str) -> dashboard.AnnotationQuery:
    made = dashboard.AnnotationQuery(
        name=name,
        datasource=common.DataSourceRef(type_val=CLICKHOUSE, uid="${datasource}"),
        enable=True,
        icon_color=color,
    )
    made.target = Query(
        refId="Anno",
        editorType="sql",
        queryType="table",
        format=FORMATS["table"],
        rawSql=statement.strip(),
        datasource={"type": CLICKHOUSE, "uid": "${datasource}"},
    )
    return made


def _plain(board: dashboard.Dashboard) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(JSONEncoder().encode(board))
    return made


def _lost(draft: Any, made: Any, path: str = "") -> set[str]:
    """Paths of what stands in `draft` and not in `made`: names that Grafana's schema does not know."""
    if isinstance(draft, dict) and isinstance(made, dict):
        return {
            each
            for key, value in draft.items()
            for each in (
                _lost(value, made[key], f"{path}.{key}") if key in made else {f"{path}.{key}"}
            )
        }
    if isinstance(draft, list) and isinstance(made, list) and len(draft) == len(made):
        pairs = enumerate(zip(draft, made, strict=True))
        return {each for n, (one, other) in pairs for each in _lost(one, other, f"{path}[{n}]")}
    return set() if draft == made else {f"{path}: {draft!r} became {made!r}"}
