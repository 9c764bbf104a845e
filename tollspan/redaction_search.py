"""Finds what the pattern of a rule matches, trying it only where it can.

What is found is what `pattern.finditer` finds in the whole text, except that of numbers every reading
is found, also one that begins inside of another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from .redaction_letters import Letters, places
from .redaction_rules import Rule

__all__ = ["matches"]

OFTEN = 30
"""Letters of text for each place below which it is quicker to try the pattern everywhere."""

LONGEST_LEAD = 65
"""Letters before a hint that are looked at: one more than a name before `@` may have."""


def matches(rule: Rule, seen: Letters) -> Iterator[re.Match[str]]:
    """Each match of `rule` in the text of `seen`."""
    if rule.of_digits:
        yield from _numbers(rule, seen)
        return
    if not rule.hints:
        yield from rule.pattern.finditer(seen.text)
        return
    if rule.needs and rule.needs not in seen.plain:
        return
    where = "lower" if rule.any_case else "together" if rule.coded else "plain"
    hints = seen.having(rule.places, where)
    if not hints:
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
