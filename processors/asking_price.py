"""What a call of so many tokens costs, asked before there is an answer."""

from __future__ import annotations

from .cost import tier_of
from .places import place_of
from .prices import Asked, current
from .usage import Counts

__all__ = ["asking_price"]


def asking_price(
    provider: str,
    model: str,
    tier: str | None,
    input_tokens: int,
    output_tokens: int,
    host: str | None = None,
    geo: str | None = None,
) -> float | None:
    """US dollars, as of now; None where no price of `model` is known. Counts nothing as unpriced.

    Args:
        host: that is asked; some serve one region only, for more.
        geo: where the request wants the model to work (Anthropic's `inference_geo`).
    """
    asked = Asked(provider, None, None, model, tier_of(tier, None), place_of(host, geo), host)
    quote = current().quote(asked)
    if quote.tariff is None:
        return None
    counts: Counts = {"input_tokens": input_tokens, "output_tokens": output_tokens}
    return float(quote.tariff.amount(quote.counted(counts)))
