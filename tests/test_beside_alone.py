"""Applications that others watch, and not we: a stage or the local ledger pays each answer once.

Each question is asked within a request, as a web framework's span has it. Runs where the others are
installed (`.venv-beside`), in a process each.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import pytest
from besides import asked
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from staged import amount, calls
from test_beside import OTHERS
from test_frameworks import FRAMEWORKS

from tollspan import semconv

SILENT = ("crewai", "dspy")
"""Of these nobody tells but us."""
ALONE = {name: needs for name, needs in (OTHERS | FRAMEWORKS).items() if name not in SILENT}
WITHOUT_PROVIDER = ("langfuse", "OpenAI-generation")
"""Whose spans name a model and nobody who serves it."""


@pytest.mark.slow
@pytest.mark.parametrize("other", ALONE)
def test_each_answer_is_paid_once(other: str) -> None:
    for question in asked(other, "alone", *ALONE[other]):
        together = b64decode(question["otlp"])
        for bodies in ([together], [*one_by_one(together)], [*one_by_one(together)][::-1]):
            _check(other, question, bodies)


def _check(other: str, question: dict[str, Any], bodies: list[bytes]) -> None:
    told = calls(bodies)
    (owner,) = [each for each in told if each.role == "owner"]
    what = f"{question['asked']}: {[(each.span.scope, each.span.name, each.role) for each in told]}"
    assert float(amount([owner])) == pytest.approx(question["truth_usd"]), what
    assert owner.attributes[semconv.INPUT_TOKENS] == question["truth_input_tokens"], what
    guessed = (other, owner.span.name) == WITHOUT_PROVIDER
    assert owner.attributes[semconv.COST_GRADE] == ("estimated" if guessed else "derived")
    assert owner.attributes.get(semconv.GRADE_REASON) == ("unknown_provider" if guessed else None)


def one_by_one(body: bytes) -> Iterator[bytes]:
    """The same spans in a request each."""
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                request = ExportTraceServiceRequest()
                told = request.resource_spans.add(resource=resource.resource)
                told.scope_spans.add(scope=scope.scope, spans=[span])
                yield request.SerializeToString()
