"""What is secret or personal in a text: the patterns that tollspan knows, and the user's own.

Every pattern costs a time that grows no faster than the text: a repeat that has no upper bound is of
one class of characters and cannot start again inside its own match. Patterns of users are held to
that by `redaction_bounds`, which refuses what it cannot be sure of. (https://owasp.org/www-community/attacks/
Regular_expression_Denial_of_Service_-_ReDoS)
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .config import ConfigError
from .redaction_bounds import bounded

__all__ = [
    "BUILT_IN",
    "MAYBE_SECRET_NAMES",
    "NAMED",
    "NAME_CORES",
    "SECRET_NAMES",
    "Rule",
    "Rules",
    "read",
    "usual",
]

LARGEST_FILE = 256 * 1024
MOST_RULES = 200
NAMED = "named_secret"


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of thing to mask: the last group of `pattern` that took part, or all of the match.

    `hints`: text without any of these (compared as written) cannot match; no hints means that it must
    be looked through. `check`: whether what would be masked is what it seems.
    """

    name: str
    pattern: re.Pattern[str]
    hints: tuple[str, ...] = ()
    check: Callable[[str], bool] | None = None
    of_digits: bool = False
    """Matches digits, and blanks and signs between them: nine digits or more."""
    coded: bool = False
    """Its hints stand in runs of `redaction_letters.LONG` coded letters, if it matches."""
    by_line: bool = True
    """No match goes over more than `redaction_views.LINES` line ends; none depends on more."""
    needs: bytes = b""
    """A letter that each text with a match has, besides: one is found a hundred times faster."""
    any_case: bool = False
    """Hints are in lower case, and stand for any."""
    begins: tuple[int, ...] = ()
    """How far behind the begin of a hint a match may begin, where these are few; ascending."""
    lead: re.Pattern[str] | None = None
    """Else what stands between the begin of a match and its hint: letters of one class, all of those
    that stand there. It is matched backwards."""
    places: tuple[bytes, ...] = field(init=False)
    """`hints`, as `redaction_letters` has letters."""

    def __post_init__(self) -> None:
        if self.hints and not (self.of_digits or self.begins or self.lead):
            raise ValueError(f"{self.name}: say where matches begin, or give no hints")
        places = tuple(hint.encode("latin-1", "replace") for hint in self.hints)
        object.__setattr__(self, "places", places)


def _luhn(text: str) -> bool:
    """Whether the digits of `text` are a card number by its check digit (ISO/IEC 7812-1)."""
    digits = [int(each) for each in text if each.isdigit()]
    if not 13 <= len(digits) <= 19 or len(set(digits)) == 1:
        return False
    doubled = (digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2])
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_credential(text: str) -> bool:
    """Not a word of prose, as in `basic understanding`."""
    return len(text) > 24 or any(each.isdigit() for each in text)


def _rule(name: str, pattern: str, *hints: str, **more: Any) -> Rule:
    return Rule(name, re.compile(pattern), hints, **more)


_ALONE = r"(?<![A-Za-z0-9])"
"""Before what also stands inside of words (`task-`), or could begin again inside its own match."""

BUILT_IN: tuple[Rule, ...] = (
    _rule(
        "private_key",
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
        r"(?s:.*?)(?:-----END [A-Z0-9 ]{0,40}-----|\Z)",
        "-----BEGIN",
        begins=(0,),
        by_line=False,
    ),
    _rule(
        "jwt",
        _ALONE + r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?",
        "eyJ",
        coded=True,
        begins=(0,),
    ),
    _rule(
        "bearer",
        _ALONE + r"(?ai:bearer|basic)\s{1,4}([A-Za-z0-9._~+/=-]{8,})",
        *("bearer", "basic"),
        check=_is_credential,
        any_case=True,
        begins=(0,),
    ),
    _rule(
        "api_key",
        _ALONE + r"(?:sk|pk|rk|csk)[-_][A-Za-z0-9_-]{8,}",
        *("k-", "k_"),
        coded=True,
        begins=(-2, -1),
    ),
    _rule(
        "api_key",
        _ALONE + r"(?:xai-|pplx-|tgp_|glpat-|gsk_|hf_|r8_|npm_|nvapi-|fw_|lsv2_|dapi)"
        r"[A-Za-z0-9_-]{16,}",
        *("xai-", "pplx-", "tgp_", "glpat-", "gsk_", "hf_", "r8_", "npm_", "nvapi-", "fw_"),
        *("lsv2_", "dapi"),
        coded=True,
        begins=(0,),
    ),
    _rule("api_key", r"xox[abeoprs]-[A-Za-z0-9-]{10,}", "xox", coded=True, begins=(0,)),
    _rule("google_key", r"AIza[0-9A-Za-z_-]{30,}", "AIza", coded=True, begins=(0,)),
    _rule("google_key", r"ya29\.[0-9A-Za-z_.-]{20,}", "ya29.", begins=(0,)),
    _rule(
        "aws_key",
        r"A(?:KIA|SIA|BIA|CCA)[0-9A-Z]{12,}",
        *("AKIA", "ASIA", "ABIA", "ACCA"),
        coded=True,
        begins=(0,),
    ),
    _rule("aws_key", r"ABSK[A-Za-z0-9+/=]{20,}", "ABSK", begins=(0,)),
    _rule(
        "github_token",
        r"gh[opsur]_[A-Za-z0-9_]{20,}",
        *("gho_", "ghp_", "ghs_", "ghu_", "ghr_"),
        coded=True,
        begins=(0,),
    ),
    _rule("github_token", r"github_pat_[A-Za-z0-9_]{20,}", "github_pat_", coded=True, begins=(0,)),
    _rule("userinfo", r"(?<=://)[^\s/@?#\"'<>]{1,512}(?=@)", "://", needs=b"@", begins=(3,)),
    _rule(
        "email",
        r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}\.){1,8}"
        r"[A-Za-z]{2,24}(?![A-Za-z0-9])",
        "@",
        lead=re.compile(r"[A-Za-z0-9._%+-]*"),
    ),
    _rule(
        "card",
        r"(?<![\w.-])[2-6]\d{3}[ -]?(?:\d{4}[ -]?\d{4}[ -]?\d{1,7}|\d{6}[ -]?\d{5})(?![\w-])",
        check=_luhn,
        of_digits=True,
    ),
    _rule(
        "phone",
        r"(?<![\w+.-])\+[1-9]\d{0,2}[ .()/-]{0,3}\d(?:[ .()/-]{0,2}\d){7,12}(?!\d)",
        "+",
        of_digits=True,
    ),
    _rule(
        "phone",
        r"(?<![\w.-])\(?[2-9]\d{2}(?:\) ?|[ .-])[2-9]\d{2}[ .-]\d{4}(?![\w-])",
        of_digits=True,
    ),
)

SECRET_NAMES = (
    r"(?:[\w-]{0,32}[-_])?(?:api[-_]?key|apikey|api[-_]?secret|secret[-_]?(?:access[-_]?)?key"
    r"|client[-_]?secret|private[-_]?key|passw(?:or)?d|passphrase|(?:access|refresh|id|auth|session"
    r"|bearer|security)[-_]?token|authorization|credentials?|subscription[-_]?key)"
    r"|x-amz-signature"
)
"""Names (of members, settings, headers, parameters) whose value is a secret, whatever it looks like."""

NAME_CORES = ("key", "secret", "pass", "token", "authorization", "credential", "sig")
"""Words of which every name here has one."""

MAYBE_SECRET_NAMES = r"(?:[\w-]{0,32}[-_])?(?:token|secret|key|signature|sig)"
"""Names whose value is one if it looks like one."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What is masked: `rules` by their pattern, headers and query parameters by their name."""

    rules: tuple[Rule, ...] = BUILT_IN
    names: bool = True
    """Whether values are masked by the name before them: the built-in rule `named_secret`."""
    fields: tuple[str, ...] = ()
    """More such names, lower-case."""
    headers: frozenset[str] = frozenset()
    """More names of headers (lower-case) whose value is never kept."""
    parameters: frozenset[str] = frozenset()
    """Likewise of query parameters."""


def read(path: str | Path) -> Rules:
    """The built-in rules and those of a TOML file.

        off = ["phone"]                     # built-in rules that are not wanted
        headers = ["x-internal-user"]       # never kept
        parameters = ["session"]
        fields = ["national_id"]            # values of these members and settings
        words = ["Project Nightingale"]     # as written
        [[rule]]
        name = "order"
        pattern = 'ORD-\\d{6,12}'

    Raises:
        ConfigError: the file cannot be used; the message says where and what to write.
    """
    where = str(path)
    try:
        raw = Path(path).expanduser().read_bytes()
        if len(raw) > LARGEST_FILE:
            raise ConfigError(
                f"{where} is larger than {LARGEST_FILE // 1024} kB: write fewer rules"
            )
        told = tomllib.loads(raw.decode())
    except OSError as error:
        raise ConfigError(f"{where} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where} is no TOML: {error}") from error
    known = {"off", "headers", "parameters", "fields", "words", "rule"}
    if unknown := sorted(set(told) - known):
        raise ConfigError(
            f"{where}: {unknown[0]} is unknown: write some of {', '.join(sorted(known))}"
        )
    off = _texts(told, "off", where)
    built_in = dict.fromkeys((*(rule.name for rule in BUILT_IN), NAMED))
    if wrong := sorted(set(off) - built_in.keys()):
        names = ", ".join(built_in)
        raise ConfigError(f"{where}: off: {wrong[0]} is no built-in rule: write some of {names}")
    rules = [*_own(told, where), *(rule for rule in BUILT_IN if rule.name not in off)]
    return Rules(
        tuple(rules),
        NAMED not in off,
        tuple(name.lower() for name in _texts(told, "fields", where)),
        frozenset(name.lower() for name in _texts(told, "headers", where)),
        frozenset(name.lower() for name in _texts(told, "parameters", where)),
    )


def _own(told: dict[str, Any], where: str) -> Iterator[Rule]:
    for word in _texts(told, "words", where):
        yield Rule("word", re.compile(re.escape(word)), (word,), begins=(0,), by_line=False)
    listed = told.get("rule", [])
    if not isinstance(listed, list) or len(listed) > MOST_RULES:
        raise ConfigError(f"{where}: rule: write [[rule]] tables, {MOST_RULES} at most")
    for number, each in enumerate(listed):
        at = f"{where}: rule[{number}]"
        if not isinstance(each, dict) or set(each) - {"name", "pattern"}:
            raise ConfigError(f"{at}: write name and pattern, and nothing else")
        name, pattern = each.get("name"), each.get("pattern")
        if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name):
            raise ConfigError(f"{at}.name={name!r}: write lower-case letters, digits and _")
        if not isinstance(pattern, str):
            raise ConfigError(f"{at}.pattern={pattern!r}: write a regular expression")
        yield Rule(name, bounded(pattern, f"{at}.pattern"), by_line=False)


def _texts(told: dict[str, Any], name: str, where: str) -> Sequence[str]:
    found = told.get(name, [])
    wrong = not isinstance(found, list) or len(found) > MOST_RULES
    if wrong or any(not isinstance(each, str) or not each.strip() for each in found):
        raise ConfigError(f"{where}: {name}: write a list of at most {MOST_RULES} texts")
    return [str(each) for each in found]


def usual(path: str) -> Rules:
    """The rules of the file at `path`, or the built-in ones where it is empty."""
    return read(path) if path else Rules()
