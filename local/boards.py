"""The boards on the local page: the very files that Grafana gets, asked of the local ledger.

A board is asked for by its uid and a panel's number, never with SQL: the statement is the file's, the
browser says the time range and the chosen values. Values reach a statement percent-encoded alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from . import expand
from .frames import TABLE, Frame, frames, interval_ms
from .ledger import Ledger
from .queries import BadFilter

__all__ = ["Asked", "Boards", "NoSuchPanel"]

PACKAGE = "tollspan.local.boards_json"
ORDER = (
    "overview",
    "attribution",
    "versions",
    "budgets",
    "reliability",
    "hops",
    "trace",
    "quality",
    "pipeline",
)
"""As people read them; others come behind, by name."""

LONGEST_MS = 400 * 86_400_000
LATEST_MS = 4_102_444_800_000
"""The year 2100: times of statements are 32 bits of seconds."""
MOST_POINTS = 10_000
MOST_VALUES = 500
MOST_LETTERS = 60_000
"""Bytes of all chosen values: a statement may have 256 KiB, and encoding makes three of one."""
ALL = "$__all"
NO_METRICS = "There is no Prometheus here: the collectors' own metrics are shown in Grafana."


class NoSuchPanel(LookupError):
    """There is no board, panel or variable of that name; the message is one sentence."""


@dataclass(frozen=True)
class Asked:
    """What a browser says with a question: the range in Unix milliseconds, values by variable."""

    start_ms: int
    end_ms: int
    points: int
    values: Mapping[str, list[str]]

    @classmethod
    def read(cls, body: Any) -> Asked:
        """The body of a request: `{"from", "to", "width_px", "variables"}`.

        Raises:
            BadFilter: it is something else, or asks for too much.
        """
        if not isinstance(body, dict):
            raise BadFilter("the body is not a JSON object with from, to, width_px and variables")
        start, end = _whole(body, "from", 0, LATEST_MS), _whole(body, "to", 0, LATEST_MS)
        if start >= end:
            raise BadFilter("the time range ends before it begins: from must be smaller than to")
        if end - start > LONGEST_MS:
            raise BadFilter(f"the time range is longer than {LONGEST_MS // 86_400_000} days")
        points = _whole({"width_px": 1000} | body, "width_px", 1, MOST_POINTS)
        return cls(start, end, points, _values(body.get("variables") or {}))


def _whole(body: Mapping[str, Any], name: str, least: int, most: int) -> int:
    value = body.get(name)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise BadFilter(f"{name} is not a whole number from {least} to {most}")
    return value


def _values(chosen: Any) -> dict[str, list[str]]:
    if not isinstance(chosen, dict):
        raise BadFilter("variables is not an object of lists of texts")
    found: dict[str, list[str]] = {}
    for name, value in chosen.items():
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
            raise BadFilter("the values of a variable are not a list of texts")
        if len(values) > MOST_VALUES:
            raise BadFilter(f"more than {MOST_VALUES} values are chosen for one variable")
        found[name] = [each.encode("utf-8", "replace").decode() for each in values]
    if sum(len(each.encode()) for values in found.values() for each in values) > MOST_LETTERS:
        raise BadFilter("the chosen values are too long: choose fewer of them")
    return found


class Boards:
    """All boards, over one ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._boards = dict(_files())

    def listed(self) -> list[dict[str, Any]]:
        """`uid`, `title`, `description` and `tags` of each board, in reading order."""
        named = ("uid", "title", "description", "tags")
        return [{name: board[name] for name in named} for board in self._boards.values()]

    def board(self, uid: str) -> dict[str, Any]:
        """The file of one board.

        Raises:
            NoSuchPanel: there is no such board.
        """
        try:
            return self._boards[uid]
        except KeyError:
            raise NoSuchPanel("there is no board with this uid") from None

    def panel(self, uid: str, number: int, asked: Asked) -> dict[str, Any]:
        """`frames` of one panel, the `interval_ms` of its time buckets, and a `notice` or null.

        Raises:
            NoSuchPanel: there is no such board or panel.
            BadFilter: a variable that the board does not have.
            Busy, LedgerError: as `Ledger.table`.
        """
        board = self.board(uid)
        panel = next((each for each in _panels(board) if each["id"] == number), None)
        if panel is None or not panel.get("targets"):
            raise NoSuchPanel("this board has no such panel")
        values = _chosen(board, asked)
        points = min(asked.points, panel.get("maxDataPoints") or asked.points)
        every_ms = interval_ms(asked.end_ms - asked.start_ms, points)
        found: list[Frame] = []
        notice = None
        for target in panel["targets"]:
            if "rawSql" not in target:
                notice = NO_METRICS
            elif not target.get("hide"):
                sql = self._expanded(target["rawSql"], values, asked, every_ms)
                found += frames(target["refId"], target["format"], *self._ledger.table(sql))
        return {"frames": found, "interval_ms": max(every_ms, 1000), "notice": notice}

    def options(self, uid: str, name: str, asked: Asked) -> list[dict[str, str]]:
        """`text` and `value` of each choice of a variable, in order; All is not among them.

        Raises:
            As `panel`.
        """
        board = self.board(uid)
        variable = next((each for each in _variables(board) if each["name"] == name), None)
        if variable is None:
            raise NoSuchPanel("this board has no such variable")
        if variable["type"] == "query":
            sql = variable["query"]["rawSql"]
            rows = self._table(sql, board, asked)
            return [{"text": str(row[-1]), "value": str(row[0])} for row in rows]
        if variable["type"] == "custom":
            offered = [each for each in variable["options"] if each["value"] != ALL]
            return [{"text": each["text"], "value": each["value"]} for each in offered]
        return []

    def annotations(self, uid: str, asked: Asked) -> list[dict[str, Any]]:
        """`name`, `color`, `time` (ms), `text` and `tags` of each mark of the range, in order.

        Raises:
            As `panel`.
        """
        board = self.board(uid)
        found = []
        for each in board["annotations"].get("list", []):
            if each.get("enable") and "rawSql" in each.get("target", {}):
                mark = {"name": each["name"], "color": each["iconColor"]}
                sql = self._expanded(each["target"]["rawSql"], _chosen(board, asked), asked, 1_000)
                for frame in frames("Anno", TABLE, *self._ledger.table(sql)):
                    fields = {field["name"]: field["values"] for field in frame["fields"]}
                    rows = zip(fields["time"], fields["text"], fields["tags"], strict=True)
                    found += [
                        mark | {"time": time, "text": text, "tags": [tag] if tag else []}
                        for time, text, tag in rows
                    ]
        return sorted(found, key=lambda mark: mark["time"])

    def _table(self, sql: str, board: Mapping[str, Any], asked: Asked) -> list[list[Any]]:
        _, rows = self._ledger.table(self._expanded(sql, _chosen(board, asked), asked, 1_000))
        return rows

    def _expanded(
        self, sql: str, values: Mapping[str, str | list[str]], asked: Asked, every_ms: int
    ) -> str:
        sent = expand.browser(sql, values, unescaped="")
        return expand.server(
            sent, asked.start_ms // 1000, asked.end_ms // 1000, max(1, every_ms // 1000)
        )


def _files() -> Iterator[tuple[str, dict[str, Any]]]:
    named = {f"tollspan-{name}.json": place for place, name in enumerate(ORDER)}
    files = [each for each in resources.files(PACKAGE).iterdir() if each.name.endswith(".json")]
    for file in sorted(files, key=lambda each: (named.get(each.name, len(ORDER)), each.name)):
        board = json.loads(file.read_text("utf-8"))
        yield board["uid"], board


def _panels(board: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Rows and panels, those of collapsed rows too."""
    for panel in board["panels"]:
        yield panel
        yield from panel.get("panels") or []


def _variables(board: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = board["templating"]["list"]
    return found


def _chosen(board: Mapping[str, Any], asked: Asked) -> dict[str, str | list[str]]:
    """A value for every variable of the board: what was asked for, or what the file says."""
    found: dict[str, str | list[str]] = {}
    for variable in _variables(board):
        default = (variable.get("current") or {}).get("value") or ""
        several = variable.get("multi", False)
        values = asked.values.get(variable["name"])
        if values is None or (several and not values):
            values = default if isinstance(default, list) else [default]
        found[variable["name"]] = values if several else "".join(values[:1])
    if unknown := sorted(asked.values.keys() - found.keys()):
        raise BadFilter(f"this board has no variable {unknown[0][:40]!r}")
    return found
