"""What it costs more that a model works in one place only: the book has the prices of the world over.

Only rates of tokens are dearer, fees of tools are not. Bedrock is not here: the book knows its places.

OpenAI: https://developers.openai.com/api/docs/guides/data-residency
Anthropic: https://platform.claude.com/docs/en/about-claude/pricing (`inference_geo`)
Claude on Vertex: https://platform.claude.com/docs/en/build-with-claude/claude-on-vertex-ai
Gemini on Vertex: https://cloud.google.com/vertex-ai/generative-ai/pricing
Together: https://docs.together.ai/docs/serverless/geo-specific-inference
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import Any

__all__ = ["ELSEWHERE", "US", "place_of", "uplift"]

US = "us"
"""Of Anthropic's places the one that is dearer."""
ELSEWHERE = "elsewhere"
"""A place that an answer names and that no price list does."""

_ANYWHERE = (None, "", "global", "not_available")
_HOSTS = (
    # Hosts where it works in one place, and the book's id of who sells there.
    (r"[a-z]{2,4}\.api\.openai\.com", "openai"),
    (r".+-aiplatform\.googleapis\.com|aiplatform\.[a-z]+\.rep\.googleapis\.com", "google"),
    (r"[a-z]{2}-api\.together\.(?:ai|xyz)", "together"),
)
_AS_LISTED, _TENTH, _QUARTER = Fraction(1), Fraction(11, 10), Fraction(5, 4)

_SINCE = {
    # From which version on it costs more, by how the names of models begin.
    "openai": ((r"gpt-(\d+)(?:\.(\d+))?(?![\d.])", (5, 4)), (r"gpt-realtime-(\d+)\.(\d+)", (2, 1))),
    "google": (
        (r"claude-[a-z]+-(\d+)(?:-(\d{1,2}))?(?!\d)", (4, 5)),
        (r"gemini-(\d+)(?:\.(\d+))?(?![\d.])", (3, 1)),
    ),
}
"""OpenAI's rule is the day of release, 5 March 2026, when version 5.4 was."""


def place_of(host: Any, geo: Any) -> str | None:
    """What of a call's place its price depends on; None for inference wherever there is room.

    Args:
        host: `server.address`.
        geo: where the answer says that it was made (`tollspan.inference_geo`).
    """
    if geo not in _ANYWHERE:
        return US if geo == US else ELSEWHERE
    return _door(host) if isinstance(host, str) else None


@lru_cache(maxsize=1024)
def _door(host: str) -> str | None:
    host = host.lower().rstrip(".")
    return next((whose for pattern, whose in _HOSTS if re.fullmatch(pattern, host)), None)


@lru_cache(maxsize=1024)
def uplift(place: str | None, seller: str, model: str) -> Fraction | None:
    """How many times the price of the book tokens cost at `place`; None where nobody says.

    `seller` and `model` are ids of the book.
    """
    if place == US and seller == "anthropic":
        return _TENTH
    if place in (US, ELSEWHERE):
        return None
    if place != seller:
        return _AS_LISTED  # another one sells it, or the place makes no difference
    if place == "together":
        return _QUARTER
    for pattern, since in _SINCE[place]:
        named = re.match(pattern, model)
        if named is not None:
            version = int(named[1]), int(named[2] or 0)
            return _TENTH if version >= since else _AS_LISTED
    return _AS_LISTED
