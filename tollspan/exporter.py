"""Where OTLP goes on to, and how, as the standard variables say it."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["OtlpExporter"]


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
