"""Finds what the pattern of a rule matches, trying it only where it can.

What is found is what `pattern.finditer` finds in the whole text, except that of numbers every reading
is found, also one that begins inside of another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from .redaction_letters import Letters, Words, places
from .redaction_rules import Rule

__all__ = ["Hinted", "matches"]

OFTEN = 30
"""Letters of text for each place below which it is quicker to try the pattern everywhere."""

LONGEST_LEAD = 65
"""Letters before a hint that are looked at: one more than a name before `@` may have."""


class Hinted:
    """Rules, and by which hints it is known of each that a text may hold what it matches."""

    __slots__ = ("_by_hint", "_of_digits", "_others", "_rules")

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules
        self._of_digits = [at for at, rule in enumerate(rules) if rule.of_digits]
        self._others = [at for at, rule in enumerate(rules) if not (rule.hints or rule.of_digits)]
        by_hint: dict[str, dict[bytes, list[int]]] = {}
        for at, rule in enumerate(rules):
            for hint in () if rule.of_digits else rule.places:
                by_hint.setdefault(_where(rule), {}).setdefault(hint, []).append(at)
        self._by_hint = [(Words(where, tuple(of)), of) for where, of in by_hint.items()]
        """By the letters in which they are looked for, the hints and the rules that have each."""

    def due(self, seen: Letters) -> list[tuple[Rule, list[bytes]]]:
        """Those that are worth trying, in order, and which of their hints are there: for most texts
        there are none."""
        due: dict[int, list[bytes]] = {at: [] for at in self._others}
        for words, by_hint in self._by_hint:
            for hint in seen.having(words):
                for at in by_hint[hint]:
                    due.setdefault(at, []).append(hint)
        if self._of_digits and seen.numbers:
            due.update((at, []) for at in self._of_digits)
        return [(self._rules[at], due[at]) for at in sorted(due)]


def _where(rule: Rule) -> str:
    return "lower" if rule.any_case else "together" if rule.coded else "plain"


def matches(rule: Rule, seen: Letters, hints: Sequence[bytes]) -> Iterator[re.Match[str]]:
    """Each match of `rule` in the text of `seen`. `hints`: those of its own that are there."""
    if rule.of_digits:
        yield from _numbers(rule, seen)
        return
    if not rule.hints:
        yield from rule.pattern.finditer(seen.text)
        return
    if rule.needs and rule.needs not in seen.plain:
        return
    starts = _starts(rule, seen.text, seen.lower if rule.any_case else seen.plain, hints)
    if len(starts) * OFTEN > len(seen.text):
        yield from rule.pattern.finditer(seen.text)
        return
    done = 0
    for start in starts:
        if start >= done and (match := rule.pattern.match(seen.text, start)) is not None:
            done = match.end()
            yield match


def _starts(rule: Rule, text: str, letters: bytes, hints: Sequence[bytes]) -> list[int]:
    """Where matches may begin, in order."""
    found = (at for hint in hints for at in places(letters, hint))
    if rule.lead is None:
        return sorted({at + far for at in found for far in rule.begins})
    starts = set()
    for at in found:
        before = rule.lead.match(text[max(0, at - LONGEST_LEAD) : at][::-1])
        starts.add(at - (before.end() if before else 0))
    return sorted(starts)


def _numbers(rule: Rule, seen: Letters) -> Iterator[re.Match[str]]:
    search = rule.pattern.search
    for start, end in seen.numbers:
        if rule.hints and not any(hint in seen.plain[start:end] for hint in rule.places):
            continue
        # One letter more: what must not follow a number is no part of the run.
        match = search(seen.text, start, end + 1)
        while match is not None:
            yield match
            match = search(seen.text, match.start() + 1, end + 1)
