"""`POST /v1/ingest` of the local server: what every receiver of records takes, and lines of its own exports."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.routing import Route

from tollspan.collector import ingest_http
from tollspan.collector.ingest import MOST_RECORDS, Ingest, Read
from tollspan.collector.ingest_schema import operations

from . import ingest_usage

__all__ = ["OPERATIONS", "SOURCES", "routes"]

SOURCES: Mapping[str, Read] = {**ingest_http.SOURCES, "usage": ingest_usage.read}
OPERATIONS = operations(tuple(SOURCES), MOST_RECORDS)


def routes(ingest: Ingest) -> list[Route]:
    """A route for each of `SOURCES`."""
    return ingest_http.routes(ingest, SOURCES)
