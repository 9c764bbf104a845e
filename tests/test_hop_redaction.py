"""What `tollspan wire prove` tells of a call stands on its hop in the ledger, whichever of the two came first."""

from __future__ import annotations

import itertools
import json
import urllib.request
from collections.abc import Iterator, Sequence

import pytest
from sink import Sink
from spans import attempt, foreign, hop, owner, protobuf, span
from stages import send, stage, until

from tollspan import semconv
from tollspan.collector.call import Call
from tollspan.collector.foreign import normalised, settled
from tollspan.collector.rows import hop_rows
from tollspan.collector.span import Span
from tollspan.collector.stage import Remembered, Stage
from tollspan.local import LocalStack


def proof(number: int, state: str, parent: int = 1) -> Span:
    return span(number, parent, {semconv.HOP_REDACTION: state, semconv.WIRE_ID: "x"})


def told(batches: Sequence[Sequence[Span]]) -> dict[int, str]:
    """Redaction by place, as the ledger has it of the only call when all is told."""
    fold = Stage(settled, normalised, lambda trace_ids: Remembered())
    last: dict[str, Call] = {}
    for batch in batches:
        for call in fold.take(batch):
            there = last.get(call.call_id)
            if there is None or call.version > there.version:
                last[call.call_id] = call
    (call,) = last.values()
    return {row["hop_index"]: row["redaction"] for row in hop_rows(call)}


PATH = [owner(1), hop(3, 1, 0, "proxy", "litellm"), hop(4, 1, 1, "model", "gpt-4o-mini")]


def test_the_proof_stands_on_the_first_proxy_in_any_order_and_batches() -> None:
    for order in itertools.permutations([*PATH, proof(5, "proved")]):
        for batches in ([order], [[each] for each in order]):
            assert told(batches) == {0: "proved", 1: ""}


@pytest.mark.parametrize(
    ("states", "stands"),
    [
        (("proved", "leaked"), "leaked"),
        (("unknown", "proved"), "unknown"),
        (("proved", "proved"), "proved"),
        (("nonsense",), ""),
    ],
)
def test_of_several_exchanges_the_worst_stands(states: Sequence[str], stands: str) -> None:
    proofs = [proof(number, state) for number, state in enumerate(states, start=5)]
    for order in itertools.permutations(proofs):
        assert told([[*PATH], list(order)])[0] == stands


def test_a_call_behind_no_proxy_has_none() -> None:
    assert told([[owner(1), proof(5, "proved")]]) == {0: ""}


def test_hops_read_from_headers_have_it_too() -> None:
    seen = attempt(2, 1, x_litellm_version="1.106.2", x_litellm_model_group="fast")
    found = told([[foreign(1), seen], [proof(5, "leaked")]])
    assert found == {0: "leaked"} | dict.fromkeys(range(1, len(found)), "")


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as made:
        yield made


def test_a_stage_corrects_the_hop_or_has_it_mended(sink: Sink) -> None:
    with stage(sink.grpc_url, window_s=1) as made:
        address = f"127.0.0.1:{made.ports.grpc}"
        send(address, protobuf(PATH))
        send(address, protobuf([proof(5, "leaked")]))
        (record,) = sink.records.values()
        assert [each.get("redaction") for each in record["hops"]] == ["leaked", None]
        strange = proof(6, "proved")
        strange.trace_id = "ab" * 16
        send(address, protobuf([strange]))
        until(lambda: made.holding.suspects)
        assert made.holding.take_suspects(0) == [strange.trace_id]


def test_the_local_ledger_its_api_and_its_export_have_it() -> None:
    with LocalStack() as stack:
        stack.writer.offer(PATH).result(60)
        stack.writer.offer([proof(5, "proved")]).result(60)
        wanted = "SELECT redaction FROM tollspan_hops ORDER BY hop_index"
        assert [row["redaction"] for row in stack.ledger.query(wanted)] == ["proved", ""]
        for path, read in (
            ("/api/calls", lambda said: said["calls"][0]["hops"]),
            ("/v1/usage/export?last=all", lambda said: said["tollspan"]["hops"]),
        ):
            with urllib.request.urlopen(f"{stack.page_url}{path}", timeout=30) as answer:
                hops = read(json.load(answer))
            assert [each.get("redaction") or None for each in hops] == ["proved", None]
