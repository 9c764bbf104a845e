"""A program that ends right after its calls has told of all of them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tollspan.chaos import Chaos
from tollspan.local.server import LocalStack

APP = """
import sys
import openai, tollspan
tollspan.instrument()
client = openai.OpenAI(base_url=sys.argv[1], api_key="k")
for _ in range(3):
    client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "hi"}])
"""


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_a_program_that_ends_at_once_loses_nothing(protocol: str) -> None:
    with LocalStack() as stack, Chaos() as provider:
        endpoint = stack.grpc_endpoint if protocol == "grpc" else stack.http_endpoint
        ended = subprocess.run(  # noqa: PLW1510
            [sys.executable, "-c", APP, provider.openai_base_url],
            env=os.environ
            | {
                "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
                "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
                "TOLLSPAN_RAISE": "",
            },
            capture_output=True,
            text=True,
            timeout=60,
        )

        assert (ended.returncode, ended.stderr) == (0, "")
        assert stack.flush()
        assert stack.ledger.query("SELECT count() AS n FROM tollspan_calls") == [{"n": 3}]
