"""Who may talk to the servers, and what every answer carries.

A page of somebody else can make a browser ask 127.0.0.1 under its own name (DNS rebinding), so the
`Host` must be ours; off loopback a bearer token is asked for as well. What a browser fetches for a page
of somebody else is refused, too: that page could not read the answer, but make us work for it.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Collection, Iterable
from ipaddress import ip_address
from urllib.parse import parse_qs, urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Gate", "is_loopback"]

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
COOKIE = "tollspan_token"
HEADERS = (
    (
        b"content-security-policy",
        (
            b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
            b"img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine alone."""
    if host in LOOPBACK:
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class Gate:
    """ASGI middleware in front of an application.

    `hosts`: names beside loopback under which we are asked. `open_paths` need no token: files that
    hold no data.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str = "",
        hosts: Collection[str] = (),
        open_paths: Collection[str] = (),
        asks_host: bool = True,
    ) -> None:
        self._app = app
        self._token = token
        # Browsers show a cookie to every port of a host: it opens our pages, and is not the token.
        self._session = hmac.digest(token.encode(), b"tollspan page", "sha256").hex()
        self._hosts = LOOPBACK | set(hosts)
        self._open_paths = open_paths
        # Programs reach a receiver under names that we cannot know (a container's name for its
        # host). They send no Origin; a browser that posts always does.
        self._asks_host = asks_host and not token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await _refuse(send, *refusal)
            return

        if self._shown_in_query(scope):
            await self._let_in(send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        await self._app(scope, receive, sending)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        if _header(scope["headers"], b"transfer-encoding") and _header(
            scope["headers"], b"content-length"
        ):
            # A proxy in front may have gone by the other one, and taken the next request for its body:
            # https://www.rfc-editor.org/rfc/rfc9112#section-6.1
            return 400, "the request states two lengths"
        host = _header(scope["headers"], b"host")
        if self._asks_host and not self._ours(_name(f"//{host}")):
            return 403, "this host name is not ours; ask for 127.0.0.1 or localhost"
        origin = _header(scope["headers"], b"origin")
        same = origin.lower().split("://", 1)[-1] == host.lower()
        if origin and not (same and (self._token or self._ours(_name(origin)))):
            return 403, "pages of other sites may not ask"
        # Only browsers say it: https://www.w3.org/TR/fetch-metadata/
        site = _header(scope["headers"], b"sec-fetch-site")
        if site in ("cross-site", "same-site") and not _is_opened(scope):
            return 403, "pages of other sites may not ask"
        if self._token and scope["path"] not in self._open_paths:
            shown = _header(scope["headers"], b"authorization").removeprefix("Bearer ")
            if not (self._is_token(shown) or self._is_session(_cookie(scope["headers"]))):
                return 401, "send the value of TOLLSPAN_TOKEN as a bearer token"
        return None

    def _is_token(self, shown: str) -> bool:
        return hmac.compare_digest(shown.encode("utf-8", "replace"), self._token.encode())

    def _is_session(self, shown: str) -> bool:
        return hmac.compare_digest(shown.encode("utf-8", "replace"), self._session.encode())

    def _shown_in_query(self, scope: Scope) -> bool:
        """`/?token=…`, typed by a person: a browser cannot add the header by itself."""
        if not self._token or scope["path"] != "/" or scope["method"] != "GET":
            return False
        asked = parse_qs(scope["query_string"].decode("latin-1"))
        return self._is_token(asked.get("token", [""])[0])

    async def _let_in(self, send: Send) -> None:
        cookie = f"{COOKIE}={self._session}; Path=/; HttpOnly; SameSite=Strict"
        headers = [(b"location", b"/"), (b"set-cookie", cookie.encode()), *HEADERS]
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    def _ours(self, name: str) -> bool:
        return name in self._hosts or is_loopback(name)


def _is_opened(scope: Scope) -> bool:
    """Whether a person follows a link to us, and nothing is changed by that."""
    headers = scope["headers"]
    return (
        scope["method"] == "GET"
        and _header(headers, b"sec-fetch-mode") == "navigate"
        and _header(headers, b"sec-fetch-dest") == "document"
    )


def _name(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def _cookie(headers: Iterable[tuple[bytes, bytes]]) -> str:
    for pair in _header(headers, b"cookie").split(";"):
        name, _, value = pair.strip().partition("=")
        if name == COOKIE:
            return value
    return ""


def _header(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> str:
    return next((value.decode("latin-1") for name, value in headers if name == wanted), "")


async def _refuse(send: Send, status: int, sentence: str) -> None:
    headers = [(b"content-type", b"application/json"), *HEADERS]
    if status == 400:
        headers.append((b"connection", b"close"))
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"error": sentence}).encode()})
