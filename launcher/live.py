"""What has happened in this process: patches, processors, spans sent and lost, faults swallowed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

from opentelemetry import trace

from tollspan import config, guard
from tollspan.instrumentation import PROVIDERS
from tollspan.instrumentation._sdks import Sdk
from tollspan.processors import prices

from . import checkup, deliveries, exporters, installation, standin
from .checkup import BAD, OK, WARN, Check
from .layers import METHODS, layers, loaded, tool

__all__ = ["numbers", "of_process"]


def of_process() -> Iterator[Check]:
    yield from checkup.settings(config.environment())
    yield from _patches()
    yield from _provider()
    yield from _deliveries()
    yield from _captures()
    yield from _unpriced()
    yield from _faults()


def numbers() -> dict[str, Any]:
    """The counts behind the sentences. `deliveries` counts spans, `faults` and `unpriced` events."""
    stands = installation.current
    return {
        "pid": os.getpid(),
        "forked": stands is not None and stands.pid != os.getpid(),
        "calls": stands.counting.released if stands is not None and stands.counting else 0,
        "deliveries": [
            {
                "exporter": each.exporter,
                "endpoint": each.endpoint,
                "sent": each.sent,
                "refused": each.refused,
                "dropped": each.dropped,
                "waiting": each.waiting(),
                "last_error": each.last_error,
            }
            for each in deliveries.deliveries
        ],
        "faults": dict(guard.faults),
        "unpriced": [
            {"provider": provider, "model": model, "calls": count}
            for (provider, model), count in prices.unpriced.most_common()
        ],
    }


def _patches() -> Iterator[Check]:
    if installation.current is None:
        yield Check("patches", BAD, "tollspan.instrument() has not run in this process")
    for name, sdk in PROVIDERS.items():
        if sdk.package in sys.modules or not sys.modules.keys().isdisjoint(sdk.also):
            yield from _patched(name, sdk)


_NAMED = 4
"""Methods of an SDK that are listed; some have dozens."""


def _patched(sdk: str, known: Sdk) -> Iterator[Check]:
    """Who has wrapped the methods of an SDK that is imported: ours, and those that others like."""
    ours = [f"{each.module}:{each.name}" for each in known.provider().patches]
    tools: dict[str, set[str]] = {}
    imported = False
    for target in (*METHODS.get(sdk, ()), *ours):
        function = loaded(target)
        if function is None:
            continue
        imported = True
        for module in layers(function, known.package.partition(".")[0]):
            tools.setdefault(tool(module), set()).add(target.partition(":")[2])
    if not imported:
        return
    others = sorted(set(tools) - {"tollspan"})
    if "tollspan" not in tools:
        why = known.missing()
        yield Check(sdk, BAD, f"imported, but not patched by tollspan{f': {why}' if why else ''}")
        return
    if others:
        yield Check(
            sdk,
            WARN,
            f"patched by tollspan and also by {', '.join(others)}: two spans of every call.\n"
            "tollspan counts the money once; whoever sums tokens over all spans does not",
        )
        return
    names = sorted(tools["tollspan"])
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    yield Check(sdk, OK, f"patched by tollspan: {', '.join(names[:_NAMED])}{more}")


def _provider() -> Iterator[Check]:
    stands = installation.current
    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider):
        if stands is None or not stands.adopted:
            yield Check("provider", WARN, "no tracer provider is set: spans go nowhere")
            return
        provider = stands.adopted[-1]
    whose = type(provider).__module__.partition(".")[0]
    if stands is not None and provider is stands.stand_in:
        yield Check("provider", OK, "made by tollspan from the OTEL_* variables")
    elif stands is not None and provider in stands.adopted:
        yield Check("provider", OK, f"{whose}'s {type(provider).__name__}, adopted")
    else:
        yield Check(
            "provider",
            WARN,
            f"{whose}'s {type(provider).__name__} has no span processor of tollspan: its spans carry\n"
            "what tollspan's own calls cost, but spans of other instrumentations are not enriched",
        )
    # Nothing is made to be looked at: a process that ends could not start its threads any more.
    sdk: Any = provider
    if type(sdk) is standin.StandIn:
        sdk = sdk.made
    chosen = getattr(sdk, "sampler", None)
    if chosen is not None:
        yield checkup.sampler(chosen.get_description())


def _deliveries() -> Iterator[Check]:
    for each in deliveries.deliveries:
        name = f"{each.exporter} {each.endpoint}".strip()
        counts = f"{each.sent} spans sent, {each.waiting()} waiting"
        if each.refused:
            raised = f" (last: {each.last_error})" if each.last_error else ""
            counts += f", {each.refused} lost in failed exports{raised}"
        if each.dropped:
            counts += f", {each.dropped} dropped from a full queue"
        if not each.alive():
            yield Check(
                "exporter", BAD, f"{name}: its thread does not run in this process: {counts}"
            )
        elif each.refused or each.dropped:
            yield Check("exporter", BAD if not each.sent else WARN, f"{name}: {counts}")
        elif each.endpoint and not each.sent and not exporters.reachable(each.endpoint):
            yield Check("exporter", BAD, f"{name}: nothing listens there: {counts}")
        else:
            yield Check("exporter", OK, f"{name}: {counts}")
    stands = installation.current
    if stands is not None and stands.pid != os.getpid():
        yield Check("fork", OK, f"worker of process {stands.pid}; its exporters were started again")


def _captures() -> Iterator[Check]:
    """What became of captured exchanges, if any were."""
    loaded = sys.modules.get("tollspan.instrumentation._wire")
    writer = getattr(loaded, "writer", None)
    if writer is None:
        return
    counts = f"{writer.written} exchanges written, {writer.waiting()} waiting"
    if writer.failed:
        counts += f", {writer.failed} not ({writer.last_error or 'a fault of ours'})"
    if writer.dropped:
        counts += f", {writer.dropped} dropped from a full queue"
    state = WARN if writer.failed or writer.dropped else OK
    yield Check("wire capture", state, f"{writer.place}: {counts}")


def _unpriced() -> Iterator[Check]:
    for (provider, model), count in prices.unpriced.most_common(20):
        yield Check(
            "unpriced",
            WARN,
            f"{provider}/{model}: no price for {count} of its calls.\n"
            "Add it to a price file and name that in TOLLSPAN_PRICES",
        )
    if prices.problem:
        yield Check("prices", BAD, prices.problem)


def _faults() -> Iterator[Check]:
    for place, count in guard.faults.most_common(20):
        yield Check("faults", WARN, f"{count} × {place}: telemetry was lost, no call was harmed")
    if not guard.faults:
        yield Check("faults", OK, "none swallowed")
