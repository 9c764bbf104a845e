"""An export taken in again by an empty ledger answers the same, to the last digit."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Mapping
from typing import Any

from usage_calls import HOUR_NS, calls, through_a_gateway

from tollspan.local import LocalStack
from tollspan.local.usage_api import ANSWERS
from tollspan.local.usage_export import export
from tollspan.local.usage_line import WHOLE

END_NS = time.time_ns() // HOUR_NS * HOUR_NS
QUESTIONS: Mapping[str, list[tuple[str, str]]] = {
    "/v1/usage/stats": [("by", "tenant,model"), ("interval", "day"), ("limit", "500")],
    "/v1/usage/recent": [("limit", "500")],
    "/v1/usage/sessions": [("limit", "500")],
    "/v1/usage/keys": [("limit", "500")],
    "/v1/replacement/metrics": [("limit", "500")],
}


def answers(stack: LocalStack) -> dict[str, Any]:
    """What the API says of everything that it can be asked for, but the month, which goes on."""
    assert ANSWERS.keys() - QUESTIONS.keys() <= {"/v1/usage/month"}
    everything = [("data_mode", "all"), ("last", "all")]
    return {
        path: ANSWERS[path](stack.ledger, [*everything, *more]) for path, more in QUESTIONS.items()
    }


def file(stack: LocalStack, form: str) -> bytes:
    asked = [("data_mode", "all"), ("last", "all"), ("format", form)]
    return b"".join(export(stack.ledger, asked).pieces)


def without_ids_of_hops(lines: bytes) -> list[dict[str, Any]]:
    """A hop that had no span of its own has one where it was restored."""
    made = [json.loads(line) for line in lines.splitlines()]
    for line in made:
        for hop in line[WHOLE]["hops"]:
            hop.pop("span_id", None)
    return made


def test_an_export_taken_in_again_answers_the_same_to_the_last_digit() -> None:
    with LocalStack() as stack:
        stack.writer.offer([*calls(300, END_NS), *through_a_gateway(END_NS)]).result(60)
        said, lines, cells = answers(stack), file(stack, "jsonl"), file(stack, "csv")
        charges = file(stack, "focus-csv")
    with LocalStack() as empty:
        for number in range(2):  # the second time changes nothing
            request = urllib.request.Request(
                f"{empty.page_url}/v1/ingest/usage", lines, {"content-type": "application/x-ndjson"}
            )
            with urllib.request.urlopen(request, timeout=60) as answer:
                told = json.load(answer)
            assert (told["accepted"], told["errors"]) == (301 if not number else 0, []), told
        again = answers(empty)
        for path, wanted in said.items():
            assert again[path] == wanted, path
        assert file(empty, "csv") == cells
        assert file(empty, "focus-csv") == charges
        assert without_ids_of_hops(file(empty, "jsonl")) == without_ids_of_hops(lines)
