"""A stage tells Prometheus, and whoever looks, what came of whose calls: once each, whoever owns them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from needs import missing
from sink import Sink
from spans import foreign, owner, protobuf, span
from stages import get, post, stage

from tollspan import semconv
from tollspan.collector.counters import Counters
from tollspan.collector.enrich import enrich
from tollspan.collector.holding import Holding
from tollspan.collector.senders import MOST_SENDERS, OTHER, Sender, Tally
from tollspan.collector.span import Span

WINDOW_S = 60.0


class Stage:
    """The fold with a clock of ours; spans come as they come in."""

    def __init__(self, most_bytes: int = 10**9) -> None:
        self.now = 0.0
        self.holding = Holding(
            Counters(),
            window_s=WINDOW_S,
            most_bytes=most_bytes,
            spans_per_trace=1000,
            clock=lambda: self.now,
        )

    def take(self, *spans: Span) -> None:
        self.holding.take(enrich(protobuf(spans)).relevant(self.holding))

    def later(self) -> None:
        """When the window of all that came has passed."""
        self.now += WINDOW_S
        self.holding.release_passed()

    @property
    def tallies(self) -> dict[Sender, Tally]:
        return dict(self.holding.senders.all())

    @property
    def text(self) -> str:
        return "\n".join(self.holding.senders.lines())


def total(text: str, name: str, **labels: str) -> Decimal:
    """The sum of a metric over the series that have these labels."""
    found = Decimal(0)
    for shown, value in re.findall(
        rf"^tollspan_stage_{name}_total{{(.*)}} (\S+)$", text, re.MULTILINE
    ):
        pairs = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', shown))
        if labels.items() <= pairs.items():
            found += Decimal(value)
    return found


def test_an_answer_that_two_tracers_tell_is_counted_once_whichever_comes_first() -> None:
    inner = foreign(2, 1)
    for spans in ([inner, owner(1)], [owner(1), inner]):
        stage_ = Stage()
        for each in spans:
            stage_.take(each)
            assert stage_.tallies == {}, "another may own it yet"
        stage_.later()

        assert total(stage_.text, "calls") == total(stage_.text, "restated_calls") == 1
        assert total(stage_.text, "cost_usd") == Decimal("0.000123")
        assert total(stage_.text, "restated_calls", scope="another") == 1
        assert total(stage_.text, "tokens", kind="input") == 540


def test_what_was_counted_is_not_counted_again_when_its_trace_comes_late() -> None:
    stage_ = Stage()
    stage_.take(owner(1))
    stage_.later()
    stage_.take(owner(1), owner(5, cost=0.5))
    stage_.later()

    assert total(stage_.text, "calls") == 2
    assert total(stage_.text, "cost_usd") == Decimal("0.500123")


def test_a_trace_of_which_only_the_name_is_left_is_not_counted_again() -> None:
    stage_ = Stage(most_bytes=1)
    stage_.take(owner(1))
    stage_.later()
    stage_.take(owner(1))
    stage_.later()

    assert total(stage_.text, "calls") == 1


def test_sums_are_exact() -> None:
    stage_ = Stage()
    for number in range(1, 1001):
        stage_.take(owner(number, cost=0.1, trace_id=f"{number:032x}"))
    stage_.later()

    assert total(stage_.text, "cost_usd") == 100


def test_what_is_not_known_is_no_number() -> None:
    stage_ = Stage()
    stage_.take(foreign(1, tokens=None), foreign(2, attributes={semconv.REQUEST_MODEL: "no-such"}))
    stage_.take(foreign(3, status="error"))
    stage_.later()

    assert total(stage_.text, "unpriced_calls", reason="no_usage", model="gpt-4o-mini") == 1
    assert total(stage_.text, "unpriced_calls", reason="unknown_model", model="no-such") == 1
    assert total(stage_.text, "calls", status="error") == 1
    assert not [line for line in stage_.text.splitlines() if line.endswith((" 0", ".000000000000"))]


ODD: tuple[Any, ...] = (
    ["a"],
    {"a": 1},
    True,
    -1,
    float("nan"),
    2**63 - 1,
    1e300,
    'x"\\\n}',
    "\x00" * 300,
)


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_hostile_names_and_numbers_stay_within_their_line(odd: Any) -> None:
    names = (
        semconv.PROVIDER,
        semconv.RESPONSE_MODEL,
        semconv.STATUS,
        semconv.COST_AMOUNT,
        semconv.INPUT_TOKENS,
        semconv.UNPRICED_REASON,
    )
    stage_ = Stage()
    stage_.take(
        *(owner(number, attributes={name: odd}) for number, name in enumerate(names, 1)),
        owner(9, resource={semconv.SERVICE_NAME: odd}),
    )
    stage_.later()

    line = re.compile(r'tollspan_stage_\w+\{(\w+="([^"\\\n]|\\["\\])*",?)+\} \d+(\.\d+)?')
    for each in stage_.text.splitlines():
        assert each.startswith("# ") or line.fullmatch(each), each


def test_names_are_bounded() -> None:
    stage_ = Stage()
    for number in range(1, MOST_SENDERS + 20):
        model = {semconv.RESPONSE_MODEL: f"model-{number}"}
        stage_.take(owner(number, attributes=model, trace_id=f"{number:032x}"))
    stage_.later()

    assert len(stage_.tallies) == MOST_SENDERS + 1
    assert stage_.tallies[Sender(OTHER, OTHER, OTHER, OTHER)].calls == 19


def test_prometheus_can_read_it() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        missing("promtool", "no promtool on the PATH (apt: prometheus)")
    stage_ = Stage()
    counters = Counters()
    counters.more.append(stage_.holding.senders.lines)
    stage_.take(owner(1, resource={semconv.SERVICE_NAME: 'a "quoted" \\ name'}), foreign(9))
    stage_.later()
    told = subprocess.run(
        [promtool, "check", "metrics"],
        input=counters.text(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert "error while linting" not in told.stderr, told.stderr
    assert told.returncode in (0, 3), told.stderr  # 3: it has opinions about names


# --- the page -------------------------------------------------------------------------------------


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as made:
        yield made


def test_the_page_says_whether_it_works_and_for_whom_not(sink: Sink) -> None:
    with stage(sink.grpc_url, token="s3cret") as made:
        door = f"http://127.0.0.1:{made.ports.admin}/status"

        def page() -> str:
            status, text = get(door, "s3cret")
            assert status == 200
            return text

        def sent(*spans: Span) -> None:
            address = f"127.0.0.1:{made.ports.http}"
            assert post(address, protobuf(spans), authorization="Bearer s3cret")[0] == 200

        assert get(door)[0] == 401
        assert "No span has come yet" in page()
        sent(span(7, scope="web"))
        assert "none of them about a call to a model" in page()
        sent(owner(1), foreign(3, tokens=None))
        assert "counted when the window of their trace has passed" in page()
        made.holding.windows._window_s = 0
        sent(span(8, trace_id="ab" * 16, scope="web"))
        text = page()
        rows = [line.split() for line in text.splitlines() if line.startswith("shop")]
        assert [row[:4] for row in rows] == [
            ["shop", semconv.SCOPE, "openai/gpt-4o-mini-2024-07-18", "1"],
            ["shop", "another", "openai/gpt-4o-mini", "1"],
        ]
        assert rows[0][4] == "0.000123"
        assert rows[1][4:6] == ["1", "no_usage"]
        assert f"prices     {made.prices}" in text
        assert "ready      yes" in text
        made.admission.close()
        assert "ready      no: the stage is stopping" in page()


def test_the_page_says_where_an_answer_may_be_told_twice(sink: Sink) -> None:
    """By a gateway, and by a tracer that nothing joins to it; never where only one of them tells."""
    with stage(sink.grpc_url) as made:
        made.holding.windows._window_s = 0

        def page_after(*spans: Span) -> str:
            address = f"127.0.0.1:{made.ports.http}"
            for sent in (spans, [span(8, trace_id="ab" * 16, scope="web")]):
                assert post(address, protobuf(sent))[0] == 200
            return " ".join(get(f"http://127.0.0.1:{made.ports.admin}/status")[1].split())

        assert "priced twice" not in page_after(owner(1, trace_id="1" * 32))
        behind = replace(foreign(2, trace_id="2" * 32), scope="litellm")
        assert "priced twice" not in page_after(behind)
        text = page_after(replace(foreign(3, trace_id="3" * 32), scope="openinference"))

        assert "a gateway's own span owns: 1 of litellm." in text
        assert "priced twice" in text


def test_the_page_says_where_two_instrumentations_own_calls_of_one_model(sink: Sink) -> None:
    """A framework's callbacks and the SDK's own span, each in a trace of its own."""
    with stage(sink.grpc_url) as made:
        made.holding.windows._window_s = 0

        def page_after(number: int, scope: str, **more: Any) -> str:
            told = replace(foreign(number, trace_id=f"{number:032x}", **more), scope=scope)
            address = f"127.0.0.1:{made.ports.http}"
            for sent in ([told], [span(8, trace_id="ab" * 16, scope="web")]):
                assert post(address, protobuf(sent))[0] == 200
            return " ".join(get(f"http://127.0.0.1:{made.ports.admin}/status")[1].split())

        assert "two instrumentations" not in page_after(1, "langchain")
        other = {semconv.REQUEST_MODEL: "gpt-4.1"}
        assert "two instrumentations" not in page_after(2, "sdk", attributes=other)
        elsewhere = {semconv.SERVICE_NAME: "elsewhere"}
        assert "two instrumentations" not in page_after(3, "sdk", resource=elsewhere)
        dated = {semconv.RESPONSE_MODEL: "gpt-4o-mini-2024-07-18"}
        text = page_after(4, "sdk", attributes=dated)

        assert (
            "two instrumentations own: gpt-4o-mini in shop: 1 of langchain, 1 of sdk. If both"
            in text
        )
