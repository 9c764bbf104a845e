"""What a meter counts, by its name: which model, which part of its use, at which tier.

Clouds name meters for people, each family and each year in another way: `gpt-4o-mini-0718-Inp-glbl
Tokens`, `5.4 cd Inp Gl 1M Tokens` (Azure), `USE1-Claude3Sonnet-input-tokens`, `USE1-MP:USE1_Input
TokenCount-Units` (AWS), `Gemini 2.5 Flash GA Text Input - Predictions` (Google), `priority |
gpt-5.6-sol, output, long context` (OpenAI). All of them are words, most of which are known; what is
left is the model. Models are the same where their words are, in any order, and their numbers in one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from tollspan.processors.models import split, undated, unplaced

__all__ = ["CACHE_READ", "CACHE_WRITE", "INPUT", "OUTPUT", "Meter", "identity", "media", "meter"]

INPUT, OUTPUT, CACHE_READ, CACHE_WRITE = "input", "output", "cache_read", "cache_write"

IN = frozenset({"input", "inp", "in", "prompt"})
OUT = frozenset({"output", "outp", "out", "opt", "completion", "thinking", "response"})
CACHED = frozenset({"cached", "cchd", "ccchd", "cd", "cache", "caching"})
WRITTEN = frozenset({"write", "writes", "wr", "wrt", "creation"})
TIERS = {"batch": "batch", "priority": "priority", "pp": "priority", "flex": "flex"}
SENSES = frozenset({"text", "audio", "image", "video", "document"})
COUNTING = frozenset({"token", "tokens", "count", "units", "unit", "number", "1k", "1m", "million"})
PLACES = frozenset(
    {"glbl", "gl", "global", "regnl", "rg", "regional", "dzone", "dz", "datazone", "zone", "data"}
    | {"cross", "region", "mantle", "geo"}
)
OTHERS = frozenset(
    {"std", "standard", "ga", "predictions", "prediction", "long", "short", "longco", "shortco"}
    | {"context", "read", "hit", "hits", "amazon", "bedrock", "edition", "azure", "openai", "mp"}
    | {
        "co",
        "instruct",
        "preview",
        "latest",
        "on",
        "demand",
        "ondemand",
        "of",
        "for",
        "model",
        "usage",
        "service",
    }
)
KNOWN = IN | OUT | CACHED | WRITTEN | COUNTING | PLACES | OTHERS | frozenset(TIERS)
NO_USE = frozenset(
    {
        "storage",
        "hosting",
        "training",
        "hour",
        "provisioned",
        "finetuning",
        "customization",
        "session",
    }
)
"""In the name of a meter that counts something else than a model's tokens."""

MEDIA = frozenset(
    {"imagen", "veo", "lyria", "chirp", "dalle", "dall", "sora", "whisper", "tts", "canvas", "reel"}
)
"""A word of models whose use is counted in images, seconds or letters."""
MEASURED = frozenset(
    {"image", "images", "generate", "generation", "generations", "second", "seconds", "hours"}
    | {"video", "audio", "character", "characters", "speech", "per"}
)
"""Words beside such a model that do not belong to its name."""

AWS_REGION = re.compile(r"^(?:[A-Z]{2,4}\d{0,2}-)?(?:MP:[A-Z0-9]+_)?")
CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z][a-z])")
DATES = re.compile(
    r"(?<![\d.])(?:20\d{2}-[01]\d-[0-3]\d|20\d{2}[01]\d[0-3]\d|[01]\d[0-3]\d20\d{2}|[01]\d[0-3]\d)(?![\d.a-z])"
)
BARE = frozenset({"mini", "nano", "pro", "codex", "chat", "sol", "max", "turbo"})
"""Words that a GPT may have in its name when the meter leaves `gpt` to the product."""


class Meter(NamedTuple):
    """`model` in the export's own words; `part` is '' where the meter counts no tokens."""

    model: str
    part: str
    tier: str


@lru_cache(maxsize=8192)
def meter(name: str, product: str = "", *, aws: bool = False) -> Meter:
    """What the meter called `name` counts; `product` is what it belongs to, where that is stated."""
    text = unplaced(AWS_REGION.sub("", name)) if aws else name
    words = _words(text)
    if NO_USE & set(words):
        return Meter(name, "", "")
    tier = next((TIERS[word] for word in words if word in TIERS), "standard")
    part = _part(words)
    if not part and "embedding" in words and COUNTING & set(words):
        part = INPUT
    rest = [
        word
        for at, word in enumerate(words)
        if word not in KNOWN and not (word in SENSES and _next(words, at) in IN | OUT | CACHED)
    ]
    if not rest and product:  # a marketplace's meter: the product is the model
        rest = [word for word in _words(product) if word not in KNOWN]
    elif product and "gpt" in product.lower() and _is_bare(rest):
        rest.insert(0, "gpt")
    return Meter("-".join(rest), part, tier)


def media(found: Meter) -> str:
    """The model of a meter that counts images, seconds or letters; '' where it counts something else."""
    if found.part or not found.tier:
        return ""
    words = [word for word in _words(found.model) if word not in MEASURED]
    return "-".join(words) if MEDIA & set(words) else ""


def _part(words: Iterable[str]) -> str:
    there = set(words)
    if there & CACHED:
        return CACHE_WRITE if there & WRITTEN else CACHE_READ
    if there & OUT:
        return OUTPUT
    return INPUT if there & IN else ""


def _is_bare(words: Iterable[str]) -> bool:
    return all(word in BARE or not word[0].isalpha() for word in words)


def _next(words: list[str], at: int) -> str:
    """The word behind, over another sense: `Text Thinking Output`."""
    return next((word for word in words[at + 1 :] if word not in SENSES), "")


def _words(text: str) -> list[str]:
    text = DATES.sub(" ", CAMEL.sub(" ", text).lower())
    return [word for word in re.split(r"[^\w.]+|_", text) if word.strip(".")]


@lru_cache(maxsize=8192)
def identity(model: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """By what two names of one model are the same: its words without their order, and its numbers in
    theirs. `Claude 3.5 Haiku`, `claude-haiku-3-5` and `anthropic.claude-3-5-haiku-20241022-v1:0`."""
    if model.startswith("ft:"):
        model = f"ft-{model.split(':')[1]}"
    bare = undated(unplaced(split(model)[1]).partition("@")[0])
    found = re.findall(r"\d+[a-z]+|\d+|[^\W\d_]+", " ".join(_words(bare)))
    words = {word for word in found if not word.isdigit() and word not in KNOWN - {"turbo"}}
    numbers = tuple(word for word in found if word.isdigit() and word.strip("0"))
    if words & MEDIA:  # imagen-4.0-generate-001 is billed as Imagen 4 Generation
        words -= MEASURED
        numbers = tuple(each for each in numbers if not each.startswith("0"))
    return tuple(sorted(words)), numbers
