"""Names that people choose to break things stay names: in the choice of a variable and in answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import board_data
import page_data
import pytest

from tollspan.local import expand
from tollspan.local.ledger import Ledger, LedgerError

SETS = board_data.data_sets()
HOSTILE = SETS["hostile"]
TEXTS = {
    "image": page_data.IMAGE,
    "script": page_data.SCRIPT,
    "drop": page_data.DROP,
    "emoji": page_data.EMOJI,
    "control": page_data.BIDI,
    "long": "x" * 10_000,
    "backslash": board_data.BACKSLASH,
    "quotes": board_data.QUOTES,
    "dollars": board_data.DOLLARS,
    "commas": board_data.COMMAS,
}
NAMES = ("environment", "tenant", "team", "endpoint", "provider", "model", "prompt_version", "user")
STATEMENTS = list({each.sql: each for each in board_data.statements()}.values())


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    made = board_data.opened(tmp_path_factory.mktemp("boards"), (HOSTILE, SETS["demo"]))
    yield made
    made.close()


def of(name: str, text: str) -> list[dict[str, Any]]:
    """The calls whose `name` is `text`."""
    fields = {
        "team": lambda call: call["tags"].get("team"),
        "model": lambda call: call["served_model"],
    }
    read = fields.get(name, lambda call: call.get(name))
    return [call for call in HOSTILE.calls if read(call) == text]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("name", NAMES)
def test_choosing_a_hostile_value_shows_its_calls_and_no_others(
    ledger: Ledger, name: str, text: str
) -> None:
    sql = board_data.statement("overview", "Calls")
    wanted = TEXTS[text] if name == "user" else [TEXTS[text]]
    (row,) = board_data.ask(ledger, sql, HOSTILE, {name: wanted})

    assert row["calls"] == len(of(name, TEXTS[text]))
    # Data modes, environments and tags of the page's own hostile calls are not all hostile.
    assert row["calls"] == 1 or (name in ("environment", "team") and text not in ("backslash",))


@pytest.mark.parametrize("long", [False, True])
def test_no_statement_breaks_whatever_is_chosen_everywhere(ledger: Ledger, long: bool) -> None:
    """All short texts at once in every variable; twenty kilobytes of emoji in one of them.

    ClickHouse reads 256 KiB of a statement as it comes, and percent-encoded emoji are three times
    as long as they were.
    """
    values = [text for text in TEXTS.values() if (len(text) > 1000) is long]
    names = ("tenant",) if long else NAMES
    variables: dict[str, Any] = {
        name: values[0] if name == "user" else [*values, "acme"] for name in names
    }
    sent = [
        board_data.expanded(each.sql, HOSTILE, variables | {"trace_id": values[0]})
        for each in STATEMENTS
    ]
    answers = board_data.ask_all(ledger, sent)

    assert [answer for answer in answers if isinstance(answer, LedgerError)] == []
    (count,) = ledger.query("SELECT count() AS n FROM tollspan_calls")
    assert count["n"] == len(HOSTILE.calls) + len(SETS["demo"].calls), "nothing was dropped"


def test_a_value_that_names_a_macro_is_an_error_and_never_other_calls() -> None:
    """Grafana leaves the dollar sign as it is; the server then misses the macro's argument."""
    sent = expand.browser("'${tenant:queryparam}'", {"tenant": ["$__timeFilter(time)"]})

    with pytest.raises(expand.Unexpanded):
        expand.server(sent, 1, 2, 3)


def test_hostile_names_come_back_letter_for_letter(ledger: Ledger) -> None:
    for what in ("endpoint", "tenant", "model"):
        rows = board_data.ask(ledger, board_data.statement("attribution", f"Top {what}s"), HOSTILE)
        assert {row[what] for row in rows} == set(TEXTS.values())
    menu = next(each.sql for each in STATEMENTS if each.where.endswith("| $tenant"))
    offered = {row["choice"] for row in board_data.ask(ledger, menu, HOSTILE)}
    assert offered == set(TEXTS.values())


def test_the_form_that_boards_do_not_use_would_let_a_value_out(ledger: Ledger) -> None:
    """What Grafana's `singlequote` makes of a backslash and a quote ends the literal."""
    quoted = "'" + board_data.BACKSLASH.replace("'", "\\'") + "'"
    found = ledger.query(
        f"SELECT count() AS n FROM tollspan_calls AS c WHERE (c.tenant IN ({quoted}))"
    )

    assert found[0]["n"] > len(HOSTILE.calls), "every call, the demo's too"


def test_the_browser_leaves_no_sign_that_ends_a_literal() -> None:
    for text in TEXTS.values():
        sent = expand.browser("'${tenant:queryparam}'", {"tenant": [text, text]})
        assert not set(sent[1:-1]) & set("'\\\"`()\n\0 ")


def test_the_expander_does_what_grafana_does() -> None:
    all_of_it = {"tenant": ["$__all"], "user": "", "model": ["a b", "c'd,e$f"]}
    sql = "$__conditionalAll(has(['${tenant:queryparam}'], x), $tenant) AND 1"
    assert expand.browser(sql, all_of_it) == "1=1 AND 1"
    assert expand.browser("$__conditionalAll(a = 1, $user)", all_of_it) == "1=1"
    assert expand.browser("$__conditionalAll(f(g(a, b)), $model)", all_of_it) == "f(g(a, b))"
    # encodeURIComponentAsAngularJS of @grafana/data 13.2.3 url.mjs
    assert expand.browser("${model:queryparam}", all_of_it) == "var-model=a%20b&var-model=c%27d,e$f"
    sql = "SELECT $__timeInterval(at), $__toTime, $__interval_s WHERE $__timeFilter(c.time)"
    assert expand.server(sql, 100, 200, 30) == (
        "SELECT toStartOfInterval(toDateTime(at), INTERVAL 30 second), toDateTime(200), 30 "
        "WHERE c.time >= toDateTime(100) AND c.time <= toDateTime(200)"
    )


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("a~b*c(d)!e'f", "a~b%2Ac%28d%29%21e%27f"),
        ("naïve ÿ ☃", "na%C3%AFve%20%C3%BF%20%E2%98%83"),
        ("a@b:c,d;e+f/g?h=i&j", "a@b:c,d;e%2Bf%2Fg%3Fh%3Di%26j"),
        (board_data.BACKSLASH, "%5C%27%29%20OR%20%281%3D1%29%29%20--"),
    ],
)
def test_a_value_is_encoded_as_grafana_encodes_it(text: str, encoded: str) -> None:
    """What `urlUtil.toUrlParams` of @grafana/data 13.2.3 answered in Node 20."""
    assert expand.browser("${tenant:queryparam}", {"tenant": [text]}) == f"var-tenant={encoded}"


@pytest.mark.parametrize("form", ["${tenant:singlequote}", "$tenant", "${tenant}", "${tenant:csv}"])
def test_the_expander_refuses_the_forms_that_are_not_safe(form: str) -> None:
    with pytest.raises(expand.Unexpanded):
        expand.browser(form, {"tenant": ["a"]})


def test_what_is_left_over_is_an_error_and_not_sent() -> None:
    with pytest.raises(expand.Unexpanded):
        expand.server("$__conditionalAll(a, $b)", 1, 2, 3)
    with pytest.raises(expand.Unexpanded):
        expand.browser("$__conditionalAll(a)", {})
