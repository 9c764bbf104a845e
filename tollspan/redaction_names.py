"""Values that are secret by the name before them: `"password": …`, `api_key=…`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from .redaction_letters import Letters, Words, places
from .redaction_rules import MAYBE_SECRET_NAMES, NAME_CORES, NAMED, SECRET_NAMES, Rules

__all__ = ["Names"]

_NAME = re.compile(r"(?<![\w-])([A-Za-z][\w-]{1,63})[\"']?\s{0,4}[:=]\s{0,4}")
_REST = re.compile(r"[\w-]{0,64}[\"']?\s{0,4}[:=]")
"""What is left of a name and what follows it, from anywhere inside it."""

_BEFORE = re.compile(r"[\w-]*")
_VALUE = re.compile(
    r"\"((?:[^\"\\]|\\.)+)|'((?:[^'\\]|\\.)+)|([^\s\"'&,;<>(){}\[\]\\]{3,})", re.DOTALL
)
_DIGIT, _SPACE = re.compile(r"\d"), re.compile(r"\s")
LONGEST_NAME, LONGEST_MAYBE = 66, 4096
_EMPTY = frozenset({"null", "true", "false", "None"})


class Names:
    """The names of `rules`."""

    def __init__(self, rules: Rules) -> None:
        names = [re.escape(each) for each in rules.fields]
        if rules.names:
            names.append(SECRET_NAMES)
        self._fields = frozenset(rules.fields)
        self._named = re.compile("|".join(names), re.IGNORECASE) if names else None
        self._maybe = re.compile(MAYBE_SECRET_NAMES, re.IGNORECASE) if rules.names else None
        cores = [*(NAME_CORES if rules.names else ()), *rules.fields]
        self._cores = Words("lower", [core.encode("latin-1", "replace") for core in cores])
        self.kind = lru_cache(maxsize=2048)(self._kind_of)

    def found(self, seen: Letters) -> Iterator[tuple[int, int, str, str]]:
        """Start, end, rule and text of each value.

        The words that such names have in common are looked for first, as bytes, of which each stands
        for one letter: that is ten times faster than any pattern. At the end `seen` knows whether it has
        such a name, with whatever value.
        """
        seen.is_named = False
        cores = seen.having(self._cores)
        if not cores:
            return
        text, lower = seen.text, seen.lower
        done = 0
        for place in sorted({at for core in cores for at in places(lower, core)}):
            if place < done or _REST.match(text, place) is None:
                continue
            # A name is all of the word that it stands in.
            before = text[max(0, place - LONGEST_NAME) : place][::-1]
            inside = _BEFORE.match(before)
            match = _NAME.match(text, place - (inside.end() if inside else 0))
            kind = self.kind(match[1]) if match else ""
            if match is None or not kind or match.start() < done:
                continue
            seen.is_named = True
            # What may be no secret at all is looked at so far only: the next name begins inside it.
            most = match.end() + LONGEST_MAYBE if kind == "maybe" else len(text)
            if (value := _VALUE.match(text, match.end(), most)) is None:
                continue
            group = value.lastindex or 0
            said = value[group]
            if said.startswith("[redacted:") or said in _EMPTY:
                continue
            if kind == "maybe" and not _looks_secret(said):
                continue
            done = value.end(group)
            yield value.start(group), done, "field" if kind == "field" else NAMED, said

    def end_elsewhere(self, document: Any, most: int) -> bool:
        """Whether a value of `document` that its name makes a secret may seem to end elsewhere where its
        escapes are undone: at a quotation mark inside, or behind the one that ends it. True, too,
        where it has more than `most` members."""
        waiting = [document]
        while waiting:
            each = waiting.pop()
            if type(each) is dict:
                for name, value in each.items():
                    if type(value) is str:
                        if ('"' in value or "\\" in value) and self.kind(name):
                            return True
                    else:
                        waiting.append(value)
            elif type(each) is list:
                waiting += each
            else:
                continue
            most -= len(each)
            if most < 0:
                return True
        return False

    def _kind_of(self, name: str) -> str:
        if name.lower() in self._fields:
            return "field"
        if self._named is not None and self._named.fullmatch(name):
            return "secret"
        return "maybe" if self._maybe is not None and self._maybe.fullmatch(name) else ""


def _looks_secret(value: str) -> bool:
    """A long word with digits in it, unlike what `token` and `key` name in texts."""
    return len(value) >= 16 and bool(_DIGIT.search(value)) and not _SPACE.search(value)
