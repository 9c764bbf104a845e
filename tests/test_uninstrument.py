"""Watching starts whenever an SDK is imported, and leaves every attribute the identical object."""

from __future__ import annotations

import inspect
import logging
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import anthropic._base_client
import openai._base_client
import pytest
import sdks
from opentelemetry.instrumentation.dependencies import DependencyConflictError
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tollspan import instrumentation
from tollspan.instrumentation import _instrumentor, _patching
from tollspan.instrumentation._sdks import Sdk
from tollspan.instrumentation._spec import Patch, Provider
from tollspan.instrumentation.openai import Instrumentor

ROOT = Path(__file__).resolve().parent.parent
CLASSES = [
    module.__dict__[name]
    for module in (openai._base_client, anthropic._base_client)
    for name in ("SyncAPIClient", "AsyncAPIClient")
]


def attributes() -> dict[str, Any]:
    """Everything that the SDKs' modules and classes hold, by place; but for what pydantic builds
    for a class when it is first used."""
    found: dict[str, Any] = {}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in ("openai", "anthropic") and module is not None:
            for key, value in vars(module).items():
                found[f"{name}.{key}"] = value
                if inspect.isclass(value) and value.__module__ == name:
                    found.update({f"{name}.{key}.{k}": v for k, v in vars(value).items()})
    return {place: value for place, value in found.items() if "__pydantic_" not in place}


def run(program: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env={"PATH": "", "PYTHONPATH": str(ROOT / "tests"), "TOLLSPAN_RAISE": "1"},
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_uninstrument_restores_the_identical_objects(provider: TracerProvider) -> None:
    asked()  # the SDKs finish some of their classes when they are first used
    before = attributes()
    for _ in range(3):
        instrumentation.instrument(provider, ["openai", "anthropic"])
        changed = [kind.__dict__["request"] for kind in CLASSES]
        assert all(
            ours is not before[place(kind)] for kind, ours in zip(CLASSES, changed, strict=True)
        )
        asked()
        instrumentation.uninstrument()
    after = attributes()

    assert {key for key in before if after.get(key) is not before[key]} == set()
    assert _patching.patched() == []


def asked() -> None:
    sdks.plain(sdks.openai_client(sdks.server_for("chat")), "chat")
    sdks.stream(sdks.openai_client(sdks.server_for("chat")), "chat")
    sdks.stream(sdks.anthropic_client(sdks.server_for("messages")), "messages")


def place(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}.request"


def test_what_is_watched_looks_like_what_was_there(provider: TracerProvider) -> None:
    signatures = [inspect.signature(kind.request) for kind in CLASSES]
    instrumentation.instrument(provider, ["openai", "anthropic"])
    try:
        assert [inspect.signature(kind.request) for kind in CLASSES] == signatures
        assert [inspect.iscoroutinefunction(kind.request) for kind in CLASSES] == [
            False,
            True,
            False,
            True,
        ]
        assert "openai._base_client.SyncAPIClient.request" in _patching.patched()
    finally:
        instrumentation.uninstrument()


def test_instrumenting_twice_is_once(
    provider: TracerProvider,
    exporter: InMemorySpanExporter,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with sdks.watched(provider):
        assert instrumentation.instrument(provider, ["openai"]) == ["openai"]
        Instrumentor().instrument(tracer_provider=provider)
        sdks.plain(sdks.openai_client(sdks.server_for("chat")), "chat")

    assert len(sdks.call_spans(exporter)) == 1
    instrumentation.uninstrument()
    assert [record for record in caplog.records if record.name.startswith("tollspan")] == []


def test_what_others_put_over_ours_stays_and_ours_rests(
    provider: TracerProvider, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = openai._base_client.SyncAPIClient
    monkeypatch.setattr(kind, "request", kind.request)  # puts the original back at the end
    instrumentation.instrument(provider, ["openai"])
    ours = kind.request

    def theirs(*args: Any, **kwargs: Any) -> Any:
        return ours(*args, **kwargs)

    kind.request = theirs  # type: ignore[method-assign, assignment]
    instrumentation.uninstrument()
    sdks.plain(sdks.openai_client(sdks.server_for("chat")), "chat")

    assert vars(kind)["request"] is theirs
    assert sdks.call_spans(exporter) == []


def test_a_provider_that_is_not_installed_is_left_out(
    provider: TracerProvider, caplog: pytest.LogCaptureFixture
) -> None:
    class Absent(_instrumentor.SdkInstrumentor):
        sdk = Sdk("absent", "no_such_sdk", ("no-such-sdk >= 1",), "Absent", "nothing")

    with pytest.raises(DependencyConflictError):  # what `opentelemetry-instrument` asks for
        Absent().instrument(raise_exception_on_conflict=True)
    assert not Absent().is_instrumented_by_opentelemetry

    assert "litellm" not in instrumentation.instrument(provider)
    instrumentation.uninstrument()
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []


def test_an_unknown_provider_is_a_sentence() -> None:
    with pytest.raises(ValueError, match="'opnai' is unknown: write one of openai, anthropic"):
        instrumentation.instrument(providers=["opnai"])


def test_a_method_that_an_sdk_does_not_have_is_a_warning_and_no_error(
    provider: TracerProvider, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Partly(_instrumentor.SdkInstrumentor):
        sdk = Sdk("partly", "openai", ("openai",), "Partly", "nothing", module="declared_partly")

    declared = ModuleType("declared_partly")
    declared.PROVIDER = Provider("partly", (Patch("openai._base_client", "Gone.request"),))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "declared_partly", declared)

    Partly().instrument(tracer_provider=provider)
    Partly().uninstrument()

    assert "openai._base_client has no function Gone.request" in caplog.text


IMPORTED_AFTER = """
import sys
from tollspan import instrumentation
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
print(instrumentation.instrument(provider, ["openai", "anthropic"]))
assert "openai" not in sys.modules and "anthropic" not in sys.modules
import sdks
sdks.plain(sdks.openai_client(sdks.server_for("chat")), "chat")
sdks.stream(sdks.anthropic_client(sdks.server_for("messages")), "messages")
print(sorted(span.name for span in sdks.call_spans(exporter)))
instrumentation.uninstrument()
exporter.clear()
sdks.plain(sdks.openai_client(sdks.server_for("chat")), "chat")
print(len(exporter.get_finished_spans()))
"""


@pytest.mark.slow
def test_an_sdk_that_is_imported_later_is_watched_and_never_imported_by_us() -> None:
    assert run(IMPORTED_AFTER).splitlines() == [
        "['openai', 'anthropic']",
        "['chat claude-sonnet-5', 'chat gpt-4o-mini']",
        "0",
    ]


@pytest.mark.slow
def test_uninstrumented_before_the_import_nothing_is_watched() -> None:
    program = """
import sys
from tollspan import instrumentation
instrumentation.instrument(providers=["openai"])
instrumentation.uninstrument()
import openai._base_client as client
print(client.SyncAPIClient.request.__module__, hasattr(client.SyncAPIClient.request, "__wrapped__"))
instrumentation.instrument(providers=["openai"])
print(hasattr(client.SyncAPIClient.request, "__wrapped__"))
instrumentation.uninstrument()
print(hasattr(client.SyncAPIClient.request, "__wrapped__"))
"""

    assert run(program).splitlines() == ["openai._base_client False", "True", "False"]


@pytest.mark.slow
def test_importing_the_package_imports_neither_sdks_nor_providers() -> None:
    program = """
import sys
import tollspan.instrumentation
print([name for name in sys.modules if name.partition(".")[0] in ("openai", "anthropic", "httpx",
    "httpx2", "wrapt") or name.startswith(("opentelemetry.sdk", "tollspan.instrumentation."))])
"""

    assert run(program).strip() == "['tollspan.instrumentation._sdks']"


@pytest.mark.slow
def test_the_entry_points_are_what_opentelemetry_instrument_loads() -> None:
    program = """
from importlib.metadata import entry_points
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor
for point in sorted(entry_points(group="opentelemetry_instrumentor"), key=lambda each: each.name):
    if point.name in ("tollspan_openai", "tollspan_anthropic"):
        kind = point.load()
        print(point.name, issubclass(kind, BaseInstrumentor), kind().instrumentation_dependencies())
"""

    assert run(program).splitlines() == [
        "tollspan_anthropic True ('anthropic >= 0.45',)",
        "tollspan_openai True ('openai >= 1.40',)",
    ]
