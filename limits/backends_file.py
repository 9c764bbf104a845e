"""The file of `TOLLSPAN_BACKENDS`: which backends there are and how they are probed. TOML, read strictly.

[circuits]                     # optional: when a circuit opens, for how long; for all backends
failures = 5
failure_ratio = 0.5

[[backends]]
name = "openai"
url = "https://api.openai.com/v1"
provider = "openai"            # optional: as spans name it
checks = ["http"]              # default; also "tcp", "ping", or tables:
# checks = [{ kind = "http", path = "/models", method = "HEAD", expect = ["2xx", 401] }, "ping"]
interval_s = 30                # optional, with what it is where it is not said; likewise below
jitter = 0.1                   # part of the interval by which chance moves each probe
timeout_s = 5
up_after = 2                   # good probes in a row
down_after = 3                 # failed ones
ca_file = "/etc/ssl/own.pem"   # optional: who may sign its certificate
circuit = { slow_s = 20 }      # optional: goes before [circuits]
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

from .backends import KINDS, USUAL, Backend, Check
from .circuits import Policy

__all__ = ["BackendFile", "BackendFileError", "read"]

METHODS: Final = ("GET", "HEAD")
MOST_BACKENDS: Final = 200
CONTROL: Final = re.compile(r"[\x00-\x20\x7f]")


class BackendFileError(RuntimeError):
    """A file of backends that cannot be used. One sentence: file, entry, what is wrong, what to write."""


@dataclass(frozen=True, slots=True)
class BackendFile:
    """What a file says: its backends, and when circuits open of those that it does not name."""

    backends: tuple[Backend, ...] = ()
    policy: Policy = field(default_factory=Policy)


def read(path: str | Path) -> BackendFile:
    """The backends of a file.

    Raises:
        BackendFileError: it cannot be used.
    """
    try:
        found = tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise BackendFileError(
            f"The file of backends {path} cannot be read ({error.strerror}): "
            "correct TOLLSPAN_BACKENDS."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BackendFileError(
            f"The file of backends {path} is not TOML ({error}): correct it."
        ) from error
    entries, circuits = found.pop("backends", []), found.pop("circuits", {})
    if found or not isinstance(entries, list):
        stray = next(iter(found), "backends")
        raise BackendFileError(
            f"The file of backends {path} has {stray!r} at its top: write each backend as an entry "
            "that begins with [[backends]], and what holds for all circuits under [circuits]."
        )
    policy = _Part(f"[circuits] of the file of backends {path}", circuits).policy(Policy())
    backends: list[Backend] = []
    for number, entry in enumerate(entries, start=1):
        part = _Part(f"Entry {number} of the file of backends {path}", entry)
        backend = part.backend(policy)
        if len(backends) == MOST_BACKENDS:
            part.refuse("one backend too many", f"{MOST_BACKENDS} at most")
        for other in backends:
            if other.name == backend.name:
                part.refuse(f"the name {backend.name!r} a second time", "another name")
            if other.where == backend.where:
                part.refuse(
                    f"the same provider and address as {other.name!r}",
                    "another provider, or further checks of that one",
                )
        backends.append(backend)
    return BackendFile(tuple(backends), policy)


_BACKEND_KEYS: Final = (
    *("name", "url", "provider", "checks", "interval_s", "jitter", "timeout_s"),
    *("up_after", "down_after", "ca_file", "circuit"),
)
_CHECK_KEYS: Final = tuple(each.name for each in fields(Check))
_POLICY_KEYS: Final = tuple(each.name for each in fields(Policy))
_LEAST_0: Final = {"slow_s", "jitter"}
_RATIOS: Final = {"failure_ratio", "slow_ratio", "jitter"}


@dataclass(frozen=True, slots=True)
class _Part:
    """A table of the file, and how a fault in it is said."""

    where: str
    stated: Any

    def refuse(self, fault: str, instead: str) -> NoReturn:
        raise BackendFileError(f"{self.where} has {fault}: write {instead}.")

    def backend(self, usual: Policy) -> Backend:
        self._keys(_BACKEND_KEYS, 'name = "…" and url = "…" under [[backends]]')
        name = self._text("name")
        if not name or len(name) > 100 or not name.isprintable():
            self.refuse(
                "no name" if not name else f"name = {name!r}", 'name = "…", 100 letters at most'
            )
        numbers = {key: self._number(key, 0.1) for key in ("interval_s", "timeout_s")}
        counts = {key: self._count(key) for key in ("up_after", "down_after")}
        circuit = _Part(f"{self.where}, under circuit,", self.stated.get("circuit", {}))
        made = Backend(
            name,
            self._url(),
            provider=self._text("provider"),
            checks=self._checks(),
            jitter=self._number("jitter", 0.0, 0.5, 0.1),
            ca_file=self._ca_file(),
            policy=circuit.policy(usual),
        )
        stated = {key: value for key, value in {**numbers, **counts}.items() if value is not None}
        return replace(made, **stated)

    def policy(self, usual: Policy) -> Policy:
        self._keys(_POLICY_KEYS, "failures = 5")
        found: dict[str, float | int] = {}
        for key in self.stated:
            if isinstance(getattr(usual, key), int):
                value: float | None = self._count(key)
            else:
                least = 0.0 if key in _LEAST_0 else 1.0 if key == "cool_down_factor" else 0.001
                value = self._number(key, least, 1.0 if key in _RATIOS else 86_400.0)
            if value is not None:
                found[key] = value
        return replace(usual, **found)  # type: ignore[arg-type]

    def _check(self) -> Check:
        if isinstance(self.stated, str):
            return _Part(self.where, {"kind": self.stated})._check()
        self._keys(_CHECK_KEYS, 'checks = ["http"]')
        kind, method = self._text("kind"), self._text("method") or "GET"
        if kind not in KINDS:
            self.refuse(f"kind = {kind!r}", _or(KINDS))
        stray = [key for key in ("method", "path", "expect") if key in self.stated]
        if kind != "http" and stray:
            self.refuse(f"{stray[0]} for a check by {kind}", 'it where kind = "http"')
        if method not in METHODS:
            self.refuse(f"method = {method!r}", _or(METHODS))
        path = self._text("path")
        if path and (not path.startswith("/") or CONTROL.search(path) or not path.isascii()):
            self.refuse(f"path = {path!r}", 'path = "/models", percent-encoded')
        decides = self.stated.get("decides", True)
        if not isinstance(decides, bool):
            self.refuse(f"decides = {decides!r}", "true or false")
        return Check(kind, method, path, self._expect(), decides)

    def _expect(self) -> tuple[str, ...]:
        stated = self.stated.get("expect")
        if stated is None:
            return USUAL
        if not isinstance(stated, list) or not stated:
            self.refuse(f"expect = {stated!r}", 'expect = [200, "3xx"]')
        for each in stated:
            if type(each) not in (int, str) or not re.fullmatch(r"[1-5](\d\d|xx)", str(each)):
                self.refuse(f"the status {each!r}", 'a status as 200, or a class of them as "2xx"')
        return tuple(map(str, stated))

    def _checks(self) -> tuple[Check, ...]:
        stated = self.stated.get("checks", ["http"])
        if not isinstance(stated, list) or not stated:
            self.refuse(f"checks = {stated!r}", 'checks = ["http"]')
        found = [
            _Part(f"{self.where}, in check {number},", each)._check()
            for number, each in enumerate(stated, start=1)
        ]
        # Firewalls swallow pings: beside another check they only tell, unless the file says otherwise.
        only = all(each.kind == "ping" for each in found)
        for number, (check, each) in enumerate(zip(found, stated, strict=True)):
            said = isinstance(each, dict) and "decides" in each
            if check.kind == "ping" and not only and not said:
                found[number] = replace(check, decides=False)
        return tuple(found)

    def _url(self) -> str:
        url = self._text("url")
        instead = 'url = "https://host/v1", without user, query or fragment'
        if not url:
            self.refuse("no url", instead)
        try:
            parts = urlsplit(url)
            bad = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
        except ValueError:
            self.refuse("a url that is none", instead)
        if bad or "@" in parts.netloc or parts.query or parts.fragment or CONTROL.search(url):
            self.refuse("a url that cannot be asked", instead)  # not shown: it may hold a password
        return url.rstrip("/")

    def _ca_file(self) -> str:
        file = self._text("ca_file")
        if file and not Path(file).is_file():
            self.refuse(f"ca_file = {file!r}, which is no file", "the path of a PEM file")
        return file

    def _keys(self, known: tuple[str, ...], usual: str) -> None:
        if not isinstance(self.stated, Mapping):
            self.refuse(f"{self.stated!r}, which is no table", usual)
        for key in self.stated:
            if key not in known:
                near = get_close_matches(key, known, 1)
                self.refuse(f"the unknown key {key!r}", near[0] if near else f"one of {_or(known)}")

    def _text(self, key: str) -> str:
        value = self.stated.get(key, "")
        if not isinstance(value, str):
            self.refuse(f"{key} = {value!r}", f"{key} as a string in quotes")
        return value

    def _number(self, key: str, least: float, most: float = 86_400.0, usual: Any = None) -> Any:
        value = self.stated.get(key)
        if value is None:
            return usual
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not least <= value <= most
        ):
            self.refuse(f"{key} = {value!r}", f"a number from {least:g} to {most:g}")
        return float(value)

    def _count(self, key: str) -> int | None:
        value = self.stated.get(key)
        if value is not None and (type(value) is not int or not 0 < value <= 1000):
            self.refuse(f"{key} = {value!r}", "a whole number from 1 to 1000")
        return value


def _or(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
