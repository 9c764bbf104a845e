"""Every setting of tollspan, once: name, environment variable, default, meaning. `config` reads them."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, field, fields
from typing import Any, Never

__all__ = ["Settings"]


def _setting(env: str, default: Any, doc: str, *, secret: bool = False, pairs: bool = False) -> Any:
    return field(
        default=default, repr=not secret, metadata={"env": env, "doc": doc, "pairs": pairs}
    )


@dataclass(init=False, repr=False, eq=False)
class Settings:
    """What the environment asks for. Fields carry their variable and their meaning in `metadata`.

    The methods that `dataclass` would write for so many fields take as long to compile as a tenth of
    `import tollspan.auto`: those that are wanted stand below.
    """

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
        "Estimate the tokens of chat requests, and of streams that state no usage, by their length "
        "in bytes; a call that is priced by that is graded `estimated`.",
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
    every_call: bool = _setting(
        "TOLLSPAN_EVERY_CALL",
        False,
        "Tell every call, also in traces that the sampler (`OTEL_TRACES_SAMPLER`) drops: by its own "
        "span alone, so that money and tokens stay whole.",
    )
    top_drivers: int = _setting(
        "TOLLSPAN_TOP_DRIVERS",
        3,
        "With TOLLSPAN_EVERY_CALL: how many of those who spend most (tenant, endpoint, model) are "
        "told whole, with attempts and hops, in every trace.",
    )
    metrics: bool = _setting("TOLLSPAN_METRICS", True, "Record metrics beside the spans.")
    metric_tenants: tuple[str, ...] = _setting(
        "TOLLSPAN_METRIC_TENANTS", (), "Tenants that metrics name; all others count as `other`."
    )
    wire: str = _setting(
        "TOLLSPAN_WIRE",
        "",
        "Folder to which the HTTP exchanges of LLM calls are captured, secrets masked; `1` is one in "
        "the state home. Off unless set. docs/operate/wire.md says what is kept.",
    )
    wire_exchange_kb: int = _setting(
        "TOLLSPAN_WIRE_EXCHANGE_KB",
        1024,
        "Kilobytes kept of one captured request, and of one answer; 0 is all.",
    )
    wire_mb: int = _setting(
        "TOLLSPAN_WIRE_MB",
        512,
        "Megabytes of captured exchanges; the oldest go first. 0 is no limit.",
    )
    wire_days: int = _setting(
        "TOLLSPAN_WIRE_DAYS", 7, "Days after which captured exchanges go; 0 is never."
    )
    redact: str = _setting(
        "TOLLSPAN_REDACT",
        "",
        "Path of a TOML file with more to mask in captured exchanges: docs/operate/privacy.md.",
    )
    print_calls: bool = _setting(
        "TOLLSPAN_PRINT",
        False,
        "Print a line for each call on standard error, with its cost, and the sum at exit.",
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
    api_per_minute: int = _setting(
        "TOLLSPAN_API_PER_MINUTE",
        1_200,
        "Requests a minute that one client may ask of `/v1`, what it posts not counted; 0 is no limit.",
    )
    data_dir: str = _setting(
        "TOLLSPAN_DATA_DIR", "", "Folder of the local ledger; default: a folder in the state home."
    )
    budgets: str = _setting(
        "TOLLSPAN_BUDGETS",
        "",
        "Path of a TOML file with budgets: `tollspan up` keeps them in its ledger, an application "
        "holds its calls to them.",
    )
    budgets_url: str = _setting(
        "TOLLSPAN_BUDGETS_URL",
        "",
        "Where an application asks what all machines have spent of its budgets, and which there are "
        "where it has no file: `http://127.0.0.1:4319` of `tollspan up`.",
    )
    budgets_every_s: int = _setting(
        "TOLLSPAN_BUDGETS_EVERY_S", 10, "Seconds between two such questions, on each machine."
    )
    most_attempts: int = _setting(
        "TOLLSPAN_MOST_ATTEMPTS",
        0,
        "Requests to providers that one call may cause, repeats of the SDK and those that gateways "
        "tell of together; the SDK's next repeat is refused. 0 is any number, here and for the next.",
    )
    most_retries_percent: int = _setting(
        "TOLLSPAN_MOST_RETRIES_PERCENT",
        0,
        "Repeats of an endpoint's calls within a minute, in percent of those calls, and ten in any "
        "case; further ones are refused.",
    )
    retries_warn: bool = _setting(
        "TOLLSPAN_RETRIES_WARN", False, "Only tell of repeats beyond these two, and refuse none."
    )
    backends: str = _setting(
        "TOLLSPAN_BACKENDS",
        "",
        "Path of a TOML file with the backends whose health is watched: `tollspan up` probes them, and "
        "applications know them by the names there.",
    )
    probe: bool = _setting(
        "TOLLSPAN_PROBE", False, "Probe those backends from the application, too."
    )
    health_url: str = _setting(
        "TOLLSPAN_HEALTH_URL",
        "",
        "Address of a `tollspan up` that probes them, as `http://127.0.0.1:4319`: applications open the "
        "circuits of what is down there. Asked in the background, with TOLLSPAN_TOKEN.",
    )
    health_webhook: str = _setting(
        "TOLLSPAN_HEALTH_WEBHOOK",
        "",
        "URL that is told, by a POST of JSON, when a backend goes down or comes back.",
        secret=True,
    )
    health_webhook_header: str = _setting(
        "TOLLSPAN_HEALTH_WEBHOOK_HEADER",
        "",
        "A header to send there, as `authorization: Bearer secret`.",
        secret=True,
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

    def __init__(self, **given: Any) -> None:
        """Each field as given by name, or with its default.

        Raises:
            TypeError: there is no field of that name.
        """
        if not _DEFAULTS.keys() >= given.keys():
            unknown = ", ".join(sorted(given.keys() - _DEFAULTS.keys()))
            raise TypeError(f"there is no setting {unknown}")
        self.__dict__.update(_DEFAULTS)
        self.__dict__.update(given)

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other) if isinstance(other, Settings) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(vars(self).values()))

    def __setattr__(self, name: str, value: object) -> Never:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> Never:
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __repr__(self) -> str:
        shown = (f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.repr)
        return f"Settings({', '.join(shown)})"


_DEFAULTS = {each.name: each.default for each in fields(Settings)}
