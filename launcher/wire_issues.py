"""What is wrong with captured exchanges: `tollspan wire inspect --detect-issues`.

Each check looks at one exchange and yields sentences, or nothing. What several exchanges together
show is in `wire_issues_across`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from tollspan.processors.models import undated
from tollspan.wirefile import Exchange

from .wire_answer import Answer, Bad, Issue
from .wire_issues_across import across

__all__ = ["FIRST_CHUNK_S", "STALL_S", "issues"]

FIRST_CHUNK_S, STALL_S = 10.0, 5.0
"""Seconds from which on a first chunk is late, and a pause between two chunks too long."""

NEARLY_OUT = 0.05
_FIELD = re.compile(r"(?:data|event|id|retry):|:|(?:data|event|id|retry)$")


def no_answer(answer: Answer) -> Iterator[str]:
    if answer.status:
        return
    end = answer.exchange.end
    yield f"no answer came: {end.get('error') or end.get('how') or 'unknown'}"


def broken_off(answer: Answer) -> Iterator[str]:
    end = answer.exchange.end
    if answer.status and end.get("how") == "broken":
        yield f"the body broke off after {end.get('size')} bytes: {end.get('error')}"


def no_usage(answer: Answer) -> Iterator[str]:
    if answer.is_stream and answer.status == 200 and answer.ended and not answer.has_usage:
        yield (
            "the stream states no usage, so its cost is a guess; with OpenAI's wire ask for it: "
            "stream_options.include_usage, or TOLLSPAN_STREAM_USAGE=1"
        )


def no_end(answer: Answer) -> Iterator[str]:
    if not (answer.is_stream and answer.status == 200 and answer.events) or answer.is_cut:
        return
    over = answer.exchange.end.get("how") in ("complete", "broken")
    if over and not answer.ended:
        yield "the stream stops without a last chunk: no finish reason, no [DONE], no stop event"
    elif over and not answer.dones and _is_chat(answer):
        yield "the stream has a finish reason and no [DONE], which clients of OpenAI's wire wait for"


def _is_chat(answer: Answer) -> bool:
    return any(each.get("object") == "chat.completion.chunk" for each in answer.objects())


def done_twice(answer: Answer) -> Iterator[str]:
    if answer.dones > 1:
        yield f"[DONE] came {answer.dones} times: two layers end the stream, and strict clients fail"


def framing(answer: Answer) -> Iterator[str]:
    if not answer.is_sse or answer.status != 200 or not answer.body:
        return
    wrong = [line for line in answer.body.splitlines() if line and not _FIELD.match(line)]
    if wrong:
        yield f"{len(wrong)} lines are no field of server-sent events: {wrong[0][:60]!r}"
    if answer.is_whole and not answer.body.endswith(("\n\n", "\r\n\r\n", "\r\r")):
        yield "the last event is not ended by an empty line, so clients drop it"


def json_events(answer: Answer) -> Iterator[str]:
    bad = [each for each in answer.events if isinstance(each, Bad)]
    if bad and answer.is_cut:
        bad = bad[:-1]
    if bad and answer.status == 200:
        yield f"{len(bad)} of {len(answer.events)} events are no JSON: {str(bad[0])[:60]!r}"


def json_body(answer: Answer) -> Iterator[str]:
    if "json" not in answer.kind or answer.is_stream or not answer.is_whole:
        return
    if answer.body and answer.document is None:
        yield f"content-type says JSON and the body is none: {answer.body[:60]!r}"


def packing(answer: Answer) -> Iterator[str]:
    if problem := (answer.exchange.response or {}).get("problem"):
        yield f"the body cannot be unpacked: {problem}"


def length(answer: Answer) -> Iterator[str]:
    stated = _count(answer.exchange.header("content-length"))
    size = (answer.exchange.response or {}).get("size")
    plain = not answer.exchange.header("content-encoding")
    if answer.is_whole and plain and stated is not None and size not in (None, stated):
        yield f"content-length says {stated} bytes and {size} came"


def letters(answer: Answer) -> Iterator[str]:
    odd = [at for at, letter in enumerate(answer.body) if "\udc80" <= letter <= "\udcff"]
    if odd:
        where = "at its end" if odd[-1] == len(answer.body) - 1 else "in its middle"
        yield f"the body has bytes that are no UTF-8, {where}: a letter was cut in two"


def error_with_200(answer: Answer) -> Iterator[str]:
    if answer.status != 200:
        return
    for each in answer.objects():
        said = each.get("error")
        if said or each.get("type") == "error":
            kind = said.get("type") or said.get("code") if isinstance(said, dict) else said
            yield f"status 200, and the body says error: {str(kind or 'error')[:80]}"
            return


def empty(answer: Answer) -> Iterator[str]:
    if (
        answer.status == 200
        and answer.is_whole
        and not (answer.exchange.response or {}).get("size")
    ):
        yield "status 200 and no body"


def other_model(answer: Answer) -> Iterator[str]:
    asked = answer.asked.get("model") or answer.exchange.head.get("model")
    served = answer.said("model", "modelVersion")
    if not (isinstance(asked, str) and isinstance(served, str) and answer.status == 200):
        return
    one, other = (undated(name.rpartition("/")[2].lower()) for name in (asked, served))
    if one != other and not other.startswith(one) and not one.endswith(other):
        yield f"asked for {asked[:80]}, and {served[:80]} answered"


def late(answer: Answer) -> Iterator[str]:
    if answer.status == 200 and answer.is_stream and answer.exchange.chunks:
        first_s = float(answer.exchange.chunks[0].get("offset_s") or 0.0)
        if first_s >= FIRST_CHUNK_S:
            yield f"the first chunk took {first_s:.1f} s"


def stalled(answer: Answer) -> Iterator[str]:
    times = [float(chunk.get("offset_s") or 0.0) for chunk in answer.exchange.chunks]
    gaps = [(after - before, n) for n, (before, after) in enumerate(pairwise(times))]
    long = [gap for gap in gaps if gap[0] >= STALL_S]
    if long:
        gap_s, number = max(long)
        yield f"{len(long)} pauses between chunks, the longest {gap_s:.1f} s before chunk {number + 2}"


def arguments(answer: Answer) -> Iterator[str]:
    if not (answer.is_whole or answer.ended) or answer.is_cut:
        return
    for name, said in answer.tool_arguments():
        if said and not _is_json(said):
            yield f"the arguments for tool {name[:60] or '?'} are no JSON: {said[:60]!r}"


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def content_type(answer: Answer) -> Iterator[str]:
    if answer.status and not answer.kind and (answer.exchange.response or {}).get("size"):
        yield "the answer has no content-type: clients guess what it is"


_LEFT = re.compile(r"(x-ratelimit|anthropic-ratelimit|x-ms-ratelimit)(.*)remaining(.*)")


def nearly_out(answer: Answer) -> Iterator[str]:
    headers = dict(
        reversed([tuple(pair) for pair in (answer.exchange.response or {}).get("headers", ())])
    )
    for name, value in headers.items():
        if (found := _LEFT.fullmatch(name)) is None:
            continue
        left, limit = _count(value), _count(headers.get(f"{found[1]}{found[2]}limit{found[3]}"))
        if left is not None and limit and left <= limit * NEARLY_OUT:
            yield f"{name}: {left} of {limit} left"


def _count(text: object) -> int | None:
    return int(str(text)) if re.fullmatch(r"[0-9]{1,15}", str(text)) else None


CHECKS: dict[str, Callable[[Answer], Iterator[str]]] = {
    "no_answer": no_answer,
    "broken_off": broken_off,
    "error_with_200": error_with_200,
    "empty_body": empty,
    "no_last_chunk": no_end,
    "done_twice": done_twice,
    "sse_framing": framing,
    "event_not_json": json_events,
    "body_not_json": json_body,
    "packing": packing,
    "wrong_length": length,
    "truncated_utf8": letters,
    "tool_arguments": arguments,
    "no_usage": no_usage,
    "model_swapped": other_model,
    "no_content_type": content_type,
    "slow_first_chunk": late,
    "stalled": stalled,
    "rate_limit_nearly_out": nearly_out,
}
"""By the name of what they find."""


def issues(exchanges: Sequence[Exchange]) -> list[Issue]:
    """Everything that is wrong with `exchanges`, in their order."""
    found = []
    for exchange in exchanges:
        answer = Answer(exchange)
        for name, check in CHECKS.items():
            found += [Issue(exchange.id, name, text) for text in check(answer)]
    found += across(exchanges)
    place = {exchange.id: number for number, exchange in enumerate(exchanges)}
    return sorted(found, key=lambda each: place[each.id])
