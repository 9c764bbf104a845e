"""What every test stands on: faults loud, environment clean, spans in memory, settings fresh."""

from __future__ import annotations

import gc
import os
import resource
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

os.environ.setdefault("TOLLSPAN_RAISE", "1")
# Each client of an SDK would read all certificates of the system, a fortieth of a second, and
# thousands are made. This one's key was never kept: whoever asks over TLS names whom it trusts.
os.environ["SSL_CERT_FILE"] = os.path.join(os.path.dirname(__file__), "nobodys_certificate.pem")
os.environ.pop("SSL_CERT_DIR", None)
# Else LiteLLM looks for prices on the network, three times, whenever it is imported.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

from tollspan import config

# Clients that SDKs never close keep their sockets: hundreds in a run, and some systems allow 1,024.
few, most = resource.getrlimit(resource.RLIMIT_NOFILE)
if 0 <= few < 16_384:
    resource.setrlimit(resource.RLIMIT_NOFILE, (16_384 if most < 0 else min(16_384, most), most))

# Properties are tried with the same examples in every run, however slow the machine is; with others
# by `--hypothesis-profile=others`.
settings.register_profile(
    "others", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile("same", settings.get_profile("others"), derandomize=True, database=None)
settings.load_profile("same")


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
