"""Reads the settings of tollspan, which `settings` declares, and what else the environment says.

The only module that reads the environment. Standard `OTEL_*` variables are read by the
OpenTelemetry SDK itself and win where one exists; what stands here is ours.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from .settings import Settings

if TYPE_CHECKING:
    from .exporter import OtlpExporter

__all__ = [
    "ConfigError",
    "Settings",
    "environment",
    "misspelt",
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


def environment() -> Mapping[str, str]:
    """A copy of the process environment, for starting child processes."""
    return dict(os.environ)


def mistral_telemetry() -> str:
    """The mistralai SDK's own switch, which it reads with the first request of a client."""
    return os.environ.get("MISTRAL_SDK_TELEMETRY", "")


def otlp_exporter() -> OtlpExporter:
    """The standard variables of this process.

    Raises:
        ConfigError: the headers are not `name=value,name=value`.
    """
    from .exporter import OtlpExporter  # which applications do without

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
    "_KB": "number of kilobytes",
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


def misspelt(environ: Mapping[str, str] | None = None) -> list[str]:
    """One sentence for each variable that is nearly one of ours and none, so that nobody reads it.

    Variables of the collectors beside us begin as ours do; none is near enough to be taken for one.
    """
    from difflib import get_close_matches

    ours = {each.metadata["env"].removeprefix(PREFIX) for each in fields(Settings)}
    found = []
    for variable in sorted(os.environ if environ is None else environ):
        name = variable.removeprefix(PREFIX)
        if name != variable and name not in ours:
            for near in get_close_matches(name, sorted(ours), 1, NEAR):
                found.append(f"{variable} is no setting: did you mean {PREFIX}{near}?")
    return found


PREFIX, NEAR = "TOLLSPAN_", 0.88


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
