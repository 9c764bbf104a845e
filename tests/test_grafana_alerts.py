"""Each alert rule fires for what it is for, and for nothing that looks alike."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import board_data
import needs
import page_data
import pytest
import yaml
from board_data import DataSet
from page_data import Call

from tollspan.local import expand
from tollspan.local.ledger import Ledger

FOLDER = board_data.ROOT / "grafana"
HOUR = timedelta(hours=1)


def load(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text("utf-8"))


RULES = {
    rule["uid"].removeprefix("tollspan_"): rule
    for group in load("alerting/clickhouse.yml")["groups"]
    for rule in group["rules"]
}
BOARDS = board_data.boards()
Fired = dict[tuple[str, ...], float]


class Calls:
    """Calls before one moment, made one after another."""

    def __init__(self, end: datetime) -> None:
        self.end = end
        self.made: list[Call] = []

    def add(self, age: timedelta, **changes: Any) -> None:
        number = 100_000 + len(self.made) + int(self.end.timestamp()) % 7_777_777
        self.made.append(page_data.call(number, self.end - age) | changes)

    def many(self, count: int, age: timedelta, **changes: Any) -> None:
        for n in range(count):
            self.add(age + timedelta(seconds=n), **changes)


def burn(calls: Calls) -> None:
    for hour in range(7 * 24):
        age = hour * HOUR + timedelta(minutes=30)
        usual = {"cost_usd": "0.2"}
        calls.add(age, endpoint="runs away", cost_usd="3" if hour < 6 else "0.2")
        calls.add(age, endpoint="dear, but always", cost_usd="3")
        calls.add(age, endpoint="was dear two hours ago", cost_usd="9" if hour == 2 else "0.2")
        calls.add(age, endpoint="cheap all the same", cost_usd="0.9" if hour < 6 else "0.01")
        calls.add(age, endpoint="a load test", data_mode="test", **({} if hour else usual))


def anomaly(calls: Calls) -> None:
    for day in range(8):
        age = day * 24 * HOUR + timedelta(minutes=20)
        calls.add(age, endpoint="unusual", cost_usd="9" if day == 0 else "1")
        calls.add(age, endpoint="a batch of every day", cost_usd="9")
        calls.add(age, endpoint="cents", cost_usd="0.9" if day == 0 else "0.01")
    for day in (0, 1, 2):
        calls.add(day * 24 * HOUR, endpoint="too new to say", cost_usd="9" if day == 0 else "1")


def unpriced(calls: Calls) -> None:
    none = {"cost_usd": None, "cost_source": None, "unpriced_reason": "unknown_model"}
    unknown = none | {"cost_grade": "unpriced", "served_model": "house-7b"}
    calls.many(3, timedelta(minutes=5), **unknown)
    calls.add(timedelta(minutes=6), **(unknown | {"data_mode": "test", "served_model": "tested"}))
    refused = {"status": "error", "unpriced_reason": "no_usage", "served_model": "refuses"}
    calls.add(timedelta(minutes=7), **(unknown | refused))
    mute = {"unpriced_reason": "no_usage", "served_model": "mute"}
    calls.many(2, timedelta(minutes=7), **(unknown | mute))
    calls.add(timedelta(minutes=8), served_model="priced")
    calls.add(timedelta(hours=1), **(unknown | {"served_model": "an hour ago"}))


def retries(calls: Calls) -> None:
    calls.many(20, timedelta(minutes=1), route="stormy", app_attempts=3)
    calls.many(19, timedelta(minutes=1), route="too few to say", app_attempts=9)
    calls.many(40, timedelta(minutes=1), route="quiet", app_attempts=1)
    calls.many(30, timedelta(minutes=1), route="behind a gateway", upstream_attempts=2)


def versions(calls: Calls, change: Callable[[float], dict[str, Any]]) -> None:
    """From v1 to v2 at four endpoints: half as much again, little, too few calls; and back again."""
    for endpoint, grown, count in (
        ("regressed", 1.5, 60),
        ("little", 1.1, 60),
        ("too few to say", 9.0, 20),
        ("better", 0.5, 60),
    ):
        calls.many(60, 9 * HOUR, endpoint=endpoint, prompt_version="v1", **change(1.0))
        calls.many(count, HOUR, endpoint=endpoint, prompt_version="v2", **change(grown))


def first_chunk(calls: Calls) -> None:
    versions(calls, lambda grown: {"time_to_first_chunk_s": 0.4 * grown, "streaming": True})


def cost(calls: Calls) -> None:
    versions(calls, lambda grown: {"cost_usd": f"{0.002 * grown:.6f}"})


def untagged(calls: Calls) -> None:
    calls.many(27, timedelta(minutes=9), service="careless")
    calls.many(3, timedelta(minutes=8), service="careless", tenant=None)
    calls.many(29, timedelta(minutes=9), service="careful")
    calls.many(1, timedelta(minutes=8), service="careful", endpoint=None)
    calls.many(10, timedelta(minutes=9), service="too few to say", endpoint=None)


def keys(calls: Calls) -> None:
    calls.many(3, timedelta(hours=2), api_key="new", service="shop")
    calls.add(timedelta(hours=3), api_key="of a test", data_mode="test")
    calls.add(timedelta(hours=3), api_key="old")
    calls.add(timedelta(days=9), api_key="old")
    calls.add(timedelta(hours=4))


def stalled(calls: Calls) -> None:
    calls.many(5, timedelta(minutes=15))


def budget(calls: Calls) -> None:
    """Two dollars an hour of `burns` for five days; `burnt` has had its share; `slow` takes its time."""
    for hour in range(5 * 24):
        age = hour * HOUR + timedelta(minutes=30)
        calls.add(age, tenant="burns", cost_usd="2")
        calls.add(age, tenant="burnt", cost_usd="2")
        calls.add(age, tenant="slow", cost_usd="0.01")
        calls.add(age, tenant="a peak of an hour", cost_usd="9" if hour == 0 else "0.001")
        calls.add(age, tenant="tested", cost_usd="2", data_mode="test")


BURNING = [
    {
        "name": name,
        "filters": {"tenant": name},
        "limit_usd": limit,
        "owner": "ann",
        "contact": "#fin",
    }
    for name, limit in (
        ("burns", "264"),
        ("burnt", "240"),
        ("slow", "100"),
        ("a peak of an hour", "100"),
        ("tested", "264"),
    )
]


def standing(state: str) -> Callable[[Calls], None]:
    """What a budget of 10 USD is asked a moment after its calls, which cost 9 or 11."""

    def add(calls: Calls) -> None:
        calls.many(9 if state == "soft" else 11, timedelta(), tenant=f"{state} one", cost_usd="1")

    return add


STANDING = [
    {"name": "most of it", "filters": {"tenant": "soft one"}, "limit_usd": "10", "owner": "ann"},
    {"name": "all of it", "filters": {"tenant": "hard one"}, "limit_usd": "10", "action": "block"},
    {"name": "nothing", "filters": {"tenant": "nobody"}, "limit_usd": "10"},
    {"name": "ended", "filters": {"tenant": "hard one"}, "limit_usd": "1", "enabled": False},
]
SCENARIOS: dict[str, tuple[Callable[[Calls], None], Fired]] = {
    "budget_soft": (standing("soft"), {("most of it", "ann", "", ""): 0.9}),
    "budget_hard": (standing("hard"), {("all of it", "", "", "block"): 1.1}),
    "budget_burn": (budget, {("burns", "ann", "#fin"): 2.0}),
    "spend_burn": (burn, {("runs away",): 15.0}),
    "spend_anomaly": (anomaly, {("unusual",): 9.0}),
    "unpriced_model": (
        unpriced,
        {("openai", "house-7b", "unknown_model"): 3.0, ("openai", "mute", "no_usage"): 2.0},
    ),
    "retry_storm": (retries, {("stormy",): 3.0, ("behind a gateway",): 2.0}),
    "first_chunk_regression": (first_chunk, {("regressed", "v2"): 1.5}),
    "cost_regression": (cost, {("regressed", "v2"): 1.5}),
    "missing_attribution": (untagged, {("careless",): 0.1}),
    "new_key": (keys, {("new", "openai", "shop"): 3.0}),
    "ingest_stalled": (stalled, {(): 900.0}),
}
FIRST = datetime(2024, 3, 20, 15, tzinfo=UTC)
ENDS = {uid: FIRST + timedelta(days=60 * place) for place, uid in enumerate(SCENARIOS)}
# Where a budget stands is a matter of now; a day is enough for every period.
NOW = datetime.now(UTC)
ENDS |= {"budget_soft": NOW, "budget_hard": NOW - timedelta(seconds=20)}
# The fifteenth of a month, so that five days lie in its period and sixteen are left.
ENDS["budget_burn"] = datetime(2023, 3, 15, 12, tzinfo=UTC)
QUIET = FIRST + timedelta(days=60 * 20)
"""A moment with busy and healthy days before it: no rule fires."""


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    made = Ledger(tmp_path_factory.mktemp("alerts"))
    for uid, (fill, _) in SCENARIOS.items():
        calls = Calls(ENDS[uid])
        fill(calls)
        board_data.fill(made, DataSet(uid, calls.end, calls.made))
    healthy = Calls(QUIET)
    for minute in range(0, 9 * 24 * 60, 15):
        healthy.add(timedelta(minutes=minute, seconds=30), cost_usd="0.4", streaming=True)
        healthy.made[-1] |= {"time_to_first_chunk_s": 0.4}
        healthy.made[-1] |= {"prompt_version": "v1" if minute > 9 * 60 else "v2"}
    board_data.fill(made, DataSet("healthy", QUIET, healthy.made))
    made.insert("budgets", [*STANDING, *BURNING])
    yield made
    made.close()


def evaluated(ledger: Ledger, uid: str, end: datetime) -> tuple[Fired, dict[str, str]]:
    """What the rule says of each set of labels, and the types of its columns."""
    query = RULES[uid]["data"][0]
    start = end - timedelta(seconds=query["relativeTimeRange"]["from"])
    sql = expand.server(query["model"]["rawSql"], int(start.timestamp()), int(end.timestamp()), 60)
    types = {each["name"]: each["type"] for each in ledger.query(f"DESCRIBE ({sql})")}
    (number,) = [name for name, kind in types.items() if "Float" in kind or "Int" in kind]
    rows = ledger.query(sql)
    found = {tuple(row[name] for name in types if name != number): row[number] for row in rows}
    assert len(found) == len(rows), "each set of labels once, or Grafana rejects the answer"
    return found, types


def firing(uid: str, found: Fired) -> Fired:
    (condition,) = RULES[uid]["data"][1]["model"]["conditions"]
    assert condition["evaluator"]["type"] == "gt"
    (limit,) = condition["evaluator"]["params"]
    return {labels: value for labels, value in found.items() if value is not None and value > limit}


@pytest.mark.parametrize("uid", RULES)
def test_a_rule_fires_for_what_it_is_for_and_nothing_alike(ledger: Ledger, uid: str) -> None:
    found, _ = evaluated(ledger, uid, ENDS[uid])

    assert firing(uid, found) == pytest.approx(SCENARIOS[uid][1], rel=0.02)


def test_the_board_shows_the_storm_that_the_rule_tells_of(ledger: Ledger) -> None:
    end = ENDS["retry_storm"]
    rows = board_data.ask(
        ledger, board_data.statement("hops", "Routes"), DataSet("retry_storm", end)
    )
    shown = {row["route"]: row for row in rows}

    told, _ = evaluated(ledger, "retry_storm", end)
    assert {"stormy", "behind a gateway", "quiet"} <= {route for (route,) in told}
    for (route,), attempts in told.items():
        assert shown[route]["attempts_per_call"] == pytest.approx(attempts)
        (worst,) = ledger.query(
            "SELECT greatest(coalesce(app_attempts, 1), coalesce(upstream_attempts, 1)) AS n, route "
            "FROM tollspan_calls WHERE trace_id = {id:String}",
            {"id": shown[route]["most_tried"]},
        )
        assert worst == {"n": round(attempts), "route": route}


@pytest.mark.parametrize("uid", RULES)
def test_no_rule_fires_on_healthy_days(ledger: Ledger, uid: str) -> None:
    if uid in ("budget_soft", "budget_hard"):
        return  # they ask the present alone, which has its scenario
    found, _ = evaluated(ledger, uid, QUIET)

    assert firing(uid, found) == {}


@pytest.mark.parametrize("uid", RULES)
def test_a_rule_answers_with_one_number_and_else_texts(ledger: Ledger, uid: str) -> None:
    """A time column would make it a series: `input data must be a wide series`."""
    _, types = evaluated(ledger, uid, QUIET)
    others = [kind for kind in types.values() if "Float" not in kind and "Int" not in kind]

    assert all(re.fullmatch(r"(LowCardinality\()?String\)?", kind) for kind in others)


def test_where_nothing_was_ever_received_only_the_stalled_rule_speaks(ledger: Ledger) -> None:
    for uid, rule in RULES.items():
        if uid.startswith("budget_"):
            continue  # a budget is there, whoever calls
        found, _ = evaluated(ledger, uid, FIRST - timedelta(days=700))
        assert found == {}
        assert rule["noDataState"] == ("Alerting" if uid == "ingest_stalled" else "OK")


@pytest.mark.parametrize("uid", RULES)
def test_a_rule_is_what_grafana_can_evaluate_and_leads_to_its_panel(uid: str) -> None:
    rule = RULES[uid]
    query, threshold = rule["data"]
    (datasource, *_) = load("provisioning/datasources/tollspan.yml")["datasources"]
    board = BOARDS[rule["dashboardUid"]]
    panels = {panel["id"]: panel for panel in board_data.panels(board)}
    names = {each["name"] for each in board["templating"]["list"]}

    assert query["datasourceUid"] == datasource["uid"]
    assert rule["condition"] == threshold["refId"]
    assert threshold["model"]["expression"] == query["refId"]
    assert panels[rule["panelId"]]["type"] != "row"
    assert f"viewPanel={rule['panelId']}" in rule["annotations"]["board"]
    assert set(re.findall(r"var-(\w+)=", rule["annotations"]["board"])) <= names
    assert not re.search(r"\$\{|\$(?!__)\w", query["model"]["rawSql"]), "there are no variables"
    assert "$" not in str(rule["labels"]), "provisioning would read it from the environment"
    labels = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
    assert all(re.search(rf"\bAS {label}\b", query["model"]["rawSql"]) for label in labels)


def test_every_rule_has_its_scenario() -> None:
    assert set(SCENARIOS) == set(RULES)


def test_the_examples_of_policies_send_to_points_that_exist() -> None:
    points = {each["name"] for each in load("alerting/contact-points.example.yml")["contactPoints"]}
    (policy,) = load("alerting/policies.example.yml")["policies"]
    teams = {rule["labels"]["team"] for rule in RULES.values()}

    assert policy["receiver"] in points
    for route in policy["routes"]:
        assert route["receiver"] in points
        for name, _, value in route["object_matchers"]:
            assert name != "team" or value in teams


def test_the_rules_of_prometheus_pass_their_unit_tests() -> None:
    promtool = shutil.which("promtool") or needs.missing("promtool", "Debian package prometheus")
    done = subprocess.run(
        [promtool, "test", "rules", "prometheus_test.yml"],
        check=False,
        cwd=FOLDER / "alerting",
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    rules = [rule for group in load("alerting/prometheus.yml")["groups"] for rule in group["rules"]]
    tested = {
        test["alertname"]
        for each in load("alerting/prometheus_test.yml")["tests"]
        for test in each["alert_rule_test"]
        if test["exp_alerts"]
    }
    assert tested == {rule["alert"] for rule in rules if "alert" in rule}, (
        "each has been seen firing"
    )
