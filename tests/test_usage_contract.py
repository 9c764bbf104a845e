"""All of `/v1` keeps what its OpenAPI document says, whatever is sent: no answer is a fault of ours."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from usage_calls import calls

from tollspan.local import LocalStack, openapi
from tollspan.local.server import V1

pytestmark = pytest.mark.slow

DOCUMENT = openapi.document([openapi.OPERATIONS, *(module.OPERATIONS for module in V1)])
OPERATIONS = [
    (path, method)
    for path, item in DOCUMENT["paths"].items()
    for method in ("get", "post", "put", "delete", "patch")
    if method in item
]
EXAMPLES = 3
MOST_URL = 16_000
"""Letters; the HTTP server hangs up on far longer ones before anybody of ours hears of them."""

ASKED = [
    (path, method, mode)
    for path, method in OPERATIONS
    for mode in GenerationMode
    # What takes nothing cannot be asked wrongly.
    if mode is GenerationMode.POSITIVE
    or {"parameters", "requestBody"} & DOCUMENT["paths"][path][method].keys()
]
KEPT = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TOLLSPAN_API_PER_MINUTE", "0")
        with LocalStack() as running:
            running.writer.offer(calls(60, time.time_ns())).result(60)
            yield running


def test_the_document_is_served_and_names_every_route(stack: LocalStack) -> None:
    with urllib.request.urlopen(f"{stack.page_url}/v1/openapi.json", timeout=30) as answer:
        served = json.load(answer)

    assert served == DOCUMENT
    assert {path for path, _ in OPERATIONS} >= {
        *(f"/v1/usage/{name}" for name in ("stats", "recent", "export", "sessions", "keys")),
        *("/v1/replacement/metrics", "/v1/ingest", "/v1/budgets", "/v1/health", "/v1/reconcile"),
    }


@pytest.mark.parametrize(("path", "method", "mode"), ASKED, ids=str)
def test_no_request_makes_the_api_fail_or_break_its_word(
    stack: LocalStack, path: str, method: str, mode: GenerationMode
) -> None:
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    schema.config.update(base_url=stack.page_url)
    operation = schema[path][method]

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def asked(case: Any) -> None:
        sent = case.as_transport_kwargs(base_url=stack.page_url)
        url = requests.Request(method, sent["url"], params=sent.get("params")).prepare().url
        assume(len(url or "") < MOST_URL)
        case.call_and_validate(checks=KEPT)

    asked()
