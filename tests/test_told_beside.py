"""Spans of two instrumentations that stand side by side and tell of one answer: it is paid once.

Nothing joins them but their numbers and their times: callbacks of a framework leave no parentage, and
of a stream no id.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spans import foreign, owner, span
from test_ledger_ownership import delivered

from tollspan import semconv
from tollspan.collector.rows import call_row
from tollspan.collector.span import Span

SECOND = 10**9


def told(number: int, scope: str, begins_s: float, ends_s: float, **more: Any) -> Span:
    """A call as `scope` tells of it, in seconds after the start of the request that is span 1."""
    made = foreign(number, 1, **more)
    at = span(0).start_ns
    made.start_ns, made.end_ns = at + int(begins_s * SECOND), at + int(ends_s * SECOND)
    made.scope = scope
    return made


def test_what_lies_within_a_span_of_another_scope_owns_the_answer_that_both_state() -> None:
    framework, sdk = told(2, "langchain", 1, 5), told(3, "sdk", 2, 4)
    assert delivered([span(1), framework, sdk]).owners() == {3}
    assert delivered([framework], [sdk, span(1)]).owners() == {3}
    assert delivered([sdk], [framework], [span(1)], fresh_stage=True).owners() == {3}


def test_a_call_of_ours_owns_what_a_span_beside_it_tells_again() -> None:
    mine = owner(2, 1)
    around = told(3, "langchain", 1, 9, attributes={semconv.INPUT_TOKENS: 540})
    around.attributes[semconv.OUTPUT_TOKENS] = 180
    assert delivered([span(1), mine, around]).owners() == {2}


@pytest.mark.parametrize(
    "other",
    [
        told(3, "langchain", 2, 4),
        told(3, "sdk", 3, 6),
        told(3, "sdk", 1.2, 5.2),
        told(3, "sdk", 2, 4, tokens=999),
        told(3, "sdk", 2, 4, attributes={semconv.REQUEST_MODEL: "gpt-4.1"}),
        told(3, "sdk", 2, 4, attributes={semconv.RESPONSE_ID: "chatcmpl-two"}),
        told(3, "sdk", 2, 4, resource={semconv.SERVICE_NAME: "elsewhere"}),
        told(3, "sdk", 2, 4, trace_id="9" * 32),
    ],
    ids=["scope", "times", "starts", "counts", "model", "answer", "service", "trace"],
)
def test_two_answers_stay_two(other: Span) -> None:
    one = told(2, "langchain", 1, 5, attributes={semconv.RESPONSE_ID: "chatcmpl-one"})
    assert delivered([span(1), one, other]).owners() == {2, 3}


def test_callbacks_of_two_instrumentations_that_are_called_in_turn_tell_of_one_answer() -> None:
    one, other = told(2, "callbacks", 1, 5), told(3, "other callbacks", 1.01, 5.01)
    assert len(delivered([span(1), one, other]).owners()) == 1
    late = told(3, "other callbacks", 1.01, 5.2)
    assert len(delivered([span(1), one, late]).owners()) == 2


def test_a_call_above_one_that_is_told_beside_owns_nothing() -> None:
    """A wrapper of the SDK ends before the stream that it opened has told its numbers."""
    wrapper = told(2, "wrapper", 2, 3, tokens=None)
    sdk = told(3, "sdk", 2, 5)
    sdk.parent_id = wrapper.span_id
    framework = told(4, "langchain", 1, 6)
    assert delivered([span(1), wrapper, sdk, framework]).owners() == {4}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5)), min_size=1, max_size=8), st.data())
def test_of_questions_asked_at_once_each_is_told_once(
    times: list[tuple[int, int]], data: st.DataObject
) -> None:
    """The same question, many times at once: as many owners as answers, whatever the order."""
    spans = [span(1)]
    for number, (begins, lasts) in enumerate(times):
        spans.append(told(10 + 2 * number, "langchain", begins, begins + lasts + 1))
        spans.append(told(11 + 2 * number, "sdk", begins + 0.2, begins + lasts))
    found = delivered(*([each] for each in data.draw(st.permutations(spans))))
    assert len(found.owners()) == len(times)


def test_hundreds_of_questions_at_once_are_told_once_each() -> None:
    spans = [span(1)]
    for number in range(300):
        begins = number * 0.01
        spans.append(told(1000 + 2 * number, "langchain", begins, begins + 60))
        spans.append(told(1001 + 2 * number, "sdk", begins + 0.005, begins + 59.9))
    assert len(delivered(spans).owners()) == 300

    waiting = [told(2000 + n, "langchain", n * 0.001, 60) for n in range(200)]
    answered = [told(3000 + n, "sdk", 1 + n * 0.001, 50) for n in range(200)]
    assert len(delivered([span(1), *waiting, *answered]).owners()) == 200


def log(number: int, at_s: float, **attributes: Any) -> Span:
    made = told(number, "logfire.anthropic", at_s, at_s)
    made.kind = "internal"
    made.attributes |= {"logfire.span_type": "log", "request_data": "{}", **attributes}
    return made


def around_a_stream(number: int, **attributes: Any) -> Span:
    made = told(number, "logfire.anthropic", 1, 2, tokens=None)
    made.attributes |= {"logfire.span_type": "span", "request_data": "{}", **attributes}
    return made


def test_a_stream_under_logfire_is_one_call() -> None:
    """A span as it begins, without usage; a log as it ends."""
    assert delivered([span(1), around_a_stream(2), log(3, 5)]).owners() == {3}


@pytest.mark.parametrize(
    ("said", "lasted_s"), [(3.5, 3.5), (-1.0, None), ("3.5", None), (float("nan"), None)]
)
def test_a_stream_under_logfire_lasted_as_long_as_its_log_says(said: Any, lasted_s: Any) -> None:
    (call,) = delivered([log(3, 5, duration=said)]).calls.values()
    assert call_row(call)["duration_s"] == lasted_s


def test_a_stream_that_the_sdk_tells_of_under_logfire_is_the_sdks() -> None:
    sdk = told(4, "com.anthropic.sdk.python", 1.1, 4.9)
    sdk.parent_id = around_a_stream(2).span_id
    assert delivered([span(1), around_a_stream(2), log(3, 5), sdk]).owners() == {4}
    assert delivered([log(3, 5)], [sdk], [around_a_stream(2)], [span(1)]).owners() == {4}


@pytest.mark.parametrize(
    "said",
    [{"logfire.level_num": 17}, {semconv.RESPONSE_ID: "msg_one"}, {semconv.INPUT_TOKENS: 5}],
    ids=["it failed", "it was answered", "it states usage"],
)
def test_a_call_under_logfire_that_is_no_stream_stays_a_call(said: dict[str, Any]) -> None:
    assert delivered([span(1), around_a_stream(2, **said)]).owners() == {2}
