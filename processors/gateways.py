"""The table of gateways, one row each, and how an answer is read by it.

Several gateways may have written on one answer: then their order is what has to be found out.
How to add one: docs/gateways.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tollspan import semconv

from .direct import is_direct, is_provider
from .receipt import PROVIDER_MARKS, Headers, Receipt, Rule, Said, usd
from .rules_hosted import CLOUDFLARE, FOUNDRY, HELICONE, NGROK, OPENROUTER, VERCEL
from .rules_litellm import LITELLM
from .rules_portkey import PORTKEY
from .rules_selfhosted import (
    BIFROST,
    ENVOY,
    INTERACTIVE,
    KONG,
    KONG_ALONE,
    OTARI,
    OTOROSHI,
    ROUTELLM,
    SEMANTIC_ROUTER,
    TENSORZERO,
)
from .unknown import HINTS, UNKNOWN, seems_passed_on, unproven

__all__ = [
    "FINGERPRINT_ATTRIBUTES",
    "HINT_ATTRIBUTES",
    "HOSTS",
    "MARKS",
    "RULES",
    "UNKNOWN",
    "Passed",
    "Receipt",
    "doubtful",
    "headers",
    "may_show",
    "passed",
    "usd",
]

_PREFIX = semconv.RESPONSE_HEADER_PREFIX
_BEHIND = "llm-provider-"
"""LiteLLM puts this before the name of each header that it received: one hop further in."""
_DEEPEST = 5

RULES: tuple[Rule, ...] = (
    LITELLM,
    PORTKEY,
    BIFROST,
    CLOUDFLARE,
    KONG,
    SEMANTIC_ROUTER,
    OTOROSHI,
    HELICONE,
    NGROK,
    TENSORZERO,
    INTERACTIVE,
    OTARI,
    OPENROUTER,
    FOUNDRY,
    VERCEL,
    ROUTELLM,
    ENVOY,
    KONG_ALONE,
)

MARKS = PROVIDER_MARKS | {"x-request-id", "request-id"}
"""What providers put on their answers, errors included, where no gateway can have done it."""

_STRONG = tuple(rule for rule in RULES if not rule.weak)
_WEAK = tuple(rule for rule in RULES if rule.weak)
_BY_HEADER: dict[str, tuple[Rule, ...]] = {}
for _rule in _STRONG:
    for _name in _rule.headers:
        _BY_HEADER[_name] = (*_BY_HEADER.get(_name, ()), _rule)
_BY_HOST = {host: rule for rule in _STRONG for host in rule.hosts}
_BY_CALL = tuple(rule for rule in _STRONG if rule.known is not None)
HOSTS = frozenset(_BY_HOST)


def _as_attributes(names: Iterable[str]) -> frozenset[str]:
    """The header `names` as they stand on an attempt, in either spelling."""
    return frozenset(
        _PREFIX + spelled for name in names for spelled in (name, name.replace("-", "_"))
    )


FINGERPRINT_ATTRIBUTES = _as_attributes(_BY_HEADER)
"""Headers that name a gateway; most attempts have none, which this tells fast."""
HINT_ATTRIBUTES = _as_attributes(HINTS.union(*(rule.headers for rule in _WEAK)))
"""Headers that say something only where the host is no provider's."""


_Place = tuple[int, str]
"""How deep a header was written, 0 by the outermost gateway, and its own lower-case name."""


class _Places(dict[str, "_Place | None"]):
    """Attribute name to the header that it stands for; None for one that is no header.

    Two spellings exist: ours keeps the dashes, the HTTP instrumentation of OpenTelemetry writes
    underscores. Names come from outside: all are forgotten when there are 4,096 of them.
    """

    def __missing__(self, attribute: str) -> _Place | None:
        place: _Place | None = None
        if attribute.startswith(_PREFIX):
            name = attribute[len(_PREFIX) :].replace("_", "-").lower()
            depth = 0
            while name.startswith(_BEHIND):
                name = name[len(_BEHIND) :]
                depth += 1
            if depth < _DEEPEST:
                place = depth, name
        if len(self) >= 4096:
            self.clear()
        self[attribute] = place
        return place


_places = _Places()


def headers(attributes: Mapping[str, Any]) -> list[dict[str, str]]:
    """Response headers on an attempt by lower-case name with dashes, the outermost level first."""
    levels: list[dict[str, str]] = [{}]
    for attribute, value in attributes.items():
        place = _places[attribute]
        if place is None:
            continue
        if type(value) is not str:
            value = value[0] if isinstance(value, (list, tuple)) and value else None
            if not isinstance(value, str):
                continue
        depth, name = place
        while depth >= len(levels):
            levels.append({})
        levels[depth][name] = value
    return levels


def doubtful(host: str | None, call: Mapping[str, Any]) -> bool:
    """Whether something that nobody names may stand at `host`: it is no provider's, and nobody
    said that models are served there."""
    return host is not None and not is_provider(host) and not is_direct(host, call)


class Passed(tuple[Receipt, ...]):
    """Receipts of the gateways that an answer passed, outermost first."""

    marked: bool = False
    """A provider behind them left its mark."""


def passed(
    attempt: Mapping[str, Any],
    call: Mapping[str, Any],
    *,
    answered: bool,
    host: str | None = None,
) -> Passed:
    """The gateways that one answer passed.

    Args:
        attempt: attributes of the attempt.
        call: what is known of the call: all of it for the last attempt, of those before only what
            was asked for.
        answered: the attempt's status was a success.
        host: `server.address` that the application asked.
    """
    levels = headers(attempt)
    receipts: list[Receipt] = []
    told: list[Rule] = []
    behind = call.get(semconv.GATEWAY_UPSTREAM_STATUS) is not None
    marked = behind
    for depth, level in enumerate(levels):
        rules, order_known = _written_on(level, host, call, outermost=depth == 0)
        told.extend(rules)
        deeper = levels[depth + 1] if depth + 1 < len(levels) else None
        if deeper is None and may_show(call):
            # What a body shows stands behind all that wrote on its headers.
            rules += [rule for rule in _BY_CALL if rule not in told and _shows(rule, call)]
        for rule in rules:
            seen = behind or not rule.marks.isdisjoint(level)
            if not seen and deeper is not None:
                seen = not MARKS.isdisjoint(deeper)
            # What an error's body tells, it tells of the outermost one.
            about = call if answered or depth == 0 else _NOTHING
            receipt = rule.read(Said(level, about, attempt, answered, seen))
            if receipt is not None:
                receipt.order_known = order_known
                receipts.append(receipt)
                marked = seen
    if len(levels) > 1:
        marked = behind or not MARKS.isdisjoint(levels[-1])
    outer = levels[0]
    if not receipts and seems_passed_on(outer, call, answered) and doubtful(host, call):
        receipts.append(unproven(Said(outer, call, attempt, answered, marked=True)))
        marked = True
    result = Passed(receipts)
    result.marked = marked
    return result


_NOTHING: Mapping[str, Any] = {}


def may_show(call: Mapping[str, Any]) -> bool:
    """Whether what is known of a call may show a gateway, all headers apart."""
    return (
        semconv.GATEWAY_STATED in call
        or semconv.RESPONSE_PROVIDER in call
        or _is_alias(call.get(semconv.REQUEST_MODEL))
        or _is_alias(call.get(semconv.RESPONSE_MODEL))
    )


def _is_alias(model: object) -> bool:
    return isinstance(model, str) and model.startswith(("tensorzero::", "router-"))


def _shows(rule: Rule, call: Mapping[str, Any]) -> bool:
    return rule.known is not None and rule.known(call)


def _written_on(
    level: Headers, host: str | None, call: Mapping[str, Any], *, outermost: bool
) -> tuple[list[Rule], bool]:
    """The gateways whose headers stand on `level`, in their order, and whether that is known."""
    rules = [rule for name in _BY_HEADER.keys() & level.keys() for rule in _BY_HEADER[name]]
    if outermost:
        if host in _BY_HOST:
            rules.append(_BY_HOST[host])
        if not rules and doubtful(host, call):
            rules = [rule for rule in _WEAK if not rule.headers.isdisjoint(level)]
    return _in_order(rules, host)


def _in_order(rules: list[Rule], host: str | None) -> tuple[list[Rule], bool]:
    """Each of `rules` once, the outermost first, and whether that order is known.

    The outer one is that at whose host the application asked. Otherwise one that keeps back what
    it receives must be the inner one, or the other's headers would not be there.
    """
    if len(rules) < 2:
        return rules, True
    once = list(dict.fromkeys(rules))
    if len(once) == 1:
        return once, True
    once.sort(key=lambda rule: (host not in rule.hosts, not rule.passes_on, RULES.index(rule)))
    at_host = host in once[0].hosts
    rest = once[1:] if at_host else once
    return once, len(rest) == 1 or (len(rest) == 2 and rest[0].passes_on != rest[1].passes_on)
