"""Masks what is secret or personal in texts, headers and addresses, before anything is written.

    redactor = Redactor()
    text, found = redactor.text("write to ann@example.com")
    # 'write to [redacted:email]', {'email': 1}

The rules are in `redaction_rules`. What is written in another way (escapes of JSON, percent signs,
base64) is found as well; what is split over the pieces of a stream is found in the whole.

With a key each mask says which value it hides, as a keyed hash of it (`[redacted:email#1f0c…]`), so
that two captures can be compared without either holding the value.
"""

from __future__ import annotations

import hmac
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import unquote_plus

from . import redaction_views
from .redaction_edits import Edit, applied
from .redaction_rules import (
    MAYBE_SECRET_NAMES,
    NAME_CORES,
    NAMED,
    NUMBER,
    SECRET_NAMES,
    Rule,
    Rules,
)

__all__ = ["MARK", "Found", "Redactor"]

MARK = re.compile(r"\[redacted:([a-z][a-z0-9_]{0,39})(?:#([0-9a-f]{10}))?\]")
"""What stands in the place of a value: the rule, and with a key the fingerprint of the value."""

_NAME = re.compile(r"(?<![\w-])([A-Za-z][\w-]{1,63})[\"']?\s{0,4}[:=]\s{0,4}")
_VALUE = re.compile(
    r"\"((?:[^\"\\]|\\.)+)|'((?:[^'\\]|\\.)+)|([^\s\"'&,;<>(){}\[\]\\]{3,})", re.DOTALL
)
_SECRET_HEADER = re.compile(
    r"(?:.*[-_])?(?:key|keys|apikey|auth|authorization|authenticate|bearer|cookie|cookie2|credential"
    r"|credentials|csrf|jwt|password|secret|signature|sig|token|xsrf)(?:[-_].*)?"
)
_NO_SECRET_HEADER = frozenset({"idempotency-key", "x-stainless-idempotency-key", "x-token-count"})
_SECRET_PARAMETER = re.compile(
    rf"{SECRET_NAMES}|(?:.*[-_])?(?:key|token|sig|signature|password|secret|code|auth|jwt)"
    r"|x-(?:amz|goog)-.*",
    re.IGNORECASE,
)
_DIGIT, _SPACE = re.compile(r"\d"), re.compile(r"\s")
LONGEST_NAME, LONGEST_MAYBE = 66, 4096
FEWEST_DIGITS = 9
SHORT = 2048
OFTEN = 100
"""Letters of text for each hint below which it is quicker to look through all of it."""
_BETWEEN = "\n\0\n"
"""Between texts that have nothing to do with each other: no pattern goes over it."""

_PARAMETER = re.compile(r"([^&;=?#]{1,256})=([^&;#]*)")


class Found(NamedTuple):
    """What a rule found, from `start` to before `end`; `value` is it as it is meant, decoded."""

    start: int
    end: int
    rule: str
    value: str


class Redactor:
    """Masks by `rules`; with `key`, each mask carries a fingerprint. Keeps nothing of what it saw.

    `between` is called between two patterns on a long text: a thread can give way to others there.
    """

    def __init__(
        self,
        rules: Rules | None = None,
        key: str = "",
        between: Callable[[], None] | None = None,
    ) -> None:
        self.rules = rules or Rules()
        self._between = between
        self._key = key.encode()
        names = [re.escape(each) for each in self.rules.fields]
        if self.rules.names:
            names.append(SECRET_NAMES)
        self._named = re.compile("|".join(names), re.IGNORECASE) if names else None
        self._maybe = re.compile(MAYBE_SECRET_NAMES, re.IGNORECASE) if self.rules.names else None
        cores = [*(NAME_CORES if self.rules.names else ()), *self.rules.fields]
        self._cores = [core.encode("latin-1", "replace") for core in cores]
        self.kind_of_name = lru_cache(maxsize=2048)(self._kind_of_name)

    @property
    def key_id(self) -> str:
        """Which key the fingerprints are made with; '' without one."""
        return sha256(b"tollspan wire" + self._key).hexdigest()[:8] if self._key else ""

    @property
    def rules_id(self) -> str:
        """The same for the same rules: what one did not find, another with it would not find."""
        rules = self.rules
        told = [(rule.name, rule.pattern.pattern) for rule in rules.rules]
        more = (rules.names, rules.fields, sorted(rules.headers), sorted(rules.parameters))
        return sha256(repr((told, more)).encode()).hexdigest()[:8]

    def mask(self, rule: str, value: str) -> str:
        """What stands in the place of `value`."""
        if not self._key:
            return f"[redacted:{rule}]"
        made = hmac.new(self._key, value.strip().encode("utf-8", "replace"), sha256)
        return f"[redacted:{rule}#{made.hexdigest()[:10]}]"

    # --- texts ------------------------------------------------------------------------------------
    def text(self, text: str) -> tuple[str, Counter[str]]:
        """`text` masked, and how often each rule found something."""
        (masked,), found = self.parts([text])
        return masked, found

    def parts(self, parts: Sequence[str]) -> tuple[list[str], Counter[str]]:
        """The pieces of one text masked, each where it was, and how often each rule found something."""
        found = self.found("".join(parts))
        edits = [Edit(each.start, each.end, self.mask(each.rule, each.value)) for each in found]
        return applied(parts, edits), Counter(each.rule for each in found)

    def found(self, text: str) -> list[Found]:
        """What is to be masked in `text`, in order; what overlaps is one."""
        all_found = list(self._in(text))
        for view in redaction_views.views(text):
            for each in self._in(view.text):
                start, end = view.origin(each.start), view.origin(each.end)
                all_found.append(Found(start, end, each.rule, each.value))
        coded: dict[str, list[Found]] = {}
        for start, end, run in redaction_views.runs(text):
            if run not in coded:
                coded[run] = [
                    each
                    for plain in redaction_views.opened(run)
                    for each in self._in(plain, by_shape_only=True)
                ]
            all_found += [each._replace(start=start, end=end) for each in coded[run]]
        return _merged(all_found)

    def _in(self, text: str, *, by_shape_only: bool = False) -> Iterator[Found]:
        # Digits in the noise of a decoded picture are nobody's.
        numbers = [] if by_shape_only else list(_numbers(text))
        for rule in self.rules.rules:
            if rule.hints and not any(hint in text for hint in rule.hints):
                continue
            if self._between is not None and len(text) > SHORT:
                self._between()
            for match in _matches(rule, text, numbers):
                group = match.lastindex or 0
                value = match[group]
                if value and (rule.check is None or rule.check(value)):
                    yield Found(match.start(group), match.end(group), rule.name, value)
        if self._cores:
            yield from self._by_name(text)

    def _by_name(self, text: str) -> Iterator[Found]:
        """Values behind names. The words that such names have in common are looked for first, as
        bytes, of which each stands for one letter: that is ten times faster than any pattern."""
        letters = text.encode("latin-1", "replace").lower()
        done = 0
        for place in sorted({at for core in self._cores for at in _places(letters, core)}):
            if place < done:
                continue
            begin = max(0, place - LONGEST_NAME)
            match = next(
                (
                    m
                    for m in _NAME.finditer(text, begin, place + 2 * LONGEST_NAME)
                    if m.end() > place
                ),
                None,
            )
            kind = self.kind_of_name(match[1]) if match and match.start() <= place else ""
            if match is None or not kind or match.start() < done:
                continue
            # What may be no secret at all is looked at so far only: the next name begins inside it.
            most = match.end() + LONGEST_MAYBE if kind == "maybe" else len(text)
            if (value := _VALUE.match(text, match.end(), most)) is None:
                continue
            group = value.lastindex or 0
            said = value[group]
            if said.startswith("[redacted:") or said in ("null", "true", "false", "None"):
                continue
            if kind == "maybe" and not _looks_secret(said):
                continue
            done = value.end(group)
            yield Found(value.start(group), done, "field" if kind == "field" else NAMED, said)

    def _kind_of_name(self, name: str) -> str:
        if name.lower() in self.rules.fields:
            return "field"
        if self._named is not None and self._named.fullmatch(name):
            return "secret"
        return "maybe" if self._maybe is not None and self._maybe.fullmatch(name) else ""

    # --- headers and addresses --------------------------------------------------------------------
    def headers(self, headers: Iterable[tuple[str, str]]) -> tuple[list[list[str]], Counter[str]]:
        """Names (lower-case) and values; those that are secret by their name are masked whole."""
        kept: list[list[str]] = []
        values: list[str] = []
        whole = 0
        for given, value in headers:
            name = given.lower()
            own = name in self.rules.headers
            secret = own or (_SECRET_HEADER.fullmatch(name) and name not in _NO_SECRET_HEADER)
            kept.append([name, self.mask("header", _credential(value)) if secret else ""])
            whole += bool(secret)
            values += ("" if secret else value, _BETWEEN)
        masked, counted = self.parts(values)  # all at once: there are many, and each is short
        for pair, value in zip(kept, masked[::2], strict=True):
            pair[1] = pair[1] or value
        return kept, counted + Counter({"header": whole})

    def url(self, url: str) -> tuple[str, Counter[str]]:
        """An address without secrets in its query, its user, or anywhere else."""
        place, mark, query = url.partition("?")
        masked, counted = self.text(place)
        if not mark:
            return masked, counted
        edits = []
        for match in _PARAMETER.finditer(query):
            name = unquote_plus(match[1])
            own = name.lower() in self.rules.parameters
            if match[2] and (own or _SECRET_PARAMETER.fullmatch(name)):
                edits.append(Edit(*match.span(2), self.mask("parameter", unquote_plus(match[2]))))
        counted["parameter"] += len(edits)
        kept, more = self.text(applied([query], edits)[0])
        return f"{masked}?{kept}", +(counted + more)


def _numbers(text: str) -> Iterator[tuple[int, int]]:
    """Where a number may stand that is long enough, with what may belong to it."""
    for found in NUMBER.finditer(text):
        if sum(map(str.isdigit, found[0])) >= FEWEST_DIGITS:
            yield max(0, found.start() - 4), found.end() + 40


def _matches(rule: Rule, text: str, numbers: Sequence[tuple[int, int]]) -> Iterator[re.Match[str]]:
    if rule.of_digits:
        for begin, end in numbers:
            yield from rule.pattern.finditer(text, begin, end)
        return
    if not any(rule.around) or text.count(rule.hints[0]) * OFTEN > len(text):
        yield from rule.pattern.finditer(text)
        return
    before, behind = rule.around
    done = 0
    at = text.find(rule.hints[0])
    while at >= 0:
        match = rule.pattern.search(text, max(done, at - before), at + behind)
        if match is not None and match.start() <= at:
            done = match.end()
            yield match
        at = text.find(rule.hints[0], max(at + 1, done))


def _places(text: bytes, word: bytes) -> Iterator[int]:
    at = text.find(word)
    while at >= 0:
        yield at
        at = text.find(word, at + len(word))


def _looks_secret(value: str) -> bool:
    """A long word with digits in it, unlike what `token` and `key` name in texts."""
    return len(value) >= 16 and bool(_DIGIT.search(value)) and not _SPACE.search(value)


def _credential(value: str) -> str:
    """The key itself of `Bearer KEY`: the same one stands bare in other headers."""
    scheme, space, rest = value.partition(" ")
    return rest if space and scheme.lower() in ("bearer", "basic") else value


def _merged(found: list[Found]) -> list[Found]:
    """In order of their places; those that overlap become one, of the rule that comes first. Of one
    place that was read in several ways the last reading counts: its escapes are undone."""
    merged: list[Found] = []
    places = {(each.start, each.end, each.rule): each for each in found}
    for each in sorted(places.values(), key=lambda one: (one.start, -one.end)):
        if merged and each.start < merged[-1].end:
            last = merged[-1]
            if each.end > last.end:
                merged[-1] = last._replace(end=each.end)
        elif each.end > each.start:
            merged.append(each)
    return merged
