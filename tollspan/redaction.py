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
import json
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from hashlib import sha256
from itertools import accumulate, chain
from typing import Any
from urllib.parse import unquote_plus

from . import redaction_base64, redaction_views
from .redaction_edits import Edit, Found, applied
from .redaction_letters import Letters
from .redaction_names import Names
from .redaction_rules import BUILT_IN, SECRET_NAMES, Rules
from .redaction_search import Hinted, matches

__all__ = ["MARK", "Found", "Redactor"]

MARK = re.compile(r"\[redacted:([a-z][a-z0-9_]{0,39})(?:#([0-9a-f]{10}))?\]")
"""What stands in the place of a value: the rule, and with a key the fingerprint of the value."""

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
SHORT, LONG = 8 * 1024, 64 * 1024
"""Letters of a text before which others are let through; and of one before each step of looking."""
PER_MEMBER = 200
"""Letters of a text for each of its members that is looked at."""
_APART = "\n" * (redaction_views.LINES + 1)
"""Between lines that do not follow one another: no pattern of `Rule.by_line` goes over it."""
_BETWEEN = "\n\0\n"
"""Between texts that have nothing to do with each other: no pattern goes over it."""

_PARAMETER = re.compile(r"([^&;=?#]{1,256})=([^&;#]*)")


class Redactor:
    """Masks by `rules`; with `key`, each mask carries a fingerprint. Keeps nothing of what it saw.

    `between` is called before a long text, and inside a very long one: a thread can give way to others
    there.
    """

    def __init__(
        self,
        rules: Rules | None = None,
        key: str = "",
        between: Callable[[], None] | None = None,
    ) -> None:
        self.rules = rules or Rules()
        self.is_built_in = set(map(id, self.rules.rules)) <= set(map(id, BUILT_IN))
        """Whether all its rules are those that tollspan has."""
        self._between = between
        self._key = key.encode()
        self._names = Names(self.rules)
        whole = self.rules.rules
        self._all = Hinted(whole)
        self._shapes = Hinted([rule for rule in whole if not rule.of_digits])
        self._by_line = Hinted([rule for rule in whole if rule.by_line])
        self._over_lines = Hinted([rule for rule in whole if not rule.by_line])
        hints = (*(hint for rule in self.rules.rules for hint in rule.hints), *self.rules.fields)
        self._is_of_words = set(redaction_views.MARKS).isdisjoint("".join(hints))
        """Whether none of the words that are looked for can come of an escape of a mark."""

    @property
    def key_id(self) -> str:
        """Which key the fingerprints are made with; '' without one."""
        return sha256(b"tollspan wire" + self._key).hexdigest()[:8] if self._key else ""

    @cached_property
    def rules_id(self) -> str:
        """The same for the same rules: what one did not find, another with it would not find."""
        rules = self.rules
        told = [(rule.name, rule.pattern.pattern) for rule in rules.rules]
        more = (rules.names, rules.fields, sorted(rules.headers), sorted(rules.parameters))
        return sha256(repr((told, more)).encode()).hexdigest()[:8]

    def is_secret_name(self, name: str) -> bool:
        """Whether the value of a member of this name may be masked, whatever it looks like."""
        return self._names.kind(name) != ""

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
        self._let_others(text, SHORT)
        views = redaction_views.views(text)
        view = next(views, None) if self.is_built_in and "\\" in text else None
        is_json, document = _document(view.outline or text) if view is not None else (False, None)
        if view is not None and is_json:
            # What its escapes stand for is what it says; as it is written nobody reads it.
            seen = before = Letters(view.text)
            all_found = [view.back(each) for each in chain(self._in(seen), self._in_base64(seen))]
            if self._names.end_elsewhere(document, len(text) // PER_MEMBER):
                all_found += self._of_names(Letters(text, seen))
        else:
            seen = before = Letters(text)
            all_found = [*self._in(seen), *self._in_base64(seen)]
            views = views if view is None else chain([view], views)
        for view in views:
            known = before if view.read is before.text and self._is_of_words else None
            before = _letters(view, known)
            all_found += map(view.back, self._in_view(view, before))
        return _merged(all_found)

    def _in_base64(self, seen: Letters) -> Iterator[Found]:
        """What runs of base64 say when they are opened; of each such run all is masked."""
        hidden = self._hidden(seen)
        for start, end, run in redaction_base64.runs(seen) if hidden else ():
            for each in hidden.get(run, ()):
                yield each._replace(start=start, end=end)

    def _hidden(self, seen: Letters) -> dict[bytes, list[Found]]:
        """What runs of base64 say when they are opened, as far as it is to be masked."""
        hidden: dict[bytes, list[Found]] = {}
        for run in redaction_base64.maybe_texts(seen.together):
            for plain in redaction_base64.opened(run):
                if found := list(self._in(Letters(plain), by_shape_only=True)):
                    hidden.setdefault(run, []).extend(found)
        return hidden

    def _in_view(self, view: redaction_views.View, seen: Letters) -> Iterator[Found]:
        """What stands in `view`; that which stands in lines as they were before may be left out."""
        if not view.is_sparse:
            yield from self._in(seen)
            return
        yield from self._of_rules(self._over_lines, seen)
        lines = view.changed
        begins = [0, *accumulate(end - start + len(_APART) for start, end in lines)]
        parts = seen.changed or Letters(_changed(view), seen)
        for each in self._of_rules(self._by_line, parts):
            number = bisect_right(begins, each.start) - 1
            far = lines[number][0] - begins[number]
            yield each._replace(start=each.start + far, end=each.end + far)
        # A value may go on for ever, but a name and the sign behind it stand close together.
        if not seen.is_named:
            for _ in self._of_names(parts):
                pass
        if seen.is_named or parts.is_named:
            yield from self._of_names(seen)

    def _in(self, seen: Letters, *, by_shape_only: bool = False) -> Iterator[Found]:
        # Digits in the noise of a decoded picture are nobody's.
        yield from self._of_rules(self._shapes if by_shape_only else self._all, seen)
        yield from self._of_names(seen)

    def _of_rules(self, rules: Hinted, seen: Letters) -> Iterator[Found]:
        self._let_others(seen.text, LONG)
        for rule, hints in rules.due(seen):
            self._let_others(seen.text, LONG)
            for match in matches(rule, seen, hints):
                group = match.lastindex or 0
                value = match[group]
                if value and (rule.check is None or rule.check(value)):
                    yield Found(match.start(group), match.end(group), rule.name, value)

    def _let_others(self, text: str, length: int) -> None:
        """Give way, if `text` is longer than `length`."""
        if self._between is not None and len(text) > length:
            self._between()

    def _of_names(self, seen: Letters) -> Iterator[Found]:
        for found in self._names.found(seen):
            yield Found(*found)

    # --- headers and addresses --------------------------------------------------------------------
    def headers(self, headers: Iterable[tuple[str, str]]) -> tuple[list[list[str]], Counter[str]]:
        """Names (lower-case) and values; those that are secret by their name are masked whole."""
        kept: list[list[str]] = []
        values: list[str] = []
        whole = 0
        for given, value in headers:
            name = given.lower()
            secret = name in self.rules.headers or _is_secret(name)
            kept.append([name, self.mask("header", _credential(value)) if secret else ""])
            whole += secret
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


def _letters(view: redaction_views.View, known: Letters | None) -> Letters:
    """Those of `view`, and what `known`, of the text before it, tells of them."""
    if known is None or not (view.has_marks_only or view.is_sparse):
        return Letters(view.text)
    seen = Letters(view.text, known)
    if not view.has_marks_only:
        seen.know(Letters(_changed(view)))
    return seen


def _changed(view: redaction_views.View) -> str:
    """The lines of `view` in which something was decoded, apart from one another."""
    return _APART.join([view.text[start:end] for start, end in view.changed])


def _document(text: str) -> tuple[bool, Any]:
    """Whether `text` is JSON, and what it says."""
    try:
        return True, json.loads(text)
    except (ValueError, RecursionError):
        return False, None


@lru_cache(maxsize=512)
def _is_secret(header: str) -> bool:
    return header not in _NO_SECRET_HEADER and _SECRET_HEADER.fullmatch(header) is not None


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
