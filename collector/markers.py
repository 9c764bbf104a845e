"""Which spans can be about GenAI at all, told by their bytes. (foreign names)

A span that is none is never opened. What is looked for stands in every span that `operation` of
`processors/foreign.py` or `evidence` knows; more is found than that, which costs time and nothing
else. Names are UTF-8 in protobuf as they are in Python.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

__all__ = ["MARKERS", "marked", "of_a_call", "present", "speaks"]

MARKERS = (
    b"gen_ai.",
    b"span.kind",  # openinference.span.kind, langsmith.span.kind
    b"token_count",  # llm.token_count.prompt, model.token_count_prompt
    b"ai.operationId",
    b"llm.request.type",
    b"langfuse.observation.",
    b"llm.usage.prompt_tokens",
)
_STORY = (b"http.request.method", b"tollspan.", b"litellm.request.deployment_selected")
"""In spans without a model that may be part of a call's story: attempts, hops, evidence."""
_SCOPES = ("litellm", "tensorzero")
"""Their spans are evidence by name: see `evidence.is_evidence`."""


def speaks(scope: str) -> bool:
    """Whether spans of an instrumentation scope by this name are opened in any case."""
    return scope.startswith(_SCOPES)


def of_a_call(raw: bytes) -> bool:
    """Whether a span that has none of `MARKERS` may be part of a call's story."""
    return any(each in raw for each in _STORY)


def present(body: bytes) -> list[bytes]:
    """Those of `MARKERS` that are anywhere in a request."""
    # From the end: in half a megabyte that has none, CPython looks twice as fast in that direction.
    return [each for each in MARKERS if body.rfind(each) >= 0]


def marked(spans: Sequence[bytes], markers: Sequence[bytes]) -> list[int]:
    """Places in `spans` of those that have one of `markers` in them."""
    whole = b"".join(spans)
    ends: list[int] = []
    found: set[int] = set()
    for marker in markers:
        at = whole.find(marker)
        while at >= 0:
            ends = ends or list(accumulate(map(len, spans)))
            place = bisect_right(ends, at)
            # Across the end of one span nothing is found that a span had not said itself.
            if at + len(marker) <= ends[place]:
                found.add(place)
                at = whole.find(marker, ends[place])
            else:
                at = whole.find(marker, at + 1)
    return sorted(found)
