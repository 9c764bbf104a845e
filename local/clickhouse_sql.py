"""Which statements a stranger may run on the ledger.

`readonly = 1` is not enough. Measured on chdb-core 26.9, it refuses INSERT, DDL, SET and most table
functions, and lets pass: the function `file`, which reads any file of this machine, also where it is
only named (`APPLY file`, `arrayMap(file, …)`, a parameter of type Identifier); `INTO OUTFILE`, which
writes one; KILL; table functions that fail for their arguments before they are refused; a second
statement behind a semicolon. A table that does not exist is a file of that name, which `readonly`
refuses to open; what looks for a dictionary (`dictGet`, EXISTS DICTIONARY) opens it in the engine's own
name, and from then on everybody reads it. What only asks for a table tells whether there is such a file.

So the engine's own parser writes the statement anew (one statement, no comments, one way of
quoting), that text is looked through word by word, and that text is what runs.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Forbidden", "Statement", "reading"]

TOKENS = re.compile(
    r"'(?:[^'\\]|\\.)*'|`(?P<quoted>(?:[^`\\]|\\.)*)`|(?P<word>[A-Za-z_]\w*)|(?P<sign>\S)",
    re.DOTALL,
)
BEGINNINGS = ("SELECT", "WITH", "SHOW", "DESCRIBE", "DESC", "EXISTS", "EXPLAIN")
PLAIN_TABLE_FUNCTIONS = frozenset(
    ("format", "generaterandom", "generateseries", "generate_series", "merge", "null", "numbers")
    + ("numbers_mt", "primes", "values", "view", "zeros", "zeros_mt")
)
"""Table functions that touch nothing but their arguments and our tables."""
BY_NAME = re.compile("file|dict(get|has|isin)\\w*|joinget\\w*|hascolumnintable", re.IGNORECASE)
"""Functions that take the name of a file, or of a table, which may be one."""


class Forbidden(ValueError):
    """The statement may not run here. The message says what of it, and what may."""


@dataclass(frozen=True, slots=True)
class Statement:
    """`sql` without its FORMAT; `form` is what that said, or ''. `streams`: blocks can be had singly."""

    sql: str
    form: str
    streams: bool


def reading(canonical: str, table_functions: Collection[str]) -> Statement:
    """A statement as `formatQuerySingleLine` writes it, if all that it can do is read the ledger.

    Args:
        table_functions: names of all that the engine has, in any case.

    Raises:
        Forbidden: it can do something else.
    """
    canonical = _in_ours(canonical)
    tokens = list(_tokens(canonical))
    begins = next((each.text.upper() for each in tokens if each.text != "("), "")
    if begins not in BEGINNINGS:
        raise Forbidden(f"{begins or 'nothing'} is not one of {', '.join(BEGINNINGS)}")
    strange = {each.lower() for each in table_functions} - PLAIN_TABLE_FUNCTIONS
    if begins in ("EXISTS", "SHOW") and any(
        each.text.upper() == "DICTIONARY" for each in tokens[:4]
    ):
        raise Forbidden("the ledger has no dictionaries")
    aliases = _aliases(tokens)
    for token, following in zip(tokens, [*tokens[1:], _NOTHING], strict=True):
        if not token.is_name:
            continue
        if "/" in token.text and (token.text[0] in "/.~" or token.text not in aliases):
            raise Forbidden(f"{token.text} would be a file")
        pair = f"{token.text} {following.text}".upper()
        if pair in ("INTO OUTFILE", "PARALLEL WITH"):
            raise Forbidden(f"{pair} is more than reading")
        if pair == "IDENTIFIER }":
            # Its value would be the name of anything, of a function too: arrayMap({f:Identifier}, …).
            raise Forbidden("a parameter may be a value and not an Identifier")
        name = token.text.lower()
        if BY_NAME.fullmatch(name) or (following.text == "(" and name in strange):
            raise Forbidden(f"{token.text} reaches beyond the ledger")
    form = ""
    if len(tokens) > 2 and tokens[-2].text.upper() == "FORMAT" and tokens[-1].is_name:
        form = tokens[-1].text
        canonical = canonical[: tokens[-2].at]
    return Statement(canonical.strip(), form, begins in ("SELECT", "WITH"))


def _aliases(tokens: Sequence[_Token]) -> set[str]:
    """Names that the statement gives to columns, such as `tokens/s`."""
    return {own.text for before, own in pairwise(tokens) if before.text.upper() == "AS"}


def _in_ours(canonical: str) -> str:
    """The statement with the engine's name of the ledger's database, `default`, in place of `tollspan`.

    Programs that browse databases name it in front of each table, as on a server.
    """
    tokens = [_NOTHING, *_tokens(canonical), _NOTHING]
    sides = list(zip(tokens, tokens[1:], tokens[2:], strict=False))
    if any(own.is_called(NAME) and before.text.upper() == "AS" for before, own, _ in sides):
        return canonical
    is_show = sides[0][1].text.upper() == "SHOW" if sides else False
    for before, own, behind in reversed(sides):
        holds = behind.text == "." and before.text != "."
        if own.is_called(NAME) and (holds or (is_show and before.text.upper() in ("FROM", "IN"))):
            canonical = f"{canonical[: own.at]}default{canonical[own.end :]}"
    return canonical


NAME = "tollspan"


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    is_name: bool
    at: int
    end: int = 0

    def is_called(self, name: str) -> bool:
        return self.is_name and self.text == name


_NOTHING = _Token("", False, 0)


def _tokens(canonical: str) -> Iterator[_Token]:
    for match in TOKENS.finditer(canonical):
        name = match["word"] or match["quoted"]
        yield _Token(name or match["sign"] or "'", name is not None, match.start(), match.end())
