"""What a proxy sent on is shown to be masked, or shown to have leaked: by captures on both of its sides."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from exchanges import made, stored
from needs import ROOT
from opentelemetry.sdk.trace import TracerProvider
from otlp import Receiver
from spans import attempt, hop, owner, span

import tollspan
from tollspan import config, semconv, wirefile
from tollspan.chaos import Chaos
from tollspan.launcher import command
from tollspan.launcher.wire_prove import LEAKED, PROVED, UNKNOWN, prove
from tollspan.local.trace import _note_proofs
from tollspan.redaction import Redactor


def chat(text: str, redactor: Redactor, number: int = 0, **more: Any) -> Any:
    body = json.dumps({"messages": [{"role": "user", "content": text}]})
    head = {
        "request_id": f"request-{number}",
        "rules_id": redactor.rules_id,
        "key_id": redactor.key_id,
        **more.pop("head", {}),
    }
    return made(number, body=redactor.text(body)[0], head=head, **more)


KEYED, PLAIN = Redactor(key="k"), Redactor()
MAIL = "I am ann@example.com"


@pytest.mark.parametrize(
    ("sent", "received", "state", "fate"),
    [
        (chat(MAIL, KEYED), [chat("I am <mail>", KEYED)], PROVED, "masked"),
        (chat(MAIL, KEYED), [chat("I am bob@example.com", KEYED)], PROVED, "masked"),
        (chat(MAIL, KEYED), [made(0, body='{"prompt": "I am"}', head={"rules_id": KEYED.rules_id})], PROVED, "absent"),
        (chat(MAIL, KEYED), [chat("hello, ann@example.com!", KEYED)], LEAKED, "there"),
        (chat(MAIL, KEYED), [chat("I am <mail>", KEYED), chat(MAIL, KEYED)], LEAKED, "there"),
        (chat(MAIL, PLAIN), [chat("I am <mail>", PLAIN)], PROVED, "masked"),
        (chat(MAIL, PLAIN), [chat(MAIL, PLAIN)], UNKNOWN, "unsure"),
        (chat(MAIL, KEYED), [chat(MAIL, Redactor(key="other"))], UNKNOWN, "unsure"),
        (chat(MAIL, KEYED), [], UNKNOWN, None),
        (chat("hello", KEYED), [chat("hello", KEYED)], UNKNOWN, None),
        (chat(MAIL, KEYED), [chat("x", KEYED, head={"rules_id": "others"})], UNKNOWN, None),
        (chat(MAIL, KEYED), [chat("x", KEYED, request={"truncated": True})], UNKNOWN, None),
        (chat(MAIL, KEYED), [chat("x", KEYED, 1, head={"trace_id": "other"})], UNKNOWN, None),
    ],
)  # fmt: skip
def test_each_fate_of_a_value_is_told_apart(
    sent: Any, received: list[Any], state: str, fate: str | None
) -> None:
    (proof,) = prove([sent], received)

    assert proof.state == state
    assert [each.where for each in proof.fates] == ([fate] if fate else [])
    assert proof.why or proof.fates
    assert json.loads(json.dumps(proof.as_json()))["redaction"] == state
    assert "ann" not in proof.sentence()


def test_exchanges_are_joined_by_request_id_before_trace() -> None:
    sent = [chat(MAIL, KEYED, 0), chat(MAIL, KEYED, 1)]
    received = [chat("I am <mail>", KEYED, 0), chat(MAIL, KEYED, 1)]
    by_baggage = chat(
        "I am <mail>",
        KEYED,
        7,
        request={"headers": [["baggage", "a=b,tollspan.request_id=request-0"]]},
    )
    by_trace = chat("I am <mail>", KEYED, 8)

    assert [each.state for each in prove(sent, received)] == [PROVED, LEAKED]
    assert prove(sent[:1], [by_baggage])[0].received == (by_baggage.id,)
    assert prove(sent[:1], [by_trace])[0].received == (by_trace.id,)


def test_what_a_tap_saw_belongs_to_the_one_call_that_was_under_way() -> None:
    tap = {"head": {"seen_by": "tap", "trace_id": "of the gateway's own"}}
    sent = [chat(MAIL, KEYED, 10), chat(MAIL, KEYED, 20)]
    received = [chat("<mail>", KEYED, 11, **tap), chat(MAIL, KEYED, 12, **tap)]  # 0.1 s later each
    between = chat(MAIL, KEYED, 15, **tap)
    overlapping = chat(MAIL, KEYED, 9, end={"offset_s": 0.3})

    (first, second) = prove(sent, [*received, between])
    assert (first.state, first.joined) == (LEAKED, "time")
    assert first.received == tuple(each.id for each in received)  # 0.2 s long
    assert "joined by time" in first.sentence()
    assert (second.state, second.received) == (UNKNOWN, ())
    assert [each.state for each in prove(sent[:1], received[:1])] == [PROVED]
    (shared, _) = prove([sent[0], overlapping], received[:1])
    assert shared.state == UNKNOWN
    assert "forward `traceparent`" in shared.why
    (not_of_a_tap,) = prove(sent[:1], [chat(MAIL, KEYED, 11, head={"trace_id": "other"})])
    assert not_of_a_tap.state == UNKNOWN
    by_id = chat(MAIL, KEYED, 9, end={"offset_s": 0.3}, head={"request_id": "known"})
    known = chat("<mail>", KEYED, 9, head={"request_id": "known", "trace_id": "other"})
    assert [each.joined for each in prove([by_id, sent[0]], [known, *received])] == [
        "request_id",
        "time",
    ]


@contextmanager
def proxy(upstream: str, mode: str, folder: Path) -> Iterator[str]:
    environ = {**os.environ, "TOLLSPAN_WIRE": str(folder), "TOLLSPAN_HASH_KEY": "shared"}
    arguments = [sys.executable, str(ROOT / "tests" / "redacting_proxy.py"), upstream, mode]
    process = subprocess.Popen(arguments, env=environ, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture
def watched(provider: TracerProvider) -> Iterator[None]:
    tollspan.instrument(tracer_provider=provider, providers=["openai"])
    yield
    tollspan.uninstrument()


@pytest.mark.slow
@pytest.mark.usefixtures("watched")
def test_a_real_proxy_is_shown_to_mask_and_to_leak(
    chaos: Chaos,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TOLLSPAN_HASH_KEY", "shared")
    config.reload()
    messages: Any = [{"role": "user", "content": f"{MAIL}, reset my password"}]
    for mode in ("mask", "pass"):
        sent, received = tmp_path / f"sent-{mode}", tmp_path / f"received-{mode}"
        with (
            proxy(chaos.openai_base_url, mode, received) as url,
            openai.OpenAI(base_url=url, api_key="sk-of-the-app", max_retries=0) as sdk,
            tollspan.wire(sent),
        ):
            sdk.chat.completions.create(model="gpt-4o-mini", messages=messages)
        code = command.main(
            ["wire", "prove", "--sent", str(sent), "--received", str(received), "--json"]
        )
        told = json.loads(capsys.readouterr().out)
        assert told["received"] == wirefile.listed(received)
        if mode == "mask":
            assert (code, told["redaction"]) == (0, "proved")
            assert told["rules"] == [{"rule": "email", "sent": 1, "there": 0, "fate": "masked"}]
        else:
            assert (code, told["redaction"]) == (1, "leaked")
            assert told["rules"] == [{"rule": "email", "sent": 1, "there": 1, "fate": "there"}]


def test_a_proof_is_told_as_a_span_below_its_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = stored(tmp_path / "sent", chat(MAIL, KEYED))
    received = stored(tmp_path / "received", chat(MAIL, KEYED, 1, head={"request_id": "request-0"}))
    with Receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        for _ in range(2):
            code = command.main(
                ["wire", "prove", "--sent", str(sent), "--received", str(received), "--tell"]
            )
        spans = receiver.spans

    assert code == 1
    out = capsys.readouterr().out
    assert "leaked: 1 email there\n" in out
    assert out.endswith("0 proved, 1 leaked, 0 unknown\n")
    (first, second) = spans
    assert first.attributes[semconv.HOP_REDACTION] == "leaked"
    assert first.attributes[semconv.WIRE_ID] == wirefile.listed(sent)[0]
    assert first.span_id == second.span_id  # told twice, it is one


def test_the_proof_stands_on_the_hop_that_it_is_about() -> None:
    told = [
        owner(1),
        attempt(2, 1),
        hop(3, 1, 0, "proxy", "litellm"),
        hop(4, 1, 1, "model", "gpt-4o-mini"),
        span(5, 1),
    ]
    rows = [
        {
            "span_id": each.span_id,
            "parent_id": each.parent_id,
            "attributes": dict(each.attributes),
        }
        for each in told
    ]
    rows[4]["attributes"][semconv.HOP_REDACTION] = "proved"  # type: ignore[index]
    _note_proofs(rows, {str(row["span_id"]): row for row in rows})
    marked = [row["attributes"].get(semconv.HOP_REDACTION) for row in rows]  # type: ignore[attr-defined]

    assert marked == [None, None, "proved", None, "proved"]
