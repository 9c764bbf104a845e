"""What a call may cost at most, as far as its request says; that much is held back while it runs.

A tokenizer gives no more tokens than a text has bytes in UTF-8, so the texts of the request bound
its input, and `max_tokens` its output. What a provider adds by itself (a system prompt of its own,
tool results, an image in an address) nobody here can know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollspan import semconv
from tollspan.calls import OpenCall, Price

__all__ = ["most_usd"]

_NO_OUTPUT = ("embeddings", "rerank", "moderation", "count_tokens")
_MOST_PARTS = 4000
_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_BESIDE = 64
"""Tokens around a request: roles, separators, the names of its fields."""
_EACH = 8
_IMAGE = 2_000
"""Tokens of an image or a document that stands in the request as base64, about."""
_INLINE = 20_000
_PLAIN = frozenset({int, float, bool, type(None)})
_MOST_RATES = 512
_rates: dict[tuple[Any, ...], tuple[float, float] | None] = {}


def most_usd(call: OpenCall, price: Price | None) -> float | None:
    """US dollars that `call` costs at most; None where price, `max_tokens` or request are unknown."""
    known = call.attributes
    sending = call.sending
    if price is None or sending is None:
        return None
    body = sending.body
    output = 0
    if known.get(semconv.OPERATION) not in _NO_OUTPUT:
        limit = known.get(semconv.REQUEST_MAX_TOKENS)
        if limit is None:
            limit = next((body[name] for name in _LIMITS if name in body), None)
        if not isinstance(limit, int):
            return None
        output = limit * _count(known.get(semconv.REQUEST_CHOICE_COUNT))
    tokens = _input_tokens(body)
    if tokens is None:
        return None
    rates = _rates_of(known, tokens, price)
    return None if rates is None else tokens * rates[0] + output * rates[1]


def _count(choices: Any) -> int:
    return choices if isinstance(choices, int) and choices > 0 else 1


def _input_tokens(body: Mapping[str, Any]) -> int | None:
    """No fewer than the request has; None for one of too many parts to count in passing."""
    found = _BESIDE
    parts = 0
    waiting: list[Any] = [body]
    while waiting:
        part = waiting.pop()
        kind = type(part)
        if kind is list or kind is tuple:
            inside: Any = part
        elif kind is dict or isinstance(part, Mapping):
            found += _EACH
            inside = part.values()
        elif hasattr(part, "model_dump"):  # an answer's message, put into the next request as it is
            inside = vars(part).values()
        else:
            continue
        for each in inside:
            kind = type(each)
            if kind is str:
                long = len(each)
                if long > _INLINE and " " not in each[:_INLINE]:
                    found += _IMAGE
                else:
                    found += long if each.isascii() else long * 4
            elif kind not in _PLAIN:
                waiting.append(each)
        parts += len(inside)
        if parts > _MOST_PARTS:
            return None
    return found


def _rates_of(known: Mapping[str, Any], tokens: int, price: Price) -> tuple[float, float] | None:
    """US dollars for a token of input and of output, of a request about as long as this one."""
    provider, model = known.get(semconv.PROVIDER), known.get(semconv.REQUEST_MODEL)
    if not isinstance(provider, str) or not isinstance(model, str):
        return None
    tier = known.get(semconv.OPENAI_REQUEST_SERVICE_TIER)
    tier = tier if isinstance(tier, str) else None
    length = tokens.bit_length()
    key = (provider, model, tier, length)
    if key not in _rates:
        if len(_rates) >= _MOST_RATES:
            _rates.clear()
        # Priced at the next power of two: a longer context never costs less.
        size = 1 << length
        whole, alone = (
            price(provider, model, tier, size, 1000),
            price(provider, model, tier, size, 0),
        )
        if whole is None or alone is None:
            _rates[key] = None
        else:
            _rates[key] = alone / size, max(whole - alone, 0.0) / 1000
    return _rates[key]
