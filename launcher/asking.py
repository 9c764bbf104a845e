"""Asking the running `tollspan up`: the ledger belongs to its process, so commands ask over HTTP."""

from __future__ import annotations

import argparse
import http.client
import json
import re
import urllib.error
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from tollspan.config import settings

__all__ = ["NotAnswered", "Server", "add_filters", "add_server", "filters", "window"]

TIMEOUT_S = 30.0
FILE_TIMEOUT_S = 600.0
WINDOW = re.compile(r"([1-9][0-9]{0,5})([smhdw])")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
FILTERS = (
    "endpoint",
    "tenant",
    "model",
    "route",
    "provider",
    "status",
    "prompt_version",
    "user",
    "service",
    "environment",
)
REAL = (("data_mode", "real"), ("data_mode", "-"))
"""Calls whose money is real, and those of which nobody says that it is not."""

MODES = ("real", "test", "replay", "shadow", "all")
Query = list[tuple[str, str]]


class NotAnswered(RuntimeError):
    """The server gave no answer, or refused; the message is a sentence that says what to do."""


class Server:
    """The API of `tollspan up` at `url`, or where the settings have it."""

    def __init__(self, url: str = "") -> None:
        import urllib.request  # here, because every command declares these options and few ask

        found = settings()
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(found.host, found.host)
        host = f"[{host}]" if ":" in host else host
        self.url = (url or f"http://{host}:{found.ui_port}").rstrip("/")
        if urlsplit(self.url).scheme not in ("http", "https"):
            raise NotAnswered(f"--url {self.url!r} is no address: write http://127.0.0.1:4319")
        self._headers = {"accept": "application/json"}
        if found.token:
            self._headers["authorization"] = f"Bearer {found.token}"
        # The server stands on this machine or was named on purpose: no proxy between.
        self._request = urllib.request.Request
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(self, path: str, query: Iterable[tuple[str, str]] = ()) -> Any:
        """Parsed JSON of `GET path?query`.

        Raises:
            NotAnswered: nothing or somebody else is there, or it refuses.
        """
        asked = urlencode(list(query), errors="replace")
        return self._asked(f"{path}{'?' if asked else ''}{asked}", None, TIMEOUT_S)

    def post(self, path: str, body: Any, *, timeout_s: float = TIMEOUT_S) -> Any:
        """Parsed JSON of `POST path` with `body` as JSON.

        Raises:
            NotAnswered: as `get`.
        """
        return self._asked(path, json.dumps(body).encode(), timeout_s)

    def send(
        self, path: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float = TIMEOUT_S
    ) -> tuple[int, Any]:
        """Status and parsed JSON of `POST path`, whatever the status is but 401.

        Raises:
            NotAnswered: nothing or somebody else is there, or the token is missing.
        """
        asked = {**self._headers, **headers}
        request = urllib.request.Request(f"{self.url}{path}", body, headers=asked)
        try:
            with self._opener.open(request, timeout=timeout_s) as answer:
                return answer.status, self._read(answer)
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 401:
                    raise NotAnswered(self._refusal(error)) from None
                return error.code, self._read(error)
        except OSError as error:
            raise NotAnswered(self._silent()) from error

    def _silent(self) -> str:
        return f"nothing answers at {self.url}: start `tollspan up`, or say where it is with --url"

    def read(
        self, path: str, query: Iterable[tuple[str, str]] = ()
    ) -> tuple[Mapping[str, str], Iterator[bytes]]:
        """Headers of `GET path?query`, their names in small letters, and its bytes as they come.

        Raises:
            NotAnswered: as `get`; while the bytes are read, the answer broke off.
        """
        request = self._request(f"{self.url}{path}?{urlencode(list(query), errors='replace')}")
        for name, value in self._headers.items():
            request.add_header(name, value)
        try:
            answer = self._opener.open(request, timeout=FILE_TIMEOUT_S)
        except urllib.error.HTTPError as error:
            with error:
                raise NotAnswered(self._refusal(error)) from None
        except OSError as error:
            raise NotAnswered(self._silent()) from error
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return headers, self._pieces(answer)

    def _pieces(self, answer: Any) -> Iterator[bytes]:
        try:
            with answer:
                while piece := answer.read(1 << 18):
                    yield piece
                if answer.length:  # read(n) takes an early end for the end
                    raise http.client.IncompleteRead(b"", answer.length)
        except (OSError, http.client.HTTPException) as error:
            raise NotAnswered(
                f"{self.url} broke off in the middle of its answer: ask again, see what it says there"
            ) from error

    def _asked(self, path: str, body: bytes | None, timeout_s: float) -> Any:
        request = urllib.request.Request(f"{self.url}{path}", body, headers=self._headers)
        try:
            with self._opener.open(request, timeout=timeout_s) as answer:
                return self._read(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise NotAnswered(self._refusal(error)) from None
        except OSError as error:
            raise NotAnswered(self._silent()) from error

    def _read(self, answer: Any) -> Any:
        try:
            return json.load(answer)
        except ValueError:
            raise NotAnswered(
                f"what answers at {self.url} is not `tollspan up`: say where it is with --url"
            ) from None

    def _refusal(self, error: urllib.error.HTTPError) -> str:
        if error.code == 401:
            return f"{self.url} asks for its token: set TOLLSPAN_TOKEN to the same value as there"
        said = self._read(error)
        sentence = said.get("error") if isinstance(said, dict) else None
        return f"{self.url} refuses: {sentence or error.code}"


def add_server(parser: argparse.ArgumentParser) -> None:
    """Declare where the server is."""
    parser.add_argument(
        "--url",
        default="",
        help="of the page of `tollspan up` (http://TOLLSPAN_HOST:TOLLSPAN_UI_PORT)",
    )


def add_filters(parser: argparse.ArgumentParser) -> None:
    """Declare the filters that the page has; several values of one mean any of them."""
    for name in FILTERS:
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            action="append",
            default=[],
            metavar="VALUE",
            help="only these; `-` is not known" if name == FILTERS[0] else argparse.SUPPRESS,
        )
    parser.add_argument(
        "--tag", action="append", default=[], metavar="KEY=VALUE", help="only calls with this tag"
    )
    parser.add_argument(
        "--data-mode",
        choices=MODES,
        default="",
        help="real (default where there are real calls), test, replay, shadow or all",
    )
    parser.add_argument("--unpriced", action="store_true", help="only calls without a price")
    parser.add_argument(
        "-q", "--search", default="", metavar="TEXT", help="only calls that name it"
    )
    parser.epilog = "filters: " + ", ".join(f"--{name.replace('_', '-')}" for name in FILTERS)


def filters(options: argparse.Namespace) -> Query:
    """The chosen filters as the API wants them, the data mode left out.

    Raises:
        NotAnswered: a tag that is no pair.
    """
    asked: Query = [(name, value) for name in FILTERS for value in getattr(options, name)]
    for pair in options.tag:
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise NotAnswered(f"--tag {pair!r} is no pair: write --tag team=growth")
        asked.append((f"tag.{key}", value))
    if options.unpriced:
        asked.append(("unpriced", "1"))
    if options.search:
        asked.append(("q", options.search))
    return asked


def window(text: str, now: datetime | None = None) -> Query:
    """`15m`, `24h`, `7d` or `all` as the filter for its beginning.

    Raises:
        NotAnswered: it is none.
    """
    if text == "all":
        return []
    found = WINDOW.fullmatch(text)
    if found is None:
        raise NotAnswered(f"--window {text!r} is no length of time: write 15m, 24h, 7d or all")
    length = timedelta(**{UNITS[found[2]]: int(found[1])})
    try:
        begin = (now or datetime.now(UTC)) - length
    except OverflowError:
        return []
    return [("since", begin.isoformat(timespec="milliseconds").replace("+00:00", "Z"))]
