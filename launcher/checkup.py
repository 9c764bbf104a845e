"""What can be told about tollspan from outside a program: packages, variables, the collector."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, entry_points, version
from typing import Any

from tollspan import config, wirefile
from tollspan.instrumentation import PROVIDERS
from tollspan.limits import backends_file, budgets_file
from tollspan.processors import pricefile

from .check import BAD, OK, WARN, Check
from .receivers import receivers

__all__ = ["BAD", "OK", "WARN", "Check", "of_environment", "sampler", "versions"]

_PROBE_S = 2.0

_SDKS = {
    name: [each.partition(">=")[0].strip() for each in sdk.requires]
    for name, sdk in PROVIDERS.items()
}
"""SDK to the packages that it is installed by."""

_PACKAGES = (
    *(package for packages in _SDKS.values() for package in packages),
    "httpx",
    "httpx2",
    "genai-prices",
    "wrapt",
    "opentelemetry-api",
    "opentelemetry-sdk",
    "opentelemetry-instrumentation",
    "opentelemetry-distro",
    "opentelemetry-instrumentation-httpx",
)


def versions() -> dict[str, str]:
    """Installed versions of what tollspan works with."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def of_environment() -> Iterator[Check]:
    environ = config.environment()
    yield from settings(environ)
    yield from sdks()
    yield from switched_off(environ)
    yield from doubles(environ)
    yield sampler(environ.get("OTEL_TRACES_SAMPLER", ""), environ.get("OTEL_TRACES_SAMPLER_ARG"))
    yield from receivers(environ)
    yield from local_stack()


def settings(environ: Mapping[str, str]) -> Iterator[Check]:
    """Our own variables, and the files that they name."""
    wrong = config.problems(environ)
    known = {each.metadata["env"] for each in fields(config.Settings)}
    unknown = sorted(name for name in environ if name.startswith("TOLLSPAN_") and name not in known)
    for sentence in wrong:
        yield Check("settings", BAD, sentence)
    if unknown:
        yield Check("settings", WARN, f"nothing reads {', '.join(unknown)}: check the spelling")
    if config.settings().disabled:
        yield Check("settings", WARN, "TOLLSPAN_DISABLED is set: nothing is patched")
    if path := config.settings().prices:
        try:
            entries = len(pricefile.load(path).entries)
        except pricefile.PriceFileError as error:
            yield Check("prices", BAD, str(error))
        else:
            yield Check("prices", OK, f"{path}: {entries} entries go before the public book")
    yield from limits()
    yield from captures()
    if not wrong and not unknown:
        yield Check("settings", OK, "every TOLLSPAN_* variable can be used")


def limits() -> Iterator[Check]:
    """The files that say what calls may cost and which backends are watched: an application that
    cannot use one goes on without it."""
    if path := config.settings().budgets:
        try:
            names = [budget.name for budget in budgets_file.read(path) if budget.enabled]
        except ValueError as error:
            yield Check("budgets", BAD, f"{error} No call is held to it")
        else:
            yield Check("budgets", OK, f"{path}: {', '.join(names) or 'none is enabled'}")
    if path := config.settings().backends:
        try:
            backends_file.read(path)
        except backends_file.BackendFileError as error:
            yield Check("backends", BAD, f"{error} No backend is watched")
        else:
            yield Check("backends", OK, f"{path} can be used")


def captures() -> Iterator[Check]:
    """Whether HTTP exchanges are captured, which nobody should find out later."""
    place = wirefile.folder()
    if place is None:
        return
    from tollspan import redaction_rules  # its patterns take a while to compile

    try:
        redaction_rules.usual(config.settings().redact)
        if place.exists():
            wirefile.usable(place)
    except config.ConfigError as error:
        yield Check("wire capture", BAD, f"{error}.\nNothing is captured")
        return
    count = len(wirefile.listed(place))
    kept = f"{count} exchange{'s' * (count != 1)}"
    yield Check(
        "wire capture",
        WARN,
        f"is on: HTTP exchanges of LLM calls are written to {place}, secrets masked; {kept} there.\n"
        "Switch it off: unset TOLLSPAN_WIRE",
    )


def sdks() -> Iterator[Check]:
    """Which provider SDKs are here to be patched."""
    installed = versions()
    found = []
    for name, packages in _SDKS.items():
        here = [f"{each} {installed[each]}" for each in packages if each in installed]
        if not here:
            continue
        if (why := PROVIDERS[name].missing()) is not None:
            yield Check("sdks", WARN, f"{why}: its calls are not seen")
        else:
            found += here
    if found:
        yield Check("sdks", OK, f"will be patched when imported: {', '.join(found)}")
    else:
        yield Check("sdks", WARN, f"none of {', '.join(PROVIDERS)} is installed: nothing to patch")
    ours = {each.name for each in entry_points(group="opentelemetry_post_instrument")}
    if "tollspan" not in ours:
        yield Check(
            "entry points",
            BAD,
            "opentelemetry-instrument does not find tollspan here: install it in this interpreter",
        )


_CALLED_ELSEWHERE = {"google_generativeai": "google_genai"}
"""What OpenLLMetry calls an instrumentation of an SDK of ours."""


def _disabled(environ: Mapping[str, str]) -> set[str]:
    return {name.strip() for name in environ.get(_DISABLED, "").split(",")} - {""}


_DISABLED = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"


def switched_off(environ: Mapping[str, str]) -> Iterator[Check]:
    """Whether the variable that switches off other instrumentations does so with ours."""
    disabled = _disabled(environ)
    ours = sorted(name for name in disabled if name.startswith("tollspan_"))
    if "*" in disabled:
        ours = ["*"]
    if ours:
        yield Check(
            "sdks",
            WARN,
            f"{_DISABLED} has {', '.join(ours)}: under opentelemetry-instrument and `tollspan run`\n"
            f"tollspan patches {'no SDK' if '*' in ours else 'none of these'}: take that out, or call "
            "tollspan.instrument()",
        )


def doubles(environ: Mapping[str, str]) -> Iterator[Check]:
    """Other instrumentations of the same SDKs that `opentelemetry-instrument` would load."""
    disabled = _disabled(environ)
    clean = True
    for each in entry_points(group="opentelemetry_instrumentor"):
        sdk = each.name.removesuffix("_v2").replace("-", "_")
        sdk = _CALLED_ELSEWHERE.get(sdk, sdk)
        if sdk not in PROVIDERS or each.module.startswith("tollspan"):
            continue
        if each.name in disabled or "*" in disabled:
            continue
        clean = False
        package = each.dist.name if each.dist is not None else each.module
        yield Check(
            "doubles",
            WARN,
            f"{package} also makes a span of every {sdk} call under opentelemetry-instrument.\n"
            "tollspan counts the money once; whoever sums tokens over all spans does not.\n"
            f"Switch it off: OTEL_PYTHON_DISABLED_INSTRUMENTATIONS={each.name}",
        )
    if native_anthropic(environ):
        yield Check("anthropic", OK, "the SDK makes its own spans; tollspan adopts them")
    if clean:
        yield Check("doubles", OK, "no other instrumentation of these SDKs is installed")


def native_anthropic(environ: Mapping[str, str]) -> bool:
    """Whether the anthropic SDK traces itself: by default since 2.0, and in late 1.x."""
    switch = environ.get("ANTHROPIC_OPEN_TELEMETRY", "").strip().lower()
    if switch in ("false", "0", "no", "off"):
        return False
    try:
        major, minor = (int(part) for part in version("anthropic").split(".")[:2])
    except (PackageNotFoundError, ValueError):
        return False
    return (major, minor) >= (1, 17)


def sampler(name: str, argument: str | None = None) -> Check:
    """Whether the sampler `name` (variable's value or SDK description) drops spans."""
    if (root := re.match(r"ParentBased\{root:(.+?),\w+:", name)) is not None:
        # Its description names each of its samplers, one for callers that are not sampled.
        name = f"ParentBased {root[1]}"
    spelled = name.lower()
    if config.settings().every_call and ("ratio" in spelled or "off" in spelled):
        return Check("sampler", OK, f"{name}: TOLLSPAN_EVERY_CALL tells every call all the same")
    if "ratio" in spelled:
        shares = f" with {argument}" if argument else ""
        return Check(
            "sampler",
            WARN,
            f"{name}{shares} drops whole traces: money summed over spans is a share of the truth.\n"
            "Metrics count every call. Better: TOLLSPAN_EVERY_CALL=true, which tells calls of dropped "
            "traces\nby their own span; or always_on here, and sample in the collector.",
        )
    if "off" in spelled:
        return Check("sampler", WARN, f"{name}: no span is recorded; metrics count every call")
    return Check("sampler", OK, f"{name or 'default'}: every call is recorded")


def local_stack() -> Iterator[Check]:
    """What `tollspan up` on this machine has seen, if it runs."""
    status = _status()
    if status is None:
        return
    yield Check(
        "tollspan up",
        OK,
        f"runs, {status.get('calls', 0)} calls, {status.get('priced_calls', 0)} of them priced",
    )
    for model in status.get("unpriced_models") or ():
        yield Check(
            "unpriced",
            WARN,
            f"{model.get('provider')}/{model.get('model')}: no price for {model.get('calls')} of its calls.\n"
            "Add it to a price file and name that in TOLLSPAN_PRICES",
        )
    if status.get("spans_rejected"):
        yield Check("tollspan up", WARN, f"it rejected {status['spans_rejected']} spans")


def _status() -> Mapping[str, Any] | None:
    chosen = config.settings()
    connection = http.client.HTTPConnection("127.0.0.1", chosen.ui_port, timeout=_PROBE_S)
    headers = {"Authorization": f"Bearer {chosen.token}"} if chosen.token else {}
    try:
        connection.request("GET", "/api/status", headers=headers)
        answer = json.loads(connection.getresponse().read(1_000_000))
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return answer if isinstance(answer, dict) and "calls" in answer else None
