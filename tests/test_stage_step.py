"""The stage's inner step: what it appends is what settling span by span says, and nothing is lost."""

from __future__ import annotations

import contextlib
import json
import random
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from needs import SHARED, recordings
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WholeSpan
from replay import recorded
from spans import attempt, foreign, hop, owner, protobuf, span
from staged import calls as folded
from test_foreign_dialects import DIALECTS
from test_gateway_spans import read
from test_recordings import CASES, stated

from tollspan import semconv
from tollspan.collector import memory, pairs, shapes, wire
from tollspan.collector.enrich import enrich
from tollspan.collector.foreign import normalised, settled
from tollspan.collector.known import Part, part_of
from tollspan.collector.pairs import map_of
from tollspan.collector.private import kept
from tollspan.collector.receiver import Malformed
from tollspan.collector.span import KINDS, STATUSES, Span, fault
from tollspan.collector.trimmed import Bundle, OpenSpan
from tollspan.collector.unjoined import APPENDED, UNJOINED, before
from tollspan.processors import cost, dialect_gateways, dialect_names, settle
from tollspan.processors import foreign as read_as
from tollspan.processors.prices import Prices, Quote

ROUNDS = 4
"""A shape is settled from the beginning until it has come three times."""


def whole(body: bytes) -> list[tuple[str, WholeSpan]]:
    """Scope and span of each span of a request, by the generated classes."""
    return [
        (scope.scope.name, each)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for each in scope.spans
    ]


def by_hand(scope: str, given: WholeSpan) -> Span:
    """A span as it came, read with the generated classes alone."""
    return Span(
        trace_id=given.trace_id.hex(),
        span_id=given.span_id.hex(),
        parent_id=given.parent_span_id.hex(),
        name=given.name,
        kind=KINDS[given.kind],
        start_ns=given.start_time_unix_nano,
        end_ns=given.end_time_unix_nano,
        attributes=kept(map_of(given.attributes)),
        scope=scope,
        status=STATUSES[given.status.code],
    )


def told(scope: str, given: WholeSpan) -> dict[str, Any]:
    """What the slow path says must be appended to a span."""
    read = by_hand(scope, given)
    call = normalised(read)
    if call is None or fault(read) or part_of(read, call) != Part.FOREIGN:
        return {}
    return settled(call, (), read.start_ns).attributes | {semconv.COST_ROLE: UNJOINED}


def agree(body: bytes) -> int:
    """Check one request against the slow path; how many spans something was appended to."""
    whole_story(body)
    return appended_alike(body)


def appended_alike(body: bytes) -> int:
    made = enrich(body)
    came, left = whole(body), whole(made.body)
    assert len(left) == len(came) == made.spans
    if left == came:
        assert made.body == body
    appended = 0
    for (scope, one), (_, two) in zip(came, left, strict=True):
        own = told(scope, one)
        said = map_of(two.attributes)
        assert len(said) == len(two.attributes) or not own, "a name stands twice"
        if own:
            appended += 1
            assert {name: said[name] for name in said if name in APPENDED} == own
            assert said[semconv.COST_ROLE] == UNJOINED
            assert before(said) == by_hand(scope, one).attributes
        elif two != one:
            assert said == kept(map_of(one.attributes))
        if own:
            assert said == kept(said), "content is gone from what was opened"
        for event, kept_event in zip(one.events, two.events, strict=True):
            if own:
                assert map_of(kept_event.attributes) == kept(map_of(event.attributes))
        for changed in (one, two):
            del changed.attributes[:], changed.events[:]
        assert one == two, "all else is as it came"
    assert sum(made.priced.values()) == appended
    return appended


def versioned(spans: list[Span]) -> list[Span]:
    """`spans`, of which each knows which version of its content it is."""
    assert all(each.version for each in spans)
    return spans


def whole_story(body: bytes) -> None:
    """What correlation is given, and what comes out enriched, tell the same calls as what came."""
    made = enrich(body)
    came, given = versioned(wire.traces(body).spans), versioned(made.relevant())
    assert versioned(wire.traces(made.body).spans) == came, "read again, a span is what it was"
    known = {(each.trace_id, each.span_id): each for each in came}
    assert all(known[each.trace_id, each.span_id] == each for each in given)
    asked = {(each.trace_id, each.span_id) for each in given}
    for key, each in known.items():
        if part_of(each, normalised(each)):
            assert key in asked, "a part of a call is not missing"


# --- the dialects ---------------------------------------------------------------------------------


def varied(attributes: Mapping[str, Any], chance: random.Random) -> dict[str, Any]:
    """The same span of another moment: other counts, other ids; now and then a zero."""
    found = dict(attributes)
    for name, value in attributes.items():
        if type(value) is int and "token" in name.lower():
            found[name] = chance.choice((0, 1, value, chance.randrange(5_000_000)))
    found["gen_ai.response.id"] = f"chatcmpl-{chance.getrandbits(64):x}"
    found["session.id"] = f"s {chance.getrandbits(64):x}"
    return found


@pytest.mark.parametrize("dialect", DIALECTS)
def test_calls_of_every_dialect_are_settled_as_span_by_span(dialect: str) -> None:
    chance = random.Random(dialect)
    for _ in range(8):
        made = [
            span(n, attributes=varied(DIALECTS[dialect], chance), kind="client", scope="another")
            for n in range(1, 30)
        ]
        assert agree(protobuf(made)) == len(made)


CONTENT = {
    "gen_ai.prompt.0.content": "what nobody else may read",
    "gen_ai.completion.0.content": "nor this",
    "http.request.header.authorization": "Bearer no-no-no",
    "url.full": "https://user:no-no-no@api.openai.com/v1?key=no-no-no&x=1",
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_message_content_and_secrets_leave_what_is_opened(dialect: str) -> None:
    for number in range(ROUNDS):
        said = {**DIALECTS[dialect], **CONTENT, "app.note": "x" * 9_000 * (number % 2)}
        body = protobuf([span(n, attributes=said, kind="client", scope="a") for n in range(1, 9)])
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            event = resource.scope_spans[0].spans[0].events.add(name="gen_ai.content.prompt")
            event.attributes.add(key="gen_ai.prompt").value.string_value = "what nobody may read"
            event.attributes.add(key="gen_ai.event.number").value.int_value = 1
        for each in (body, request.SerializeToString()):
            assert agree(each) == 8
            left = enrich(each).body
            assert b"nobody" not in left
            assert b"nor this" not in left
            assert b"no-no-no" not in left
            assert left.count(b"x=1") == 8


def test_an_attribute_that_changes_its_name_is_what_it_says_last() -> None:
    """As protobuf has it; its lengths are written so that it looks like one short value."""
    first = b"\n\x07user.id\x12\xc8\0" + (b"\n\x46" + b"u" * 70)
    then = b"\n\x17gen_ai.prompt.0.content\x12\x64\n\x62" + b"nobody" + b"x" * 92
    (one,) = whole(protobuf([foreign(1, attributes={"user.id": "u_42"})]))
    said = [each.SerializeToString() for each in one[1].attributes]
    assert pairs.pair(first + then)[0] == "gen_ai.prompt.0.content"
    for _ in range(ROUNDS):
        assert pairs.usual(said[-1]) == "user.id"
        assert pairs.usual(first + then) is None
    made = OpenSpan.FromString(one[1].SerializeToString())
    made.attributes.append(first + then)
    bundle = Bundle.FromString(protobuf([foreign(1)]))
    bundle.resource_spans[0].scope_spans[0].spans[0] = made.SerializeToString()
    left = enrich(bundle.SerializeToString()).body
    assert b"u_42" in left
    assert b"nobody" not in left


def test_names_that_the_stage_needs_are_moved_and_found_again() -> None:
    said = {
        **DIALECTS["openllmetry"],
        semconv.COST_AMOUNT: 0.5,
        semconv.COST_CURRENCY: "USD",
        semconv.ROUTE: "somewhere",
    }
    (came,) = whole(enrich(protobuf([span(1, attributes=said, kind="client", scope="a")])).body)
    left = map_of(came[1].attributes)
    assert left[semconv.BEFORE_PREFIX + semconv.COST_AMOUNT] == 0.5
    assert left[semconv.COST_AMOUNT] == 0.0035
    assert left[semconv.BEFORE_PREFIX + semconv.ROUTE] == "somewhere"
    assert before(left) == said


def test_what_a_stage_before_has_appended_is_not_appended_again() -> None:
    body = protobuf([span(n, attributes=DIALECTS["old"], kind="client") for n in range(1, 9)])
    for _ in range(ROUNDS):
        once = enrich(body)
        twice = enrich(once.body)
        assert twice.body == once.body
        assert not twice.priced
        assert versioned(twice.relevant()) == versioned(enrich(body).relevant())


# --- real material --------------------------------------------------------------------------------


GATEWAYS = sorted(
    path.stem
    for path in (SHARED / "captures" / "gateways").glob("*.json")
    if json.loads(path.read_text()).get("otel_spans")
)
"""Captures that hold spans that the gateway itself has made."""


@pytest.mark.parametrize("name", GATEWAYS)
def test_spans_of_real_gateways_are_settled_as_span_by_span(name: str) -> None:
    _, spans, _ = read(name)
    body = protobuf(spans)
    for _ in range(ROUNDS):
        agree(body)
    after, before_it = folded([enrich(body).body]), folded([body])
    assert [(each.call_id, each.role, dict(each.attributes)) for each in after] == [
        (each.call_id, each.role, dict(each.attributes)) for each in before_it
    ]
    assert {each.call_id for each in before_it} == {
        each.call_id for each in folded([protobuf(enrich(body).relevant())])
    }


def recorded_calls(file: Path, operation: str) -> list[dict[str, Any]]:
    """What a recording states, as another instrumentation would write it on its spans."""
    found = []
    for exchange in recorded(file):
        asked = exchange.asked if isinstance(exchange.asked, dict) else {}
        said = {
            semconv.OPERATION: operation,
            semconv.PROVIDER: "anthropic" if "claude" in str(asked.get("model")) else "openai",
            semconv.REQUEST_MODEL: asked.get("model") or "gpt-4o",
        }
        try:
            said |= stated(exchange)
        except (KeyError, ValueError, IndexError):
            said[semconv.ERROR_TYPE] = "404"  # it answered with an error
        found.append({k: [*v] if isinstance(v, tuple) else v for k, v in said.items()})
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.file)
def test_recorded_answers_are_settled_as_span_by_span(case: Any) -> None:
    said = recorded_calls(recordings() / f"{case.file}.yaml", case.operation)
    made = [
        span(number, attributes=each, kind="client", scope="another")
        for number, each in enumerate(said, 1)
    ]
    for _ in range(ROUNDS):
        assert agree(protobuf(made)) <= len(made)


# --- anything -------------------------------------------------------------------------------------

MODELS = ("gpt-4o", "gpt-4o-mini-2024-07-18", "claude-sonnet-4-5", "gemini-2.5-pro", "no such", "")
VALUES = st.one_of(
    st.integers(-1, 3_000_000),
    st.sampled_from((0, 1, "1000", 1000.0, True, "", "stop", 2**63 - 1)),
    st.sampled_from(MODELS),
    st.lists(st.sampled_from(("stop", "length", "content_filter")), max_size=2),
)
WORDS = st.sampled_from(
    sorted(
        {name for dialect in DIALECTS.values() for name in dialect}
        | {name for name in semconv.ATTRIBUTES if not name.startswith("tollspan.hop")}
        | set(CONTENT)
        | {"app.anything", "enduser.id", "gen_ai.usage.cost", "litellm.call_id", "hidden_params"}
    )
)


@st.composite
def anything(draw: st.DrawFn) -> dict[str, Any]:
    said = dict(draw(st.sampled_from([*DIALECTS.values(), {}])))
    said |= draw(st.dictionaries(WORDS, VALUES, max_size=6))
    return said


@pytest.mark.quiet
@hypothesis_settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.data_too_large]
)
@given(
    kinds=st.lists(anything(), min_size=1, max_size=3),
    tokens=st.lists(st.integers(0, 2_000_000), min_size=2, max_size=4),
    scope=st.sampled_from(("another", "litellm", "tensorzero", "kong", semconv.SCOPE)),
    kind=st.sampled_from(KINDS),
    status=st.sampled_from(STATUSES),
)
def test_whatever_is_stated_is_settled_as_span_by_span(
    kinds: list[dict[str, Any]], tokens: list[int], scope: str, kind: str, status: str
) -> None:
    """Each kind comes so often that its shape is known, then with other counts and other ids."""
    for turn in range(ROUNDS + len(tokens)):
        made = []
        for number, said in enumerate(kinds, 1):
            if turn >= ROUNDS:
                said = {
                    name: tokens[(turn + at) % len(tokens)]
                    if type(value) is int and "token" in name
                    else value
                    for at, (name, value) in enumerate(said.items())
                } | {"gen_ai.response.id": f"chatcmpl-{turn}", "user.id": f"u {turn}"}
            made.append(span(number, attributes=said, scope=scope, kind=kind, status=status))
        appended_alike(protobuf(made))


SAY_NOTHING = {
    # Attribution, time and tasks: nothing that settling one call reads of its span.
    "celery.task_name",
    "enduser.id",
    "gen_ai.prompt.name",
    "gen_ai.prompt.version",
    "gen_ai.response.time_to_first_chunk",
    "messaging.destination.name",
    "tollspan.endpoint_tag",
    "tollspan.request_id",
    "tollspan.tag.",
    "tollspan.tenant",
    "user.id",
}


def test_every_name_that_settling_reads_is_one_that_decides() -> None:
    """A name that `processors/` speaks of must not be taken for one that says nothing."""
    package = Path(__file__).parent.parent / "processors"
    source = "\n".join(path.read_text() for path in package.glob("*.py"))
    named = {
        getattr(semconv, name)
        for name in re.findall(r"semconv\.([A-Z_0-9]+)", source)
        if isinstance(getattr(semconv, name, None), str)
    }
    assert len(named) > 80
    named |= {name for _, _, sources in dialect_names.SOURCES for name in sources}
    named |= {name for name, _ in read_as._KINDS} | set(read_as.COSTS)
    named |= {mark for each in dialect_gateways.GATEWAYS for mark in each.marks}
    named |= set(re.findall(r'said(?:\.get\(|\[)"([^"]+)"', source))
    parts = {
        name: shapes.part(f"\n{chr(len(name))}{name}\x12".encode())
        for name in named
        if "." in name or name == "hidden_params"
    }
    assert {name for name, what in parts.items() if what == shapes.SAYS} == SAY_NOTHING


def test_prices_that_change_are_heard_of(monkeypatch: pytest.MonkeyPatch) -> None:
    body = protobuf([span(n, attributes=DIALECTS["old"], kind="client") for n in range(1, 9)])
    for _ in range(ROUNDS):
        assert enrich(body).priced == {"derived": 8}
    unpriced = Prices(None)
    monkeypatch.setattr(unpriced, "quote", lambda *asked: Quote(None))
    for module in (memory, cost, settle):
        monkeypatch.setattr(module, "current", lambda: unpriced)
    for _ in range(ROUNDS):
        assert enrich(body).priced == {"unpriced": 8}
    monkeypatch.undo()
    assert enrich(body).priced == {"derived": 8}


# --- nothing is lost ------------------------------------------------------------------------------

TEXT = st.text(max_size=12)


@st.composite
def requests(draw: st.DrawFn) -> ExportTraceServiceRequest:
    """A request with every field that there is, and fields that there are not."""
    request = ExportTraceServiceRequest()
    for _ in range(draw(st.integers(0, 2))):
        resource = request.resource_spans.add(schema_url=draw(TEXT))
        resource.resource.dropped_attributes_count = draw(st.integers(0, 9))
        resource.resource.attributes.add(key=draw(TEXT)).value.string_value = draw(TEXT)
        for _ in range(draw(st.integers(0, 2))):
            scope = resource.scope_spans.add(schema_url=draw(TEXT))
            scope.scope.name, scope.scope.version = draw(TEXT), draw(TEXT)
            for _ in range(draw(st.integers(0, 3))):
                made = scope.spans.add(
                    trace_id=draw(st.binary(max_size=16)),
                    span_id=draw(st.binary(max_size=8)),
                    trace_state=draw(TEXT),
                    parent_span_id=draw(st.binary(max_size=8)),
                    flags=draw(st.integers(0, 2**32 - 1)),
                    name=draw(TEXT),
                    kind=draw(st.integers(0, 5)),
                    start_time_unix_nano=draw(st.integers(0, 2**64 - 1)),
                    end_time_unix_nano=draw(st.integers(0, 2**64 - 1)),
                    dropped_attributes_count=draw(st.integers(0, 9)),
                    dropped_events_count=draw(st.integers(0, 9)),
                    dropped_links_count=draw(st.integers(0, 9)),
                )
                for name, value in draw(anything()).items():
                    span_with = protobuf([span(1, attributes={name: value})])
                    ((_, donor),) = whole(span_with)
                    made.attributes.extend(donor.attributes)
                for _ in range(draw(st.integers(0, 2))):
                    event = made.events.add(name=draw(TEXT), time_unix_nano=draw(st.integers(0, 9)))
                    event.attributes.add(key=draw(WORDS)).value.bool_value = True
                for _ in range(draw(st.integers(0, 1))):
                    made.links.add(trace_id=b"t" * 16, span_id=b"s" * 8, trace_state=draw(TEXT))
                if draw(st.booleans()):
                    made.status.code, made.status.message = draw(st.integers(0, 2)), draw(TEXT)
    return request


@hypothesis_settings(max_examples=100, deadline=None)
@given(request=requests())
def test_the_trimmed_classes_give_back_all_that_they_were_given(
    request: ExportTraceServiceRequest,
) -> None:
    # Field 99, which nobody has declared.
    unknown = b"\x9a\x06\x03new"
    body = request.SerializeToString() + unknown
    bundle = Bundle.FromString(body)
    assert ExportTraceServiceRequest.FromString(bundle.SerializeToString()) == (
        ExportTraceServiceRequest.FromString(body)
    )
    assert unknown in bundle.SerializeToString()
    for resource in bundle.resource_spans:
        for scope in resource.scope_spans:
            for raw in scope.spans:
                given = OpenSpan.FromString(raw + unknown)
                given.attributes.append(b"\n\x03new")
                left = WholeSpan.FromString(given.SerializeToString())
                assert left.attributes.pop().key == "new"
                assert left == WholeSpan.FromString(raw + unknown)


@hypothesis_settings(max_examples=100, deadline=None)
@given(request=requests())
def test_any_request_comes_out_as_it_went_in_but_for_what_is_appended(
    request: ExportTraceServiceRequest,
) -> None:
    appended_alike(request.SerializeToString())


def test_a_request_without_calls_leaves_as_the_very_bytes_that_came() -> None:
    for made in ([], [span(1), attempt(2, 1)], [owner(1), hop(2, 1, 0, "proxy", "litellm")]):
        body = protobuf(made)
        assert enrich(body).body is body


def test_parts_of_calls_are_told_with_what_lies_between_and_no_others() -> None:
    elsewhere = {"trace_id": "c" * 32, "name": "SELECT"}
    made = [owner(1), attempt(2, 1), span(3, 2), foreign(4, 3), span(5, **elsewhere)]
    enriched = enrich(protobuf(made))
    assert {each.span_id[-1] for each in enriched.relevant()} == set("1234")
    assert {each.span_id[-1] for each in enriched.relevant({"c" * 32})} == set("12345")
    bad = [owner(1), owner(2, start_ns=1)]
    enriched = enrich(protobuf(bad))
    assert [each.span_id[-1] for each in enriched.relevant()] == ["1"]
    assert enriched.unusable == 1


# --- bad input ------------------------------------------------------------------------------------


def handled(body: bytes) -> bool:
    """Whether `body` was taken; it may be refused as malformed, and nothing else may happen."""
    try:
        enrich(body).relevant()
    except Malformed as error:
        assert str(error)
        assert len(str(error)) < 200, "it says what is wrong, not what was in it"
        return False
    return True


GOOD = protobuf([foreign(1), owner(2), span(3)])


@pytest.mark.parametrize("size", range(1, len(GOOD), 7))
def test_a_request_that_was_cut_is_refused_or_taken_for_what_is_there(size: int) -> None:
    handled(GOOD[:size])


def test_garbage_is_refused() -> None:
    for body in (b"\xff" * 40, b"GET / HTTP/1.1", b"\x0a\xff\xff\xff\xff\x0f", b"{}"):
        assert not handled(body)
        with pytest.raises(Malformed):
            wire.traces(body)


@hypothesis_settings(max_examples=300, deadline=None)
@given(st.data())
def test_bytes_that_were_damaged_do_no_harm(data: st.DataObject) -> None:
    body = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 6))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    handled(bytes(body))
    with contextlib.suppress(Malformed):
        wire.traces(bytes(body))


def test_text_that_is_no_utf8_is_refused_where_it_is_read() -> None:
    for good, bad in ((b"gpt-4o-mini", b"gpt-4o-min\xff"), (b"openai", b"open\xff\xfe")):
        assert not handled(GOOD.replace(good, bad))
    assert handled(protobuf([span(1, scope="db")]).replace(b"span 1", b"span \xff")), (
        "nobody reads it"
    )


def test_a_span_of_absurdly_many_attributes_is_settled_and_remembered_by_nobody() -> None:
    said = DIALECTS["old"] | {f"app.{number}": number for number in range(20_000)}
    body = protobuf([span(1, attributes=said, kind="client", scope="another")])
    assert agree(body) == 1
    wide = DIALECTS["old"] | {"app.text": "x" * 5_000_000}
    assert agree(protobuf([span(1, attributes=wide, kind="client", scope="another")])) == 1


LONG_TRACE = """
from pathlib import Path
from spans import foreign, protobuf
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tollspan.collector.enrich import enrich

def most_bytes():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(each.split()[1]) << 10 for each in lines if each.startswith("VmHWM:"))

one = ExportTraceServiceRequest.FromString(protobuf([foreign(1)]))
scope = one.resource_spans[0].scope_spans[0]
body = ExportTraceServiceRequest()
spans = body.resource_spans.add().scope_spans.add()
spans.scope.name = "another"
for number in range(100_000):
    scope.spans[0].span_id = (number + 1).to_bytes(8)
    spans.spans.append(scope.spans[0])
body = body.SerializeToString()
del spans, one, scope
enrich(body[:0])
before = most_bytes()
for _ in range(2):
    made = enrich(body)
    assert made.spans == sum(made.priced.values()) == 100_000
print(len(body), most_bytes() - before)
"""


@pytest.mark.slow
def test_a_trace_of_100_000_spans_passes_in_bounded_memory() -> None:
    """Spans of one trace in one request of 20 MB, twice."""
    done = subprocess.run(
        [sys.executable, "-c", LONG_TRACE],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    size, most = map(int, done.stdout.split())
    assert size > 15_000_000
    assert most < 30 * size


def test_values_that_never_repeat_are_not_remembered_without_end() -> None:
    known = memory.Memory()
    assert known.shapes("a")
    for number in range(3 * memory.MOST_KNOWN // 25):
        raw = [b"\n\x05gen_a\x12\x06\n\x04%04d" % (number % 10_000)] * 25
        known.learn("a", b"", _NoEvents(), [each + b"%d" % n for n, each in enumerate(raw)], None)  # type: ignore[arg-type]
    assert len(known._known) <= memory.MOST_KNOWN
    assert len(known._once) <= memory.MOST_KNOWN


class _NoEvents:
    events = b""
