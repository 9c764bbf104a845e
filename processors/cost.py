"""What a call cost: what is reported beats what is derived, both are kept, unknown is never zero.

Grades: `billed` somebody who charges says so; `derived` price × usage; `lower_bound` at least this;
`estimated` the price or the usage is in doubt; `unpriced` no amount.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tollspan import semconv

from .blame import well
from .gateways import usd
from .hops import Path
from .places import place_of
from .prices import STANDARD, Asked, Prices, Quote, count_unpriced, current
from .reach import status_of, transport_error, unsent
from .tariff import InconsistentUsage, rounded, total
from .usage import Counts, counts, estimated

__all__ = ["FREE", "Money", "money", "tier_of"]

Attributes = Mapping[str, Any]

FREE = ("count_tokens", "moderation")
"""Operations that cost nothing by nature: no amount, no grade."""

_NO_OUTPUT = ("embeddings", "rerank", "transcription", "translation", "ocr", "classification")
"""Operations whose answers need no output tokens to be complete."""

_DEAREST = Decimal(1_000_000)
_NOTHING = Decimal(0)
_USED = (
    "input_tokens",
    "output_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
    "input_image_tokens",
    "output_image_tokens",
    "audio_seconds",
    "input_characters",
    "web_searches",
    "storage_searches",
    "rerank_searches",
    "input_document_pages",
)

_CITED = "output_citation_tokens"
"""Of Perplexity's deep research; its answers state its use beside their own cost.
https://docs.perplexity.ai/docs/getting-started/pricing"""

_FEES = ("web_searches", "storage_searches", "code_executions", "other_fees")
"""What servers do besides answering, each for a fee of its own."""


@dataclass(slots=True)
class Money:
    """What one call cost, in USD. `amount` is None where it is not known."""

    amount: Decimal | None = None
    grade: str = "unpriced"
    reported: Decimal | None = None
    derived: Decimal | None = None
    avoided: Decimal | None = None
    wasted: Decimal | None = None
    waste_reason: str | None = None
    """Stands without `wasted` where something was paid for nothing, and nobody said how much."""
    reason: str | None = None
    """Why there is no amount (`tollspan.unpriced_reason`)."""
    doubt: str | None = None
    """Why the grade is not better (`tollspan.cost.grade_reason`)."""
    version: str = ""
    quote: Quote | None = None
    """What `derived` was counted by."""

    def attributes(self) -> dict[str, Any]:
        """As attributes of the owner span."""
        own: dict[str, Any] = {semconv.COST_ROLE: "owner", semconv.COST_GRADE: self.grade}
        if self.amount is not None:
            own[semconv.COST_AMOUNT] = float(rounded(self.amount))
            own[semconv.COST_CURRENCY] = "USD"
            own[semconv.COST_SOURCE] = "provider" if self.grade == "billed" else "local"
        elif self.reason:
            own[semconv.UNPRICED_REASON] = self.reason
        if self.derived is not None:
            own[semconv.COST_DERIVED] = (
                own[semconv.COST_AMOUNT]
                if self.derived is self.amount
                else float(rounded(self.derived))
            )
            own[semconv.PRICE_VERSION] = self.version
        if self.reported is not None:
            own[semconv.COST_REPORTED] = float(rounded(self.reported))
        if self.avoided is not None:
            own[semconv.COST_AVOIDED] = float(rounded(self.avoided))
        if self.waste_reason is not None:
            own[semconv.WASTE_REASON] = self.waste_reason
        if self.wasted:
            own[semconv.COST_WASTED] = float(rounded(self.wasted))
        if self.doubt and self.amount is not None:
            own[semconv.GRADE_REASON] = self.doubt
        return own


def money(
    call: Attributes,
    way: Path,
    attempts: Sequence[Attributes] = (),
    *,
    start_ns: int | None = None,
    prices: Prices | None = None,
    restated: bool = False,
) -> Money:
    """What `call` cost.

    Args:
        way: its path; says which model was served and what a gateway reports.
        attempts: its HTTP attempts; a lost one makes the amount a lower bound.
        start_ns: when it started, ns since the epoch; prices are dated.
        restated: its usage may stand under `tollspan.restated.*`.
    """
    found = Money(reported=way.reported)
    if found.reported is None:
        found.reported = _stated(call, way)
    _derive(found, call, way, start_ns, prices or current(), restated)
    if way.unreached:
        _unreached(found, way)
    elif found.reported is not None:
        paid = found.reported if way.charged is None else way.charged
        found.amount, found.grade, found.doubt = paid, "billed", None
    elif found.amount is not None:
        _grade(found, call, attempts)
    if way.extra is not None and found.amount is not None:
        found.amount = total((found.amount, way.extra))
    if found.amount is None:
        found.doubt = None
    if not well(call) and (status := call.get(semconv.STATUS)) != "blocked":
        spent = bool(found.amount) if found.amount is not None else _unseen(status, attempts)
        if spent:
            found.wasted = found.amount
            found.waste_reason = "abandoned" if status in ("abandoned", "cancelled") else "error"
    return found


def _stated(call: Attributes, way: Path) -> Decimal | None:
    """What the body says. 0 is no price unless the one who says it sends the bill."""
    stated = usd(call.get(semconv.COST_REPORTED))
    return stated if stated or way.provider == "openrouter" else None


def _unreached(found: Money, way: Path) -> None:
    """No model was asked: a known zero, and on a cache hit a known saving."""
    if way.cache_hit:
        found.avoided = found.reported if found.reported is not None else found.derived
    found.amount, found.grade = _NOTHING, "billed"
    found.reason = found.doubt = None


def _derive(
    found: Money,
    call: Attributes,
    way: Path,
    start_ns: int | None,
    prices: Prices,
    restated: bool,
) -> None:
    used = counts(call, restated=restated)
    # Failed calls are reported with zeros by some; nobody answers from nothing.
    guessed = not any(used.get(unit) for unit in _USED)
    if guessed and not (used := estimated(call)):
        found.reason = "no_usage"
        return
    answers = call.get(semconv.ANSWERS_SUMMED)
    if isinstance(answers, int) and answers > 0 and "input_tokens" in used:
        used = {**used, "request_input_tokens": used["input_tokens"] // answers}
    requested, tier = call.get(semconv.REQUEST_MODEL), call.get(semconv.SERVICE_TIER)
    asked = Asked(
        way.provider,
        way.served,
        way.answered,
        requested if isinstance(requested, str) else None,
        tier_of(tier, call.get(semconv.SPEED)),
        place_of(host := call.get(semconv.SERVER_ADDRESS), call.get(semconv.INFERENCE_GEO)),
        host if isinstance(host, str) else None,
    )
    quote = prices.quote(asked, start_ns)
    tariff = quote.tariff
    if tariff is None:
        found.reason = "unknown_model"
        count_unpriced(way.provider, str(way.served or way.answered or requested or "unknown"))
        return
    if not (tariff.flat or any(used.get(unit) for unit in tariff.units)):
        found.reason = "unknown_unit"
        return
    try:
        amount = tariff.amount(quote.counted(used))
    except InconsistentUsage:
        found.reason = "inconsistent_usage"
        return
    if amount >= _DEAREST:
        found.reason = "inconsistent_usage"
        return
    found.amount = found.derived = amount
    found.version, found.quote = quote.version, quote
    found.grade, found.doubt = _trust(call, way, used, quote)
    if guessed:
        found.grade, found.doubt = "estimated", "estimated_usage"


def tier_of(tier: Any, speed: Any) -> str | None:
    """What the price depends on: the served tier, and the speed where the tier is the usual one."""
    stated = tier if isinstance(tier, str) else ""
    if isinstance(speed, str) and speed.lower() not in STANDARD:
        return speed if stated.lower() in STANDARD else f"{stated}+{speed}"
    return stated or None


def _trust(call: Attributes, way: Path, used: Counts, quote: Quote) -> tuple[str, str | None]:
    if quote.doubt is not None:
        return "estimated", quote.doubt
    if way.hops and way.served is None and way.answered is None:
        return "estimated", "other_model"  # the name asked for is an alias of the gateway
    if quote.guessed(used):
        return "estimated", "unknown_unit"
    if way.untrusted or call.get(semconv.USAGE_UNTRUSTED):
        return "estimated", "untrusted_usage"
    tariff = quote.tariff
    assert tariff is not None
    models = call.get(semconv.MODELS_USED)
    if isinstance(models, list | tuple) and len(models) > 1:
        return "estimated", "other_model"
    if call.get(semconv.ANSWERS_SUMMED) and len(tariff.segments) > 1:
        return "estimated", "summed_usage"  # the price depends on how long each one's input was
    if quote.unheard(used):
        return "lower_bound", "unknown_unit"
    if _CITED in tariff.units and _CITED not in used:
        return "lower_bound", "missing_usage"  # what it reads and searches for is most of its price
    if tariff.flat and way.provider == "perplexity":
        return "estimated", "unknown_fee"  # by how much it searches; the book has the dearest
    if any(used.get(fee) and fee not in tariff.units for fee in _FEES):
        return "lower_bound", "unknown_fee"
    if "audio_seconds" not in used and (
        ("input_tokens" not in used and "input_tokens" in tariff.units)
        or (
            "output_tokens" not in used
            and "output_tokens" in tariff.units
            and call.get(semconv.OPERATION) not in _NO_OUTPUT
        )
    ):
        return "lower_bound", "missing_usage"
    return "derived", None


def _grade(found: Money, call: Attributes, attempts: Sequence[Attributes]) -> None:
    if found.grade != "derived":
        return
    # What a filter of the model stopped came whole; what a guardrail withheld is an error.
    if not well(call) and (call.get(semconv.STATUS) != "blocked" or semconv.ERROR_TYPE in call):
        found.grade, found.doubt = "lower_bound", "partial_answer"
    elif len(attempts) > 1 and _lost(attempts):
        found.grade, found.doubt = "lower_bound", "attempt_lost"


def _unseen(status: Any, attempts: Sequence[Attributes]) -> bool:
    """Whether a model worked, as far as anybody can tell, for an answer that never came whole."""
    if not attempts:
        return bool(status == "abandoned")
    code = status_of(attempts[-1])
    if code is not None:
        return code < 400 or code in (408, 504)  # somebody waited for an answer
    error = transport_error(attempts[-1])
    return error is not None and not unsent(error)


def _lost(attempts: Sequence[Attributes]) -> bool:
    """Whether a request before the last may have been answered without anybody hearing it."""
    for attempt in attempts[:-1]:
        error = transport_error(attempt)
        if error is not None and not unsent(error):
            return True
        if error is None and semconv.ERROR_TYPE in attempt:
            status = status_of(attempt)
            if status is not None and status < 400:
                return True  # it began to answer and broke off
    return False
