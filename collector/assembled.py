"""A request put together again around spans that have changed.

By hand: what protobuf would copy three times is copied once, and that is a tenth of the whole step.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

from .fields import head

__all__ = ["Changed", "assembled"]

Changed = tuple[Sequence[bytes], Sequence[bytes]]
"""Spans of one scope, and the fields to append to each."""

RESOURCE_SPANS = b"\x0a"
SCOPE_SPANS = SPANS = b"\x12"
"""Tags: field 1 of a request, field 2 of a resource's spans and of a scope's."""


def assembled(bundle: Any, changed: Mapping[tuple[int, int], Changed]) -> bytes:
    """`bundle` as bytes, with `changed` spans by place of the resource and of the scope in it. Of
    the bundle nothing is left afterwards."""
    parts: list[bytes] = []
    for number, resource in enumerate(bundle.resource_spans):
        inside: list[bytes] = []
        for place, scope in enumerate(resource.scope_spans):
            inside += _scope(scope, changed.get((number, place)))
        resource.ClearField("scope_spans")
        inside.append(resource.SerializeToString())
        parts.append(head(RESOURCE_SPANS, sum(map(len, inside))))
        parts += inside
    bundle.ClearField("resource_spans")
    parts.append(bundle.SerializeToString())
    return b"".join(parts)


def _scope(scope: Any, changed: Changed | None) -> list[bytes]:
    if changed is None:
        whole = scope.SerializeToString()
        return [head(SCOPE_SPANS, len(whole)), whole]
    spans, appended = changed
    sizes = list(map(operator.add, map(len, spans), map(len, appended)))
    heads = list(map(_head, sizes))
    scope.ClearField("spans")
    rest = scope.SerializeToString()
    size = sum(sizes) + sum(map(len, heads)) + len(rest)
    pieces = chain.from_iterable(zip(heads, spans, appended, strict=True))
    return [head(SCOPE_SPANS, size), rest, *pieces]


@lru_cache(maxsize=65_536)
def _head(size: int) -> bytes:
    """Tag and length of a span of `size` bytes."""
    return head(SPANS, size)
