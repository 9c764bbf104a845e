"""The budgets of `TOLLSPAN_BUDGETS`: a TOML file, read strictly. `tollspan up` puts them into the
ledger, and the application holds its calls to them.

    [[budgets]]
    name = "growth"
    period = "month"               # day, week (from Monday) or month, in UTC; default: month
    limit_usd = 500
    soft_ratio = 0.8               # optional: from this part of the limit on it is soft
    owner = "ada@example.com"      # optional, like contact: shown where the budget is
    action = "refuse"              # optional: what the application does, see `budgets_actions`
    filters = { "tag.team" = "growth", environment = "production" }

Filters name columns of a call, `model` or `tag.<key>`, each with the one value that counts; without
filters every call counts. The file is the whole truth: a budget that is not in it any more ends.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from tollspan.config import ConfigError

from . import budgets_actions
from .budgets_actions import Action

__all__ = ["FILTERS", "KEYS", "Budget", "BudgetFileError", "read"]

FILTERS = (
    *(
        "service",
        "environment",
        "data_mode",
        "operation",
        "endpoint",
        "prompt",
        "prompt_version",
        "tenant",
    ),
    *("user", "session", "provider", "server_address", "request_model", "response_model"),
    *("served_model", "model", "route", "service_tier", "api_key"),
)
"""What a filter may name beside `tag.<key>`; the table refuses others, too."""

TAG = "tag."
PERIODS = ("day", "week", "month")
KEYS = (
    *("name", "filters", "period", "limit_usd", "soft_ratio"),
    *("owner", "contact", "action", "enabled"),
)
MOST_USD = Decimal(10) ** 12
STEP_USD = Decimal("0.000001")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class BudgetFileError(ConfigError):
    """A budget file that cannot be used. One sentence: file, entry, what is wrong, what to write."""


@dataclass(frozen=True, slots=True)
class Budget:
    """One budget as the table holds it."""

    name: str
    limit_usd: Decimal
    filters: Mapping[str, str] = field(default_factory=dict)
    period: str = "month"
    soft_ratio: float = 0.8
    owner: str = ""
    contact: str = ""
    action: str = ""
    enabled: bool = True

    def act(self) -> Action:
        """What the application does about it.

        Raises:
            ActionError: the words of `action` cannot be followed.
        """
        return budgets_actions.read(self.action)

    def row(self) -> dict[str, Any]:
        """Without its version."""
        return {
            **{name: getattr(self, name) for name in KEYS},
            "filters": dict(self.filters),
            "limit_usd": format(self.limit_usd.normalize(), "f"),
        }


def read(path: str | Path, named_by: str = "TOLLSPAN_BUDGETS") -> list[Budget]:
    """The budgets of a file; `named_by` is what is to be corrected where it is not there.

    Raises:
        BudgetFileError: it cannot be used.
    """
    try:
        found = tomllib.loads(Path(path).read_text("utf-8"), parse_float=Decimal)
    except OSError as error:
        raise BudgetFileError(
            f"The budget file {path} cannot be read ({error.strerror}): correct {named_by}."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BudgetFileError(
            f"The budget file {path} is not TOML ({error}): correct it."
        ) from error
    entries = found.pop("budgets", [])
    if found or not isinstance(entries, list):
        stray = next(iter(found), "budgets")
        raise BudgetFileError(
            f"The budget file {path} has {stray!r} at its top: "
            "write each budget as an entry that begins with [[budgets]]."
        )
    budgets: dict[str, Budget] = {}
    for number, entry in enumerate(entries, start=1):
        budget = _Entry(str(path), number, entry).budget()
        if budget.name in budgets:
            _Entry(str(path), number, entry).refuse(
                f"the name {budget.name!r} a second time", "another name"
            )
        budgets[budget.name] = budget
    return list(budgets.values())


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of a file, and how a fault in it is said."""

    path: str
    number: int
    stated: Any

    def refuse(self, fault: str, instead: str) -> NoReturn:
        raise BudgetFileError(
            f"Entry {self.number} of the budget file {self.path} has {fault}: write {instead}."
        )

    def budget(self) -> Budget:
        if not isinstance(self.stated, dict):
            self.refuse("no keys", 'it as [[budgets]] with name = "…" and limit_usd = …')
        for key in self.stated:
            if key not in KEYS:
                near = get_close_matches(key, KEYS, 1)
                self.refuse(f"the unknown key {key!r}", near[0] if near else f"one of {_or(KEYS)}")
        texts = {name: self._text(name) for name in ("name", "owner", "contact", "action")}
        if not texts["name"]:
            self.refuse("no name", 'name = "…"')
        try:
            budgets_actions.read(texts["action"])
        except budgets_actions.ActionError as error:
            self.refuse(f"action = {texts['action']!r}", str(error))
        enabled = self.stated.get("enabled", True)
        if not isinstance(enabled, bool):
            self.refuse(f"enabled = {enabled!r}", "true or false")
        return Budget(
            limit_usd=self._limit(),
            soft_ratio=self._ratio(),
            period=self._period(),
            filters=self._filters(),
            enabled=enabled,
            **texts,
        )

    def _text(self, name: str) -> str:
        value = self.stated.get(name, "")
        if not isinstance(value, str):
            self.refuse(f"{name} = {value!r}", f"{name} as a string in quotes")
        self._printable(name, value)
        return value

    def _printable(self, name: str, value: str) -> None:
        """The ledger tells values apart by NUL; no other control character is anybody's name."""
        if (found := CONTROL.search(value)) is not None:
            self.refuse(f"the control character {found[0]!r} in {name}", "it without")

    def _limit(self) -> Decimal:
        value = self.stated.get("limit_usd")
        if value is None:
            self.refuse("no limit", "limit_usd = 500, in US dollars")
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            self.refuse(f"limit_usd = {value!r}", "a number of US dollars without quotes")
        limit = Decimal(value)
        if not limit.is_finite() or not 0 < limit < MOST_USD or limit % STEP_USD:
            self.refuse(
                f"limit_usd = {value}",
                "US dollars above 0 and below a million millions, with six decimals at most",
            )
        return limit

    def _ratio(self) -> float:
        value = self.stated.get("soft_ratio", Decimal("0.8"))
        if isinstance(value, bool) or not isinstance(value, int | Decimal) or not 0 < value <= 1:
            self.refuse(f"soft_ratio = {_shown(value)}", "a number above 0 and not above 1")
        return float(value)

    def _period(self) -> str:
        value = self.stated.get("period", "month")
        if value not in PERIODS:
            self.refuse(f"period = {_shown(value)}", _or(PERIODS))
        return str(value)

    def _filters(self) -> dict[str, str]:
        stated = self.stated.get("filters", {})
        if not isinstance(stated, dict):
            self.refuse(f"filters = {_shown(stated)}", 'filters = { endpoint = "…" }')
        for key, value in stated.items():
            if not (key in FILTERS or (key.startswith(TAG) and key != TAG)):
                near = get_close_matches(key, FILTERS, 1)
                known = f"one of {_or(FILTERS)} or 'tag.<key>' in quotes"
                self.refuse(f"the unknown filter {key!r}", near[0] if near else known)
            if not isinstance(value, str):
                hint = '"tag.<key>" in quotes' if key == "tag" else f'{key} = "…"'
                self.refuse(f"the filter {key} = {_shown(value)}", f"a string: {hint}")
            self._printable(f"the filter {key!r}", key + value)
        return dict(stated)


def _or(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


def _shown(value: Any) -> str:
    return str(value) if isinstance(value, Decimal) else repr(value)
