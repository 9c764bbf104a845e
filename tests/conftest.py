"""What every test stands on: faults loud, environment clean, spans in memory, settings fresh."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

os.environ.setdefault("TOLLSPAN_RAISE", "1")

from tollspan import config


@pytest.fixture(autouse=True)
def clean_settings(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    for name in list(os.environ):
        if name.startswith(("TOLLSPAN_", "OTEL_")) and name != "TOLLSPAN_REQUIRE":
            monkeypatch.delenv(name)
    quiet = request.node.get_closest_marker("quiet") is not None
    monkeypatch.setenv("TOLLSPAN_RAISE", "0" if quiet else "1")
    config.reload()
    yield
    config._settings = None


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter) -> Iterator[TracerProvider]:
    made = TracerProvider()
    made.add_span_processor(SimpleSpanProcessor(exporter))
    yield made
    made.shutdown()


@pytest.fixture(autouse=True, scope="module")
def sdks_out_of_the_collectors_sight() -> None:
    """Forty SDKs are a million objects that stay: `gc.collect()` need not look at them each time."""
    gc.freeze()
