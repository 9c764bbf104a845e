"""What goes straight into the ledger is, row for row, what the stage would have told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import needs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spans import START_NS, attempt, foreign, hop, owner, protobuf, span

from tollspan import semconv
from tollspan.collector import framed, wire
from tollspan.collector.foreign import normalised, settled
from tollspan.collector.receiver import Malformed
from tollspan.collector.row_prices import derived
from tollspan.collector.sealed import Sealed
from tollspan.collector.span import Span
from tollspan.collector.stage import Stage
from tollspan.local import alike, compiled, lately
from tollspan.local.ledger import Ledger, LedgerError
from tollspan.local.recall import Recall
from tollspan.local.writer import Told, Writer

needs.compiled()

TABLES = ("spans", "llm_calls", "llm_hops", "span_links")
ASKED = (
    "SELECT * FROM spans FINAL ORDER BY trace_id, span_id",
    "SELECT * FROM llm_calls FINAL ORDER BY call_id",
    "SELECT * FROM llm_hops FINAL WHERE owner != 'gone' ORDER BY call_id, hop_index",
    # Of calls that went straight two keys stand in their rows alone.
    """
    SELECT * FROM (
    SELECT key, trace_id FROM span_links
    UNION DISTINCT
    SELECT 'answer ' || response_id, trace_id FROM llm_calls WHERE response_id != ''
    UNION DISTINCT
    SELECT 'external ' || request_id, trace_id FROM llm_calls WHERE request_id != ''
    ) ORDER BY ALL
    """,
)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    with pytest.MonkeyPatch.context() as patch:
        # So that a few spans are sorted as thousands are: values that seem to differ in every span apart
        # from others.
        patch.setattr(alike, "FEWEST", 1)
        patch.setattr(alike, "SAMPLE", 2)
        patch.setattr(alike, "DIFFERENT", 1)
        made = Ledger(tmp_path_factory.mktemp("ledger"))
        yield made
        made.close()


class Written:
    """An empty ledger and what writes to it."""

    def __init__(self, ledger: Ledger, *, straight: bool) -> None:
        for table in TABLES:
            ledger._writer.query(f"TRUNCATE TABLE {table}")
        self.ledger = ledger
        self.told: list[Told] = []
        self.recall = Recall(ledger)
        self.stage = Stage(settled, normalised, self.recall, self.recall.linked)
        self.writer = Writer(
            ledger, self.stage, self.told.append, self.recall if straight else None
        )

    def take(self, bodies: Iterable[bytes]) -> list[wire.Decoded]:
        decoded = [wire.traces(body, seals=True) for body in bodies]
        for done in [self.writer.take(each) for each in decoded]:
            done.result(30)
        return decoded

    def rows(self) -> list[list[dict[str, Any]]]:
        self.writer.stop()
        return [self.ledger.query(sql) for sql in ASKED]


def rows(ledger: Ledger, groups: Sequence[Sequence[bytes]], *, straight: bool) -> Any:
    written = Written(ledger, straight=straight)
    for bodies in groups:
        written.take(bodies)
    return written.rows()


texts = st.sampled_from(["", "a", "x" * 90, "x" * 200, "ü" * 9, "日本", "\n\t'\\"])
names = st.sampled_from(["short", "id-number-1", "id-number-2", "id-number-3", "z" * 140])
VALUES: dict[str, st.SearchStrategy[Any]] = {
    semconv.TENANT: texts | st.just(7),
    semconv.USER: texts,
    semconv.STATUS: st.sampled_from(["success", "error", ""]),
    semconv.RESPONSE_MODEL: st.sampled_from(["gpt-4o-mini-2024-07-18", "", "unheard-of"]),
    semconv.RESPONSE_ID: names,
    semconv.REQUEST_ID: names,
    semconv.GATEWAY_REQUEST_ID: names,
    semconv.ERROR_TYPE: texts,
    semconv.CACHE_HIT: st.booleans(),
    semconv.MODEL_SWAPPED: st.booleans(),
    semconv.HOP_COUNT: st.integers(0, 3),
    semconv.INPUT_TOKENS: st.sampled_from([0, 540, 2**34, 2**40, -1, 5.0]),
    semconv.CACHE_READ_TOKENS: st.sampled_from([0, 100, 600]),
    semconv.WEB_SEARCHES: st.integers(0, 300),
    semconv.COST_AMOUNT: st.sampled_from([0.0, 0.000123, 1e-12, 1.5e-13, 3000.25, float("nan"), 1]),
    semconv.COST_DERIVED: st.sampled_from([0.000123, 0.000174, 2000.5]),
    semconv.TIME_TO_FIRST_CHUNK: st.sampled_from([0.25, 1e-05, 1e22, 3]),
    semconv.FINISH_REASONS: st.sampled_from([["stop"], ["stop", "length"], [], ["ü"]]),
    semconv.COST_ROLE: st.sampled_from(["owner", "owner", "owner", "restated", "nobody"]),
    semconv.API_KEY_FINGERPRINT: names,
    semconv.TAG_PREFIX + "team": texts | st.just(True),
    semconv.TAG_PREFIX + "app": texts,
    "somebody.else": texts
    | st.integers(-3, 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.booleans(),
    "url.full": st.just("https://a/?key=secret"),
    "gen_ai.input.messages": st.just("content"),
    "x": texts,
}


@st.composite
def one_span(draw: st.DrawFn) -> Span:
    number = draw(st.integers(1, 6))
    kind = draw(st.sampled_from("ccccccaahfo"))
    more: dict[str, Any] = {"trace_id": f"{draw(st.integers(1, 5)):032x}"}
    if draw(st.integers(0, 9)) == 0:
        more["status"] = "error"
    if draw(st.integers(0, 9)) == 0:
        more["end_ns"] = draw(st.sampled_from([0, START_NS - 5]))
    if draw(st.integers(0, 4)) == 0:
        more["resource"] = draw(st.sampled_from([{}, {semconv.SERVICE_NAME: "other", "n": 1}]))
    parent = draw(st.integers(0, 3))
    if kind == "a":
        found = attempt(
            number, parent, 200, **draw(st.sampled_from([{}, {"x-litellm-call-id": "id-number-1"}]))
        )
        found.trace_id = more["trace_id"]
        return found
    if kind == "h":
        found = hop(number, parent, draw(st.integers(0, 2)), "proxy", "litellm")
        found.trace_id = more["trace_id"]
        return found
    names = draw(st.lists(st.sampled_from(sorted(VALUES)), unique=True, max_size=5))
    said = {name: draw(VALUES[name]) for name in names}
    if kind == "o":
        return span(number, parent, said, **more)
    make = owner if kind == "c" else foreign
    return make(number, parent, attributes=said, **more)


deliveries = st.lists(
    st.lists(st.lists(one_span(), min_size=1, max_size=6), min_size=1, max_size=3),
    min_size=1,
    max_size=4,
)


@given(deliveries)
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_comes_in_whatever_parts_ends_in_the_same_rows(
    ledger: Ledger, delivery: list[list[list[Span]]]
) -> None:
    groups = [[protobuf(spans) for spans in group] for group in delivery]

    assert rows(ledger, groups, straight=True) == rows(ledger, groups, straight=False)


def call(number: int, **more: Any) -> Span:
    """A call of its own trace, with everything that makes a column."""
    said = {
        semconv.RESPONSE_ID: f"chatcmpl-{number:08}",
        semconv.REQUEST_ID: f"request-{number}",
        semconv.CACHE_READ_TOKENS: 100 + number,
        semconv.TIME_TO_FIRST_CHUNK: 0.1 + number / 7,
        semconv.FINISH_REASONS: ["stop"],
        semconv.TAG_PREFIX + "team": f"team {number % 3}",
        semconv.WEB_SEARCHES: number % 4,
        semconv.MODEL_SWAPPED: False,
        **more.pop("attributes", {}),
    }
    made = owner(number, attributes=said, trace_id=f"{number + 100:032x}", **more)
    if (paid := derived(made.attributes, "openai", made.start_ns)) is not None:
        usd = float(paid.amount)
        made.attributes |= {semconv.COST_DERIVED: usd, semconv.COST_AMOUNT: usd}
    return made


def tried(number: int, **headers: str) -> Span:
    """The attempt of such a call."""
    made = attempt(number + 1000, number, 200, **headers)
    made.attributes |= {semconv.ATTEMPT: 1}
    made.scope, made.trace_id = semconv.SCOPE, f"{number + 100:032x}"
    return made


def test_calls_go_straight_with_their_attempts_and_are_told(ledger: Ledger) -> None:
    body = protobuf(each for number in range(1, 40) for each in (tried(number), call(number)))
    written = Written(ledger, straight=True)
    written.take([body])

    assert written.stage.held(f"{101:032x}") is None, "the stage has not seen them"
    assert sorted(at for told in written.told for _, at in told.ids) == [
        f"{number + 100:032x}" for number in range(1, 40)
    ]
    found = written.rows()
    assert len(found[0]) == 78
    assert sum(row["cache_saved_usd"] is not None for row in found[1]) == 39
    assert found == rows(ledger, [[body]], straight=False)


def test_without_what_is_compiled_the_same_rows_come_about(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = [protobuf([call(number), tried(number)]) for number in range(1, 9)]
    wanted = rows(ledger, [bodies], straight=True)
    monkeypatch.setattr(compiled, "IS_COMPILED", False)
    monkeypatch.setattr(framed, "_framed", lambda body: None)
    written = Written(ledger, straight=True)
    written.take(bodies)

    assert written.stage.held(f"{101:032x}") is not None, "the stage has seen them"
    assert written.rows() == wanted


LATE: dict[str, Callable[[], Span]] = {
    "a hop": lambda: hop(7, 3, 0, "proxy", "litellm"),
    "the request around it": lambda: span(7),
    "a call above it": lambda: owner(7, cost=0.5),
    "the same again": lambda: call(3),
    "a better copy of it": lambda: call(3, end_ns=START_NS + 10**11),
    "another that tells of the same answer": lambda: foreign(
        7, attributes={semconv.RESPONSE_ID: "chatcmpl-00000003"}, trace_id="f" * 32
    ),
}


@pytest.mark.parametrize("remembered", [50_000, 0], ids=["remembered", "forgotten"])
@pytest.mark.parametrize("together", [False, True], ids=["later", "at once"])
@pytest.mark.parametrize("what", LATE)
def test_what_comes_after_a_call_finds_it(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, what: str, together: bool, remembered: int
) -> None:
    monkeypatch.setattr(lately, "REMEMBERED_SPANS", remembered)
    late = LATE[what]()
    if late.trace_id != "f" * 32:
        late.trace_id = f"{103:032x}"
    calls = [protobuf([call(number, parent=7)]) for number in range(1, 6)]
    groups = (
        [[*calls, protobuf([late])]]
        if together
        else [calls, [protobuf([call(9)])], [protobuf([late])]]
    )

    found = rows(ledger, groups, straight=True)
    wanted = rows(ledger, groups, straight=False)

    assert [_without_version(each) for each in found] == [_without_version(each) for each in wanted]


@pytest.mark.parametrize("straight", [True, False])
def test_a_later_start_finds_a_call_by_what_others_say_of_it(
    ledger: Ledger, straight: bool
) -> None:
    rows(ledger, [[protobuf(call(number) for number in range(1, 6))]], straight=straight)
    recall = Recall(ledger)

    found = recall.linked(["answer chatcmpl-00000003", "external request-4", "answer no-such"])
    # The engine reads both columns at once, and gives back in any order what it found.
    assert sorted(found) == [f"{number + 100:032x}" for number in (3, 4)]
    assert recall.linked(["external chatcmpl-00000003", "request chatcmpl-00000003"]) == []


def test_calls_are_found_by_an_index(ledger: Ledger) -> None:
    for sought in ("response_id", "request_id"):
        said = ledger.query(f"EXPLAIN indexes = 1 SELECT 1 FROM llm_calls WHERE {sought} IN ['x']")
        assert any(f"{sought}s" in str(row) for row in said), said


def _without_version(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the ledger gave back may be told again, with a version that is higher."""
    return [{name: each for name, each in row.items() if name != "version"} for row in found]


def test_a_commit_that_failed_is_made_good_when_it_is_sent_again(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = protobuf([*(call(number) for number in range(1, 6)), foreign(9)])
    written = Written(ledger, straight=True)

    def full(table: str, *block: bytes) -> None:
        raise LedgerError("no space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(ledger, "append", full)
        with pytest.raises(LedgerError):
            written.take([body])
    written.take([body])

    assert not written.told[1:], "told once, when it was there"
    assert [_without_version(each) for each in written.rows()] == [
        _without_version(each) for each in rows(ledger, [[body]], straight=False)
    ]


def test_who_sends_no_otlp_hears_of_it_alone(ledger: Ledger) -> None:
    bodies = [protobuf([call(1)]), protobuf([call(2), call(3)]), protobuf([call(4)])]
    bodies[1] = bodies[1].replace(b"chatcmpl-00000003", b"chatcmpl-0000000\xff")
    written = Written(ledger, straight=True)
    decoded = [wire.traces(body, seals=True) for body in bodies]
    one, two, three = [written.writer.take(each) for each in decoded]

    assert isinstance(two.exception(30), Malformed)
    assert one.result(30) is None
    assert three.result(30) is None
    assert [row["trace_id"] for row in written.rows()[1]] == [f"{101:032x}", f"{104:032x}"]


@pytest.mark.parametrize("place", [b"span 2", b"gen_ai.operation.name"])
def test_names_that_are_no_text_are_refused_as_everywhere(ledger: Ledger, place: bytes) -> None:
    bodies = [protobuf([call(1)]), protobuf([call(2)]), protobuf([call(3)])]
    bodies[1] = bodies[1].replace(place, b"\xff" + place[1:], 1)
    written = Written(ledger, straight=True)
    taken = [written.writer.take(wire.traces(body, seals=True)) for body in bodies]

    assert [type(each.exception(30)) for each in taken] == [type(None), Malformed, type(None)]
    assert len(written.rows()[1]) == 2


def test_a_name_that_is_longer_than_its_attribute_says_harms_no_other_sender(
    ledger: Ledger,
) -> None:
    (sealed,) = wire.traces(protobuf([call(1)]), seals=True).sealed
    raw = sealed.raw(0)
    at = raw.index(b"\x4a\x1f\x0a\x15gen_ai.operation.name")
    name = b"\x0a\x90\x00" + b"sixteen letters."  # 16, written with a byte more than it takes
    odd = name + b"\x12\x51\x0a\x4f" + b"." * 79
    behind = b"\x0a\x08somebody\x12\x42\x0a\x40" + b"\x12" * 64
    more = b"".join(b"\x4a" + bytes((len(each),)) + each for each in (odd, behind))
    strange = Sealed.of(sealed.resource, sealed.scope, [raw[:at] + more + raw[at:]])
    written = Written(ledger, straight=True)
    taken = [written.writer.take(wire.Decoded(sealed=[strange]))]
    taken += [written.writer.take(wire.traces(protobuf([call(2), call(3)]), seals=True))]

    assert [each.exception(30) for each in taken] == [None, None]
    found = written.rows()
    assert len(found[1]) == 3
    assert found[0][0]["attributes"]["sixteen letters."] == "." * 79


def test_what_cannot_be_kept_is_counted(ledger: Ledger) -> None:
    written = Written(ledger, straight=True)
    (decoded,) = written.take([protobuf([call(1), call(2, start_ns=5), call(3)])])

    assert (decoded.rejected, len(written.rows()[1])) == (1, 2)
    assert "start time" in decoded.why


def test_of_each_api_key_one_call_is_told_of_in_full(ledger: Ledger) -> None:
    keys = {semconv.API_KEY_FINGERPRINT: "key one"}, {semconv.API_KEY_FINGERPRINT: "key two"}
    written = Written(ledger, straight=True)
    written.take([protobuf(call(number, attributes=keys[number % 2]) for number in range(1, 9))])
    written.writer.stop()

    found = [each for told in written.told for each in told.calls]
    assert sorted(each.attributes[semconv.API_KEY_FINGERPRINT] for each in found) == [
        "key one",
        "key two",
    ]
