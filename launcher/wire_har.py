"""Captured exchanges as an HTTP archive, which browsers and proxies open.

http://www.softwareishard.com/blog/har-12-spec/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tollspan import __version__
from tollspan.wirefile import Exchange

__all__ = ["archive"]


def archive(exchanges: Sequence[Exchange]) -> dict[str, Any]:
    """HAR 1.2; times of chunks stand under `_chunks`, as the format lets anybody add."""
    return {
        "log": {
            "version": "1.2",
            "creator": {"name": "tollspan", "version": __version__},
            "entries": [_entry(each) for each in exchanges],
        }
    }


def _entry(exchange: Exchange) -> dict[str, Any]:
    request, response, end = exchange.request, exchange.response or {}, exchange.end
    whole_ms = 1000 * float(end.get("offset_s") or 0.0)
    wait_ms = 1000 * float(response.get("offset_s") or end.get("offset_s") or 0.0)
    url = str(request.get("url", ""))
    return {
        "startedDateTime": exchange.head.get("time"),
        "time": whole_ms,
        "request": {
            "method": request.get("method"),
            "url": url,
            "httpVersion": "HTTP/1.1",
            "cookies": [],
            "headers": _pairs(request.get("headers")),
            "queryString": _pairs(parse_qsl(urlsplit(url).query, keep_blank_values=True)),
            "postData": {
                "mimeType": exchange.header("content-type", of_request=True),
                "text": request.get("body") or "",
            },
            "headersSize": -1,
            "bodySize": request.get("size") or 0,
        },
        "response": {
            "status": response.get("status") or 0,
            "statusText": "",
            "httpVersion": "HTTP/1.1",
            "cookies": [],
            "headers": _pairs(response.get("headers")),
            "content": {
                "size": response.get("size") or 0,
                "mimeType": exchange.header("content-type"),
                "text": exchange.body,
            },
            "redirectURL": "",
            "headersSize": -1,
            "bodySize": response.get("size") or 0,
            "_error": end.get("error"),
        },
        "cache": {},
        "timings": {"send": 0, "wait": wait_ms, "receive": max(0.0, whole_ms - wait_ms)},
        "_id": exchange.id,
        "_trace_id": exchange.head.get("trace_id"),
        "_how": end.get("how"),
        "_chunks": exchange.chunks,
    }


def _pairs(pairs: Any) -> list[dict[str, str]]:
    return [{"name": str(name), "value": str(value)} for name, value in pairs or []]
