"""Reading other systems' events by paths: what is unknown is ignored, what is wrong is told by its path."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tollspan import semconv
from tollspan.attribution import cleaned, hashed
from tollspan.config import settings
from tollspan.told import shown

from .told import Fault, NoTime, Untold, nanoseconds

__all__ = ["Event", "attribution", "fingerprint"]

_LONGEST = 512
_HUGEST = 2**63 - 1


class Event:
    """One event. Its getters give None for what is not there, and note what is wrong.

    Negative counts are how some write that they do not know.
    """

    def __init__(self, said: Any, now_ns: int) -> None:
        if not isinstance(said, Mapping):
            raise Untold([Fault("", "an event is a JSON object")])
        self._said = said
        self._now_ns = now_ns
        self.faults: list[Fault] = []

    def at(self, path: str) -> Any:
        """What stands at `usage.prompt_tokens`; None where a part of the way is missing or null.

        A name with dots in it stands for itself at the top.
        """
        if path in self._said:
            return self._said[path]
        here: Any = self._said
        names = path.split(".")
        for depth, name in enumerate(names):
            if here is None:
                return None
            if not isinstance(here, Mapping):
                self.wrong(".".join(names[:depth]), here, "an object")
                return None
            here = here.get(name)
        return here

    def wrong(self, path: str, value: Any, kind: str) -> None:
        """Note that `value` at `path` should be `kind`; once for each path."""
        fault = Fault(path, f"{path}={shown(value)} is not {kind}")
        if fault not in self.faults:
            self.faults.append(fault)

    def text(self, path: str) -> str | None:
        value = self.at(path)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            self.wrong(path, value, "text")
            return None
        return cleaned("", value[:_LONGEST].encode("utf-8", "replace").decode("utf-8"))

    def count(self, path: str) -> int | None:
        value = self.at(path)
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or value > _HUGEST:
            self.wrong(path, value, "a whole number")
            return None
        return value if value >= 0 else None

    def number(self, path: str) -> float | None:
        value = self.at(path)
        if value is None:
            return None
        finite = isinstance(value, (int, float)) and abs(value) < 1e15
        if not finite or isinstance(value, bool):
            self.wrong(path, value, "a number")
            return None
        return float(value) if value >= 0 else None

    def flag(self, path: str) -> bool | None:
        """Also as text: `"True"`, `"false"`; anything else is not known."""
        value = self.at(path)
        if isinstance(value, str):
            return {"true": True, "false": False}.get(value.lower())
        return value if isinstance(value, bool) else None

    def tree(self, path: str) -> Mapping[str, Any]:
        """An object, which may be written as text."""
        value = self.at(path)
        if isinstance(value, str) and value:
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                self.wrong(path, value, "JSON")
                return {}
        if value is None or value == "":
            return {}
        if not isinstance(value, Mapping):
            self.wrong(path, value, "an object")
            return {}
        return value

    def inside(self, path: str) -> Event:
        """The object at `path` as an event whose faults are this one's."""
        made = Event(self.tree(path), self._now_ns)
        made.faults = self.faults
        return made

    def time(self, path: str, *, in_seconds: bool = False) -> int | None:
        """Nanoseconds since 1970 of an ISO time (UTC where it does not say), or of a number."""
        value = self.at(path)
        if value is None or value == "":
            return None
        if isinstance(value, str):
            value = _with_zone(value)
        elif in_seconds and isinstance(value, (int, float)) and not isinstance(value, bool):
            value = value * 1000
        try:
            return nanoseconds(value, self._now_ns)
        except NoTime as wrong:
            self.faults.append(Fault(path, f"{path}={shown(value)} {wrong}"))
            return None

    def needs(self, path: str, found: Any) -> None:
        """Note that something must stand at `path`, where nothing was `found`."""
        if found is None and not any(fault.path == path for fault in self.faults):
            self.faults.append(Fault(path, f"{path} is missing"))

    def done(self) -> None:
        """
        Raises:
            Untold: something was wrong.
        """
        if self.faults:
            raise Untold(self.faults)


def _with_zone(text: str) -> str:
    """Databases write UTC without saying so."""
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        return text
    return at.isoformat() if at.tzinfo else at.replace(tzinfo=UTC).isoformat()


def fingerprint(gateway: str, key: str | None) -> str | None:
    """A gateway's client key as the fingerprint of it, where ids are hashed; never the key."""
    return hashed(f"{gateway} key {key}") if key and settings().hash_key else None


def attribution(said: dict[str, Any]) -> dict[str, Any]:
    """`said` with ids hashed where asked for."""
    for name in (semconv.TENANT, semconv.USER, semconv.SESSION):
        if name in said:
            said[name] = cleaned(name, said[name])
    return said
