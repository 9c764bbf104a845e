"""The price file (`TOLLSPAN_PRICES`): negotiated rates and own models, before the public book.

TOML or JSON, a list `prices` of dated entries:

    [[prices]]
    provider = "openai"            # optional: any provider
    model = "gpt-4o-mini*"         # exact or a glob
    from = 2026-01-01              # optional: UTC day it applies from
    until = 2027-01-01             # optional: first day it does not apply
    tier = "flex"                  # optional: the served tier, or "batch"
    input_usd_per_mtok = 0.12
    output_usd_per_mtok = 0.48

    [[prices]]
    provider = "azure"
    model = "*"
    host = "acme-eu.*"             # optional: exact or a glob of the address that is asked
    times = 1.1                    # instead of prices: of every price of the book, of any tier
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from difflib import get_close_matches
from fnmatch import fnmatchcase
from fractions import Fraction
from pathlib import Path
from typing import Any, NoReturn

from .models import book_provider
from .tariff import Tariff, compiled

__all__ = ["PriceFile", "PriceFileError", "load"]

UNITS: Mapping[str, tuple[str, int]] = {
    "input_usd_per_mtok": ("input_tokens", 1_000_000),
    "output_usd_per_mtok": ("output_tokens", 1_000_000),
    "cache_read_usd_per_mtok": ("cache_read_tokens", 1_000_000),
    "cache_write_usd_per_mtok": ("cache_write_tokens", 1_000_000),
    "cache_write_5m_usd_per_mtok": ("cache_write_5m_tokens", 1_000_000),
    "cache_write_1h_usd_per_mtok": ("cache_write_1h_tokens", 1_000_000),
    "reasoning_usd_per_mtok": ("output_reasoning_tokens", 1_000_000),
    "audio_input_usd_per_mtok": ("input_audio_tokens", 1_000_000),
    "audio_output_usd_per_mtok": ("output_audio_tokens", 1_000_000),
    "audio_cache_read_usd_per_mtok": ("cache_audio_read_tokens", 1_000_000),
    "image_input_usd_per_mtok": ("input_image_tokens", 1_000_000),
    "image_output_usd_per_mtok": ("output_image_tokens", 1_000_000),
    "audio_usd_per_minute": ("audio_seconds", 60),
    "web_search_usd": ("web_searches", 1),
    "file_search_usd": ("storage_searches", 1),
    "code_run_usd": ("code_executions", 1),
    "other_fee_usd": ("other_fees", 1),
    "rerank_search_usd": ("rerank_searches", 1),
    "page_usd": ("input_document_pages", 1),
    "speech_usd_per_mchar": ("input_characters", 1_000_000),
    "request_usd": ("requests", 1),
}
"""Key of an entry to the unit it prices and how many of it the price is for."""

_WHICH = ("provider", "model", "host", "from", "until", "tier", "batch")
_TIMES = "times"
_INSIDE: Mapping[str, frozenset[str]] = {
    **{unit: frozenset() for unit, _ in UNITS.values()},
    "input_tokens": frozenset(
        {
            "cache_read_tokens",
            "cache_write_tokens",
            "cache_write_5m_tokens",
            "cache_write_1h_tokens",
            "input_audio_tokens",
            "cache_audio_read_tokens",
            "input_image_tokens",
        }
    ),
    "output_tokens": frozenset(
        {"output_reasoning_tokens", "output_audio_tokens", "output_image_tokens"}
    ),
    "cache_read_tokens": frozenset({"cache_audio_read_tokens"}),
    "cache_write_tokens": frozenset({"cache_write_5m_tokens", "cache_write_1h_tokens"}),
    "input_audio_tokens": frozenset({"cache_audio_read_tokens"}),
}


class PriceFileError(ValueError):
    """A price file that cannot be used. One sentence: file, entry, what is wrong, what to write."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: which calls it prices, and how."""

    number: int
    provider: str | None
    model: str
    begins: date
    ends: date
    tier: str | None
    host: str | None
    tariff: Tariff | None
    times: Fraction | None
    """Of the book's prices; either this or a `tariff`."""

    def fits(self, names: set[str], model: str, tier: str | None, day: date, host: str) -> bool:
        return (
            self.begins <= day < self.ends
            and (self.tier == tier or (self.tier is None and self.times is not None))
            and (self.provider is None or self.provider in names)
            and fnmatchcase(model, self.model)
            and (self.host is None or fnmatchcase(host, self.host))
        )

    @property
    def _rank(self) -> tuple[bool, int, bool, bool, bool, date]:
        """The nearest entry wins: exact over glob, longer glob, named host, provider, tier, later."""
        exact = not any(character in self.model for character in "*?[")
        named = self.host is not None, self.provider is not None, self.tier is not None
        return exact, len(self.model), *named, self.begins


@dataclass(frozen=True, slots=True)
class PriceFile:
    """The entries of one file. `version` is `file:<name>@<first 8 hex digits of its SHA-256>`."""

    version: str
    entries: tuple[Entry, ...]

    def find(
        self, provider: str, model: str, tier: str | None, day: date, host: str | None = None
    ) -> Entry | None:
        """The entry for a call of `model` at `provider` that started on `day` (UTC).

        `tier` is the served tier (`flex`, `batch`, …), None for the standard one; prices without a
        tier are for the standard one. `host` is the address that was asked.
        """
        model = model.lower()
        names = {provider.lower(), book_provider(provider) or provider.lower()}
        asked = (host or "").lower()
        fitting = [entry for entry in self.entries if entry.fits(names, model, tier, day, asked)]
        return max(fitting, key=lambda entry: entry._rank, default=None)


def load(path: str | Path) -> PriceFile:
    """Read a price file.

    Raises:
        PriceFileError: it is absent, not TOML or JSON, or an entry is wrong.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise PriceFileError(f"{path}: cannot be read ({error.strerror}): check the path") from None
    try:
        text = raw.decode()
        stated = (
            json.loads(text, parse_float=Decimal, parse_constant=Decimal)
            if path.suffix.lower() == ".json"
            else tomllib.loads(text, parse_float=Decimal)
        )
    except (ValueError, RecursionError) as error:
        kind = "JSON" if path.suffix.lower() == ".json" else "TOML"
        raise PriceFileError(f"{path}: is not valid {kind}: {error}") from None
    if not isinstance(stated, dict) or not isinstance(stated.get("prices"), list):
        raise PriceFileError(f"{path}: has no list of entries: write [[prices]] before each")
    for key in stated:
        if key != "prices":
            _unknown(str(path), key, ["prices"])
    entries = []
    for number, each in enumerate(stated["prices"], 1):
        entries.append(_entry(f"{path}: entry {number}", number, each))
    _check_overlaps(path, entries)
    digest = hashlib.sha256(raw).hexdigest()[:8]
    return PriceFile(f"file:{path.name}@{digest}", tuple(entries))


def _unknown(where: str, key: str, names: list[str]) -> NoReturn:
    near = get_close_matches(key, names, n=1, cutoff=0.0)
    raise PriceFileError(f"{where}: unknown key {key!r}: did you mean {near[0]!r}?")


def _entry(where: str, number: int, stated: Any) -> Entry:
    if not isinstance(stated, dict):
        raise PriceFileError(
            f"{where}: is not a table of keys: write model = …, input_usd_per_mtok = …"
        )
    for key in stated:
        if key not in UNITS and key not in _WHICH and key != _TIMES:
            _unknown(where, key, [*UNITS, *_WHICH, _TIMES])
    for key in ("provider", "model", "tier", "host"):
        if not isinstance(stated.get(key, ""), str):
            raise PriceFileError(
                f"{where}: {key} = {stated[key]!r} is not text: write it in quotes"
            )
    if not stated.get("model"):
        raise PriceFileError(f'{where}: has no model: write model = "…", a name or a glob')
    provider = stated.get("provider") or None
    begins = _day(where, "from", stated.get("from"), date.min)
    ends = _day(where, "until", stated.get("until"), date.max)
    if ends <= begins:
        raise PriceFileError(
            f"{where}: until is not after from: it is the first day without the price"
        )
    prices = {UNITS[key][0]: _usd(where, key, stated[key]) for key in stated if key in UNITS}
    times = _times(where, stated[_TIMES]) if _TIMES in stated else None
    if times is not None and prices:
        raise PriceFileError(f"{where}: has times and prices of its own: write one entry for each")
    if not prices and times is None:
        raise PriceFileError(f"{where}: has no price: write input_usd_per_mtok = … or another one")
    return Entry(
        number=number,
        provider=(book_provider(provider) or provider.lower()) if provider else None,
        model=str(stated["model"]).lower(),
        begins=begins,
        ends=ends,
        tier=_tier(where, stated),
        host=str(stated.get("host") or "").lower() or None,
        tariff=compiled(prices, dict(UNITS.values()), _INSIDE) if prices else None,
        times=times,
    )


def _tier(where: str, stated: Mapping[str, Any]) -> str | None:
    batch = stated.get("batch", False)
    if not isinstance(batch, bool):
        raise PriceFileError(f"{where}: batch = {batch!r} is not a yes or no: write true or false")
    if batch and stated.get("tier", "batch") != "batch":
        raise PriceFileError(f"{where}: has both tier and batch: write one entry for each")
    tier = "batch" if batch else str(stated.get("tier", "")).lower()
    return None if tier in ("", "default", "standard") else tier


def _times(where: str, value: Any) -> Fraction:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise PriceFileError(
            f"{where}: times = {value!r} is not a number: write 0.88 for 12 % less"
        )
    times = Decimal(value)
    if not times.is_finite() or not 0 <= times <= 1000:
        raise PriceFileError(
            f"{where}: times = {value} is no part of a price: write 0 to 1000, 0.88 for 12 % less"
        )
    return Fraction(times)


def _usd(where: str, key: str, value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise PriceFileError(f"{where}: {key} = {value!r} is not a number: write USD, such as 0.15")
    usd = Decimal(value)
    if not usd.is_finite() or usd < 0 or usd > 1_000_000:
        raise PriceFileError(
            f"{where}: {key} = {value} is no price: write USD from 0 to 1000000, such as 0.15"
        )
    return usd


def _day(where: str, key: str, value: Any, default: date) -> date:
    if value is None:
        return default
    if isinstance(value, datetime):
        return value.astimezone(UTC).date() if value.tzinfo else value.date()
    if isinstance(value, date):
        return value
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise PriceFileError(f"{where}: {key} = {value!r} is not a day: write it as 2026-01-31")


def _check_overlaps(path: Path, entries: list[Entry]) -> None:
    """A later `from` takes over from an earlier entry; everything else that overlaps is an error."""
    seen: dict[tuple[str | None, str, str | None, str | None], list[Entry]] = {}
    for entry in entries:
        whose = entry.provider, entry.model, entry.tier, entry.host
        for other in seen.setdefault(whose, []):
            first, second = sorted((other, entry), key=lambda each: each.begins)
            same_start = first.begins == second.begins
            stated_end = first.ends != date.max
            if same_start or (stated_end and second.begins < first.ends):
                raise PriceFileError(
                    f"{path}: entry {entry.number}: overlaps entry {other.number} for model "
                    f"{entry.model!r}: give it another from, or end the other one with until"
                )
        seen[whose].append(entry)
