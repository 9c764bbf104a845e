"""What an ended call cost and which way it went: one pure function for every place that asks.

The span processor asks it in the application, the collector stage of spans that came over OTLP,
tests of a dict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from tollspan import semconv

from .blame import well
from .cost import FREE, Money, money
from .hops import path
from .prices import Prices, current, same_model
from .tariff import total
from .usual import keep, kind_of
from .waste import Inner, answering, besides, fell_back, is_slow, lost_time

__all__ = ["Inner", "Settled", "settle"]

Attributes = Mapping[str, Any]


class Settled(NamedTuple):
    """Attributes to add to the call span, and those of each hop span, outermost first."""

    attributes: dict[str, Any]
    hops: tuple[Attributes, ...] = ()


_AS_IT_IS = Settled({})
_NEVER_LEFT = {
    semconv.COST_ROLE: "owner",
    semconv.BLAME: "app",
    semconv.BLAME_EVIDENCE: "guardrail",
}
"""A rule of the application's own refused the call: it has no cost, known or unknown, and no path."""
_FROM_INNER = (semconv.PROVIDER, semconv.SERVER_ADDRESS, semconv.RESPONSE_MODEL)


def settle(
    call: Attributes,
    attempts: Sequence[Attributes] = (),
    inner: Sequence[Inner] = (),
    *,
    start_ns: int | None = None,
    end_ns: int | None = None,
    last_ns: int | None = None,
    prices: Prices | None = None,
) -> Settled:
    """Settle one call: the same attributes give the same answer, whoever asks and how often.

    Args:
        call: attributes of its span, by semantic-convention name.
        attempts: attributes of each HTTP attempt, in order, with allow-listed response headers
            under `http.response.header.<name>` in either spelling.
        inner: calls that ended inside this one (a library around an SDK), in order.
        start_ns: when it started, ns since the epoch; None is now. Prices are dated.
        end_ns: when it ended; None leaves out what is said of time.
        last_ns: when its last HTTP attempt started.
        prices: instead of those that the settings ask for.

    A call that already has a `tollspan.cost.role` is passed through: nothing is added.
    """
    if semconv.COST_ROLE in call:
        return _AS_IT_IS
    if call.get(semconv.BLOCKED_BY) == "app" and not attempts:
        return Settled(dict(_NEVER_LEFT))
    looked = None
    took_ns = end_ns - start_ns if end_ns is not None and start_ns is not None else 0
    if not inner and start_ns is not None and not is_slow(took_ns):
        prices = prices or current()
        looked = kind_of(call, attempts, start_ns)
        usual = prices.usual.get(looked.kind) if looked is not None else None
        if looked is not None and usual is not None:
            known = usual.settled(looked.used)
            if known is not None:
                return tuple.__new__(Settled, (known, ()))  # in a third of the constructor's time
    answer = None
    if inner:
        answer = answering(call, inner) or inner[-1]
        call = {**_known(answer.attributes), **call}
    way = path(call, attempts)
    own = way.attributes
    if call.get(semconv.OPERATION) in FREE or _is_yet_to_answer(call):
        own[semconv.COST_ROLE] = "owner"
        return Settled(own, way.hops)
    if answer is not None and way.reported is None and semconv.COST_REPORTED not in call:
        stated = answer.attributes.get(semconv.COST_REPORTED)
        if stated is not None and answering(call, inner) is answer:
            call = {**call, semconv.COST_REPORTED: stated}
    cost = money(call, way, attempts, start_ns=start_ns, prices=prices)
    if inner:
        _add(cost, besides(call, inner), start_ns, prices)
        _note_fallback(own, inner)
    own.update(cost.attributes())
    if took_ns > 0 and start_ns is not None:
        waited_ns = last_ns - start_ns if last_ns is not None else 0
        own.update(lost_time({**call, **own}, attempts, way, took_ns, waited_ns))
    if looked is not None and prices is not None and not way.hops:
        keep(prices.usual, looked, own, cost.quote)
    return Settled(own, way.hops)


def _is_yet_to_answer(call: Attributes) -> bool:
    """A later call gives the answer, and the usage with it."""
    return (
        call.get(semconv.BACKGROUND) is True
        and semconv.INPUT_TOKENS not in call
        and call.get(semconv.STATUS) == "success"
    )


def _known(inner: Attributes) -> dict[str, Any]:
    return {name: inner[name] for name in _FROM_INNER if name in inner}


def _add(cost: Money, extra: Sequence[Inner], start_ns: int | None, prices: Prices | None) -> None:
    """Add what the other attempts burned. One whose price is unknown leaves a lower bound."""
    amounts: list[Decimal] = []
    unknown = False
    for each in extra:
        way = path(each.attributes, each.attempts)
        burned = money(
            each.attributes,
            way,
            each.attempts,
            start_ns=start_ns,
            prices=prices,
            restated=True,
        )
        if burned.amount is None:
            unknown = True
        else:
            amounts.append(burned.amount)
    if not extra:
        return
    spent = total(amounts)
    why = "duplicate" if all(well(each.attributes) for each in extra) else "retry"
    if spent:
        if cost.amount is None:
            # The answer itself has no price, or there was none: what is known was burned.
            cost.amount, cost.reason, cost.waste_reason = spent, None, cost.waste_reason or "error"
            unknown = True
        else:
            cost.amount = total((cost.amount, spent))
            cost.waste_reason = cost.waste_reason or why
        cost.wasted = total((cost.wasted or Decimal(0), spent))
    if unknown and cost.amount is not None and cost.grade != "estimated":
        cost.grade, cost.doubt = "lower_bound", "attempt_lost"


def _note_fallback(own: dict[str, Any], inner: Sequence[Inner]) -> None:
    if not fell_back(inner):
        return
    own.setdefault(semconv.FALLBACK, True)
    first = inner[0].attributes
    asked, served = first.get(semconv.REQUEST_MODEL), own.get(semconv.MODEL_SERVED)
    if asked and served:
        same = same_model(str(first.get(semconv.PROVIDER) or "unknown"), asked, served)
        own[semconv.MODEL_SWAPPED] = not same
