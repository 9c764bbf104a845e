"""Patterns of users, held to a time that cannot run away."""

from __future__ import annotations

import re
from re import _constants as _code  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

from .config import ConfigError

__all__ = ["bounded"]

MOST_WORK = 4096
"""Places at which a user's pattern may end, for one at which it begins."""


def bounded(pattern: str, where: str) -> re.Pattern[str]:
    """`pattern` compiled, if its time cannot run away.

    Raises:
        ConfigError: it is no regular expression, matches the empty text, or could take long.
    """
    try:
        made = re.compile(pattern)
        work = _work(_parser.parse(pattern), where)
    except (re.error, RecursionError, OverflowError) as error:
        raise ConfigError(f"{where}: {pattern!r} is no regular expression: {error}") from error
    if work > MOST_WORK:
        raise ConfigError(
            f"{where}: {pattern!r} can end at {work} places for each where it begins, and "
            f"{MOST_WORK} is the most: bound its repeats closer, as in \\d{{6,12}}"
        )
    if made.search("") is not None:
        raise ConfigError(
            f"{where}: {pattern!r} also matches the empty text: it would match everywhere"
        )
    return made


_REPEATS = {_code.MAX_REPEAT, _code.MIN_REPEAT, _code.POSSESSIVE_REPEAT}
_ONE = {_code.LITERAL, _code.NOT_LITERAL, _code.ANY, _code.IN, _code.AT, _code.CATEGORY}


def _work(parsed: Any, where: str) -> int:
    """At how many places a match of `parsed` can end that begins at one: what backtracking tries."""
    work = 1
    for code, argument in parsed:
        if code in _ONE:
            continue
        if code in _REPEATS:
            least, most, inside = argument
            if most is _code.MAXREPEAT:
                raise ConfigError(f"{where}: a repeat without an upper bound: write {{1,64}} for +")
            each = _work(inside, where)
            if each > 1 and most > 1:
                raise ConfigError(f"{where}: a repeat inside a repeat can take for ever: unfold it")
            work *= (int(most) - int(least) + 1) * each
        elif code is _code.BRANCH:
            work *= sum(_work(each, where) for each in argument[1])
        elif code is _code.SUBPATTERN:
            work *= _work(argument[3], where)
        elif code in (_code.ASSERT, _code.ASSERT_NOT):
            work *= _work(argument[1], where)
        elif code is _code.ATOMIC_GROUP:
            work *= _work(argument, where)
        else:
            raise ConfigError(
                f"{where}: back-references and conditions can take for ever: leave out"
            )
    return work
