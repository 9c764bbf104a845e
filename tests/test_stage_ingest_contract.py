"""The ingest of a stage keeps what its OpenAPI document says, whatever is sent: no answer is a fault of ours."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from ingesting import OPENER
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sink import Sink
from stages import get, stage

from tollspan import config
from tollspan.collector.ingest_http import SOURCES


@pytest.fixture(scope="module")
def one() -> Iterator[Any]:
    config.reload({})
    with Sink() as sink, stage(sink.grpc_url) as made:
        yield made


def document(made: Any) -> Any:
    return json.loads(get(f"http://127.0.0.1:{made.ports.http}/v1/openapi.json")[1])


def test_the_stage_serves_the_document_of_what_it_takes(one: Any) -> None:
    assert set(document(one)["paths"]) == {
        "/v1/openapi.json",
        *(f"/v1/ingest{'/' if name else ''}{name}" for name in SOURCES),
    }
    ask = urllib.request.Request(f"http://127.0.0.1:{one.ports.http}/v1/ingest", method="GET")
    with pytest.raises(urllib.error.HTTPError) as refused:
        OPENER.open(ask, timeout=20)
    with refused.value as error:
        assert (error.code, error.headers["allow"]) == (405, "POST")


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(GenerationMode), ids=str)
@pytest.mark.parametrize("name", SOURCES)
def test_no_request_makes_it_fail_or_break_its_word(
    one: Any, name: str, mode: GenerationMode
) -> None:
    url = f"http://127.0.0.1:{one.ports.http}"
    schema = schemathesis.openapi.from_dict(document(one))
    schema.config.update(base_url=url)
    operation = schema[f"/v1/ingest{'/' if name else ''}{name}"]["post"]
    kept = [
        *(not_a_server_error, status_code_conformance),
        *(content_type_conformance, response_schema_conformance),
    ]

    @settings(
        max_examples=3,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def asked(case: Any) -> None:
        case.call_and_validate(checks=kept)

    asked()
