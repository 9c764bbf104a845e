"""Names, metrics and values are those of OpenTelemetry; `docs/conformance.md` lists each exception.

The official instrumentors and ours run over the same recorded answers, one after the other.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import anthropic
import openai
import opentelemetry.semconv._incubating.attributes as incubating
import opentelemetry.semconv.attributes as stable
import opentelemetry.util.genai
import pytest
import test_recordings
import test_recordings_google
from needs import ROOT
from opentelemetry.instrumentation.genai.anthropic import AnthropicInstrumentor
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.instrumentation.google_genai import GoogleGenAiSdkInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics
from replay import Replay, recorded

from tollspan import instrumentation, semconv
from tollspan.instrumentation import _hosts
from tollspan.launcher.instruments import Instruments

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

PAGE = ROOT / "docs" / "conformance.md"


def rows(section: str) -> list[list[str]]:
    """Cells of the table under the heading `section`, without their backquotes."""
    text = PAGE.read_text().partition(f"## {section}\n")[2].partition("\n## ")[0]
    lines = [line.strip("| ") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip(" `") for cell in line.split(" | ")] for line in lines[2:]]


# --- names ----------------------------------------------------------------------------------------


@cache
def conventional() -> frozenset[str]:
    """Every attribute name in the installed packages of the conventions."""
    found: set[str] = set()
    for package in (incubating, stable):
        for each in pkgutil.iter_modules(package.__path__):
            held = vars(importlib.import_module(f"{package.__name__}.{each.name}"))
            found |= {value for key, value in held.items() if key.isupper() and type(value) is str}
    for file in Path(opentelemetry.util.genai.__path__[0]).rglob("*.py"):
        found |= set(re.findall(r'"(gen_ai\.[a-z_.]+)"', file.read_text()))
    return frozenset(found)


def test_a_name_outside_our_namespace_is_the_conventions_or_listed() -> None:
    strange = {
        name
        for name in semconv.ATTRIBUTES
        if not name.startswith("tollspan.") and name not in conventional()
    }

    assert strange == {row[0] for row in rows("Names that no convention has yet")}


def test_operations_and_providers_are_the_conventions_or_listed() -> None:
    listed = {row[0] for row in rows("Operations and providers outside the conventions' lists")}
    known = {
        each.value
        for values in (
            gen_ai_attributes.GenAiOperationNameValues,
            gen_ai_attributes.GenAiProviderNameValues,
        )
        for each in values
    }

    assert {*operations(), *provider_names()} - known == listed


def operations() -> Iterator[str]:
    for sdk in instrumentation.PROVIDERS.values():
        declared = sdk.provider()
        yield from (surface.operation for surface in declared.paths.values())
        yield from (surface.operation for _, surface in declared.rewritten)
        yield from (surface.operation for _, surface in declared.fetched)
        yield from (each.surface.operation for each in declared.patches if each.surface is not None)


def provider_names() -> Iterator[str]:
    yield from _hosts._NAMES.values()
    yield from (name for _, name in _hosts._PATTERNS)
    yield from (sdk.provider().name for sdk in instrumentation.PROVIDERS.values())


# --- metrics --------------------------------------------------------------------------------------


class Described(NamedTuple):
    name: str
    unit: str


def test_metrics_are_the_conventions() -> None:
    """Of the conventions' metrics ours have the names and units, and no name of theirs is invented."""
    theirs = {
        Described(made.name, made.unit)
        for made in _recorded(_theirs)
        if made.name.startswith("gen_ai.client.")
    }
    ours = {
        Described(made.name, made.unit)
        for made in _recorded(_ours)
        if not made.name.startswith("tollspan.")
    }

    assert ours
    assert ours <= theirs


def _theirs(provider: MeterProvider) -> None:
    for name, create in vars(gen_ai_metrics).items():
        if name.startswith("create_"):
            create(provider.get_meter("test")).record(1)


def _ours(provider: MeterProvider) -> None:
    made = Instruments(provider)
    for instrument in (made.duration, made.tokens, made.first_chunk):
        instrument.record(1)


def _recorded(make: Callable[[MeterProvider], None]) -> list[Any]:
    """The metrics that come out when `make` has made and used its instruments."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    make(provider)
    found = reader.get_metrics_data()
    provider.shutdown()
    assert found is not None
    return [
        metric
        for resource in found.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ]


# --- values ---------------------------------------------------------------------------------------


def by_official(provider: TracerProvider) -> Callable[[], None]:
    made = [OpenAIInstrumentor(), AnthropicInstrumentor(), GoogleGenAiSdkInstrumentor()]
    for each in made:  # the last one says that google-genai 3 is too new for it, and works
        each.instrument(tracer_provider=provider, skip_dep_check=True)

    def undo() -> None:
        for each in made:
            each.uninstrument()

    return undo


def by_us(provider: TracerProvider) -> Callable[[], None]:
    instrumentation.instrument(provider, ["openai", "anthropic", "google_genai"])
    return instrumentation.uninstrument


MEASURED = frozenset({semconv.TIME_TO_FIRST_CHUNK, semconv.SERVER_PORT})
"""Not the same in two runs: only their types are compared."""

TYPES = {"string": str, "int": int, "double": float, "boolean": bool, "string[]": tuple}


def spans(case: Any, instrument: Callable[[TracerProvider], Callable[[], None]]) -> list[Any]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    undo = instrument(provider)
    exchanges = recorded(test_recordings._file(case))
    if case.call is generated:
        del exchanges[1:]
    try:
        with Replay(exchanges) as server:
            for exchange in exchanges:
                if exchange.status == 200:
                    case.call(server, dict(exchange.asked))
                else:
                    with pytest.raises((openai.APIStatusError, anthropic.APIStatusError)):
                        case.call(server, dict(exchange.asked))
    finally:
        undo()
        provider.shutdown()
    return [
        dict(span.attributes or {})
        for span in exporter.get_finished_spans()
        if semconv.OPERATION in (span.attributes or {})
    ]


def generated(server: Replay, asked: Any) -> Any:
    with test_recordings_google.client(server) as client:
        return client.models.generate_content(model="gemini-2.0-flash", contents="hello")


def streamed(server: Replay, asked: Any) -> Any:
    with test_recordings_google.client(server) as client:
        return list(client.models.generate_content_stream(model="gemini-2.5-flash", contents="hi"))


def embedded(server: Replay, asked: Any) -> Any:
    with test_recordings_google.client(server) as client:
        return client.models.embed_content(model="gemini-embedding-001", contents="hello")


CASES = [
    # The official package does not watch images.
    *(case for case in test_recordings.CASES if not case.file.startswith("14-")),
    # It makes one span of all the answers that functions are called for: here is the first one.
    test_recordings.Case("24-gemini-automatic-tools-2-requests", generated),
    test_recordings.Case("25-gemini-thinking-stream", streamed),
    test_recordings.Case("26-gemini-embeddings-async", embedded),
]


def allowed() -> dict[str, set[tuple[str, str]]]:
    """Attribute to the pairs of values, theirs and ours, that the page admits."""
    found: dict[str, set[tuple[str, str]]] = {}
    for name, _, theirs, ours, _ in rows("Values"):
        pairs = zip(re.findall(r"[\w.]+", theirs), re.findall(r"[\w.]+", ours), strict=True)
        found.setdefault(name, set()).update(pairs)
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.file)
def test_what_both_emit_is_equal_or_listed(case: Any) -> None:
    theirs, ours = spans(case, by_official), spans(case, by_us)

    assert len(theirs) == len(ours) > 0
    for official, own in zip(theirs, ours, strict=True):
        both = official.keys() & own.keys()
        assert {semconv.OPERATION, semconv.PROVIDER, semconv.REQUEST_MODEL} <= both
        assert {name for name in both if type(own[name]) is not type(official[name])} == set()
        differ = {name for name in both - MEASURED if own[name] != official[name]}
        unlisted = {
            name: (official[name], own[name])
            for name in differ
            if (_told(official[name]), _told(own[name])) not in allowed().get(name, set())
            and not _same_error(name, official[name], own[name])
        }
        assert unlisted == {}
        for name, value in own.items():
            if (declared := semconv.ATTRIBUTES.get(name)) is not None:
                assert type(value) is TYPES[declared.type], name


def _told(value: Any) -> str:
    return value[0] if isinstance(value, tuple) and len(value) == 1 else str(value)


def _same_error(name: str, theirs: str, ours: str) -> bool:
    return name == semconv.ERROR_TYPE and name in allowed() and theirs.rpartition(".")[2] == ours
