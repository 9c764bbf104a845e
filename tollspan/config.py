"""Every setting of tollspan, once: name, environment variable, type, default, meaning.

The only module that reads the environment. Standard `OTEL_*` variables are read by the
OpenTelemetry SDK itself and win where one exists; what stands here is ours.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import unquote

__all__ = [
    "ConfigError",
    "OtlpExporter",
    "Settings",
    "environment",
    "mistral_telemetry",
    "otlp_exporter",
    "plain_terminal",
    "problems",
    "reload",
    "settings",
    "state_home",
]

_logger = logging.getLogger("tollspan")


class ConfigError(ValueError):
    """A setting that cannot be used. The message says which, what is wrong and what to write."""


def _setting(env: str, default: Any, doc: str, *, secret: bool = False, pairs: bool = False) -> Any:
    return field(
        default=default, repr=not secret, metadata={"env": env, "doc": doc, "pairs": pairs}
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment asks for. Fields carry their variable and their meaning in `metadata`."""

    disabled: bool = _setting("TOLLSPAN_DISABLED", False, "Patch nothing and add no processor.")
    endpoint: str = _setting("TOLLSPAN_ENDPOINT", "", "Endpoint tag of calls that no block tags.")
    prompt: str = _setting("TOLLSPAN_PROMPT", "", "Prompt name of calls that no block tags.")
    prompt_version: str = _setting("TOLLSPAN_PROMPT_VERSION", "", "Prompt version, likewise.")
    tenant: str = _setting("TOLLSPAN_TENANT", "", "Tenant of calls that no block tags.")
    user: str = _setting("TOLLSPAN_USER", "", "User of calls that no block tags.")
    session: str = _setting("TOLLSPAN_SESSION", "", "Session of calls that no block tags.")
    data_mode: str = _setting(
        "TOLLSPAN_DATA_MODE", "real", "What the calls are: `real`, `test`, `replay` or `shadow`."
    )
    tags: tuple[tuple[str, str], ...] = _setting(
        "TOLLSPAN_TAGS", (), "Tags of every call, as `team=growth,app=web`.", pairs=True
    )
    hash_key: str = _setting(
        "TOLLSPAN_HASH_KEY",
        "",
        "Secret key: when set, tenant, user and session ids leave the process as HMAC-SHA256, "
        "and calls carry a fingerprint of the provider API key.",
        secret=True,
    )
    propagate_to: tuple[str, ...] = _setting(
        "TOLLSPAN_PROPAGATE_TO",
        ("loopback", "private"),
        "Hosts that receive trace context and attribution: names, `*.suffix`, addresses, networks "
        "such as `10.0.0.0/8`, and the words `loopback` and `private`. Nothing else receives any.",
    )
    join_callers: bool = _setting(
        "TOLLSPAN_JOIN_CALLERS",
        True,
        "Calls made for a request that came out of an instrumented caller's call restate that call, "
        "which owns the money. Switch off in a gateway that keeps books of its own.",
    )
    bridges: tuple[str, ...] = _setting(
        "TOLLSPAN_BRIDGES",
        (),
        "Gateways that are asked to join the trace or to say more, with something added to requests "
        "that go to them: `cloudflare`, `foundry`, `litellm`, `openrouter`, `portkey`, `vsr`. "
        "What each sends: docs/bridges.md.",
    )
    response_headers: tuple[str, ...] = _setting(
        "TOLLSPAN_RESPONSE_HEADERS", (), "More response headers to keep, beside the allow-list."
    )
    direct_hosts: tuple[str, ...] = _setting(
        "TOLLSPAN_DIRECT_HOSTS",
        ("loopback",),
        "Hosts that serve models themselves: no unknown gateway is inferred there. Names, "
        "`*.suffix`, addresses, networks, `loopback` and `private`.",
    )
    otoroshi_prefix: str = _setting(
        "TOLLSPAN_OTOROSHI_PREFIX",
        "x-otoroshi-llm-",
        "How the headers of an Otoroshi gateway's LLM extension begin.",
    )
    slow_s: int = _setting(
        "TOLLSPAN_SLOW_S",
        30,
        "Seconds after which a call that ended well counts as slow, and somebody is to blame; "
        "0 is never.",
    )
    stream_usage: tuple[str, ...] = _setting(
        "TOLLSPAN_STREAM_USAGE",
        (),
        "Whose chat streams are asked for their usage (`stream_options.include_usage`; the caller "
        "does not see the chunk that this adds): `1` for every provider that documents it, and "
        "names of more hosts.",
    )
    estimate_usage: bool = _setting(
        "TOLLSPAN_ESTIMATE_USAGE",
        False,
        "Estimate the tokens of chat streams that state no usage, by their length in bytes; such "
        "calls are graded `estimated`.",
    )
    bedrock_models: tuple[tuple[str, str], ...] = _setting(
        "TOLLSPAN_BEDROCK_MODELS",
        (),
        "Models behind ids of your own on Bedrock (application inference profiles, provisioned "
        "throughput, imported models), as `profile-id=anthropic.claude-sonnet-4-5-20250929-v1:0`; "
        "ARNs do as well.",
        pairs=True,
    )
    prices: str = _setting(
        "TOLLSPAN_PRICES", "", "Path of a price file (TOML or JSON) that goes before the book."
    )
    metrics: bool = _setting("TOLLSPAN_METRICS", True, "Record metrics beside the spans.")
    metric_tenants: tuple[str, ...] = _setting(
        "TOLLSPAN_METRIC_TENANTS", (), "Tenants that metrics name; all others count as `other`."
    )
    doctor: str = _setting(
        "TOLLSPAN_DOCTOR",
        "",
        "File to which a process adds its doctor report at exit, one line of JSON; `-` prints the "
        "table on standard error.",
    )
    raise_faults: bool = _setting(
        "TOLLSPAN_RAISE", False, "Raise tollspan's own faults instead of swallowing them (tests)."
    )
    host: str = _setting(
        "TOLLSPAN_HOST", "127.0.0.1", "Address that servers bind; off loopback a token is needed."
    )
    ui_port: int = _setting("TOLLSPAN_UI_PORT", 4319, "Port of the local page and its API.")
    grpc_port: int = _setting("TOLLSPAN_GRPC_PORT", 4317, "Port of OTLP over gRPC.")
    http_port: int = _setting("TOLLSPAN_HTTP_PORT", 4318, "Port of OTLP over HTTP.")
    token: str = _setting(
        "TOLLSPAN_TOKEN", "", "Bearer token that servers ask for off loopback.", secret=True
    )
    data_dir: str = _setting(
        "TOLLSPAN_DATA_DIR", "", "Folder of the local ledger; default: a folder in the state home."
    )
    budgets: str = _setting(
        "TOLLSPAN_BUDGETS", "", "Path of a TOML file with the budgets of the local ledger."
    )
    keep_spans_days: int = _setting(
        "TOLLSPAN_KEEP_SPANS_DAYS",
        0,
        "Days after which the local ledger forgets spans; 0 is never, here and for the next two.",
    )
    keep_calls_days: int = _setting(
        "TOLLSPAN_KEEP_CALLS_DAYS", 0, "Days after which it forgets calls and their hops."
    )
    keep_rollups_days: int = _setting(
        "TOLLSPAN_KEEP_ROLLUPS_DAYS", 0, "Days after which it forgets sums of calls by time."
    )
    forward_to: str = _setting(
        "TOLLSPAN_FORWARD_TO",
        "",
        "Where `tollspan stage` sends on: `grpc://host:4317` or `http://host:4318` (with `s` for "
        "TLS). Headers, certificates and compression as in the standard `OTEL_EXPORTER_OTLP_*`.",
    )
    forward_timeout_s: int = _setting(
        "TOLLSPAN_FORWARD_TIMEOUT_S", 10, "Seconds that the stage waits for an answer there."
    )
    admin_port: int = _setting(
        "TOLLSPAN_ADMIN_PORT", 4320, "Port of the stage's `/metrics`, `/healthz` and `/readyz`."
    )
    stage_name: str = _setting(
        "TOLLSPAN_STAGE_NAME", "", "What the stage is called in its records; default: host name."
    )
    window_s: int = _setting(
        "TOLLSPAN_WINDOW_S",
        60,
        "Seconds that the stage holds a trace, from its first span; spans that come later are late.",
    )
    stage_memory_mb: int = _setting(
        "TOLLSPAN_STAGE_MEMORY_MB", 512, "Megabytes that the stage holds of traces, at most."
    )
    stage_inflight_mb: int = _setting(
        "TOLLSPAN_STAGE_INFLIGHT_MB",
        256,
        "Megabytes of requests that the stage has taken and not answered, at most; then it refuses.",
    )
    trace_spans: int = _setting(
        "TOLLSPAN_TRACE_SPANS",
        10_000,
        "Spans of one trace that the stage holds; further ones are told without the others.",
    )
    clickhouse_port: int = _setting(
        "TOLLSPAN_CLICKHOUSE_PORT",
        0,
        "Port on loopback where `tollspan up` speaks ClickHouse's HTTP, to read only; 0 is none.",
    )
    clickhouse_url: str = _setting(
        "TOLLSPAN_CLICKHOUSE_URL",
        "",
        "HTTP interface of the ledger's ClickHouse, as `http://clickhouse:8123/tollspan`: the stage "
        "asks it for traces that it no longer holds, and mends traces that two stages told.",
    )
    clickhouse_user: str = _setting("TOLLSPAN_CLICKHOUSE_USER", "", "Who asks; reading is enough.")
    clickhouse_password: str = _setting(
        "TOLLSPAN_CLICKHOUSE_PASSWORD", "", "With which password.", secret=True
    )
    mend_every_s: int = _setting(
        "TOLLSPAN_MEND_EVERY_S",
        60,
        "Seconds between two mends of the stage, where ClickHouse is known; 0 is never. Of several "
        "stages one is enough.",
    )
    mend_minutes: int = _setting(
        "TOLLSPAN_MEND_MINUTES", 30, "How far back a mend looks, in minutes."
    )


def environment() -> Mapping[str, str]:
    """A copy of the process environment, for starting child processes."""
    return dict(os.environ)


def mistral_telemetry() -> str:
    """The mistralai SDK's own switch, which it reads with the first request of a client."""
    return os.environ.get("MISTRAL_SDK_TELEMETRY", "")


@dataclass(frozen=True, slots=True)
class OtlpExporter:
    """What the standard `OTEL_EXPORTER_OTLP_*` variables say to whoever exports without the SDK.

    https://opentelemetry.io/docs/specs/otel/protocol/exporter/. Paths are of PEM files.
    """

    protocol: str = ""
    compression: str = ""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    certificate: str = ""
    client_certificate: str = ""
    client_key: str = ""


def otlp_exporter() -> OtlpExporter:
    """The standard variables of this process.

    Raises:
        ConfigError: the headers are not `name=value,name=value`.
    """
    found = {
        name: os.environ.get(f"OTEL_EXPORTER_OTLP_{name.upper()}", "").strip()
        for name in ("protocol", "compression", "certificate", "client_certificate", "client_key")
    }
    raw = os.environ.get("OTEL_EXPORTER_OTLP_HEADERS", "")
    parts = tuple(unquote(part.strip()) for part in raw.split(",") if part.strip())
    headers = _pairs("OTEL_EXPORTER_OTLP_HEADERS", parts)
    return OtlpExporter(**found, headers=tuple((name.lower(), each) for name, each in headers))


def plain_terminal() -> bool:
    """Whether colours are not wanted: https://no-color.org, or a terminal that knows none."""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


def state_home() -> Path:
    """Where the local ledger lives unless `TOLLSPAN_DATA_DIR` says otherwise."""
    base = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local/state")
    return Path(base) / "tollspan"


KINDS = {
    "_PORT": "port",
    "_S": "number of seconds",
    "_MB": "number of megabytes",
    "_MINUTES": "number of minutes",
    "_DAYS": "number of days",
}
"""What a number is, by the end of its variable."""

_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off", ""}


def _parsed(variable: str, raw: str, default: Any, pairs: bool) -> Any:
    if isinstance(default, bool):
        if raw.lower() in _TRUE:
            return True
        if raw.lower() in _FALSE:
            return False
        raise ConfigError(f"{variable}={raw!r} is not a yes or no: write true or false")
    if isinstance(default, int):
        if raw.isascii() and raw.isdigit() and int(raw) < 65536:
            return int(raw)
        kind = next((kind for end, kind in KINDS.items() if variable.endswith(end)), "count")
        raise ConfigError(f"{variable}={raw!r} is not a {kind}: write a number from 0 to 65535")
    if isinstance(default, tuple):
        parts = tuple(part.strip() for part in raw.split(",") if part.strip())
        if variable == "TOLLSPAN_BRIDGES" and (unknown := set(parts) - set(BRIDGES)):
            raise ConfigError(
                f"{variable}: {', '.join(sorted(unknown))} is unknown: write some of "
                + ", ".join(BRIDGES)
            )
        return _pairs(variable, parts) if pairs else parts
    if variable == "TOLLSPAN_DATA_MODE" and raw not in DATA_MODES:
        raise ConfigError(f"{variable}={raw!r} is unknown: write one of {', '.join(DATA_MODES)}")
    return raw


def _pairs(variable: str, parts: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    split = [tuple(half.strip() for half in part.split("=", 1)) for part in parts]
    if any(len(pair) != 2 or not pair[0] for pair in split):
        raise ConfigError(f"{variable} is not a list of pairs: write key=value,key=value")
    return tuple((pair[0], pair[1]) for pair in split)


DATA_MODES = ("real", "test", "replay", "shadow")
BRIDGES = ("cloudflare", "foundry", "litellm", "openrouter", "portkey", "vsr")


def problems(environ: Mapping[str, str]) -> list[str]:
    """One sentence for each variable of ours in `environ` that cannot be used."""
    return _load(environ)[1]


def _load(environ: Mapping[str, str]) -> tuple[Settings, list[str]]:
    found: dict[str, Any] = {}
    wrong: list[str] = []
    for each in fields(Settings):
        variable = each.metadata["env"]
        raw = environ.get(variable)
        if raw is None:
            continue
        try:
            found[each.name] = _parsed(variable, raw.strip(), each.default, each.metadata["pairs"])
        except ConfigError as error:
            wrong.append(str(error))
    return Settings(**found), wrong


_settings: Settings | None = None


def settings() -> Settings:
    """The settings of this process, read once.

    A variable that cannot be used is logged with a sentence and its default stands: an application
    never fails to start because of tollspan. Commands use `reload(strict=True)` instead.
    """
    return _settings if _settings is not None else reload()


def reload(environ: Mapping[str, str] | None = None, *, strict: bool = False) -> Settings:
    """Read the settings again, from `environ` or from the process environment.

    Raises:
        ConfigError: with `strict`, when a variable cannot be used.
    """
    global _settings
    _settings, wrong = _load(os.environ if environ is None else environ)
    if wrong and strict:
        raise ConfigError("; ".join(wrong))
    for sentence in wrong:
        _logger.warning("%s; the default stands", sentence)
    return _settings
