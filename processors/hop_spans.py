"""The hop spans of a call: each gateway and router that it passed, and where it ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollspan import semconv

from .gateways import Receipt
from .reach import Reached

__all__ = ["End", "hop_spans"]

End = tuple[str, str, "str | None"]
"""Role and name of the last hop, and its model."""


def hop_spans(
    reached: Reached, end: End | None, maker: str | None, overhead_ms: float | None
) -> list[dict[str, Any]]:
    """Attributes of each, outermost first.

    Args:
        reached: the gateways that were passed.
        end: None where nothing says where the call ended.
        maker: of the model at the end.
        overhead_ms: what the gateway added, if it is the only one.
    """
    hops: list[dict[str, Any]] = []

    def add(role: str, name: str, evidence: str, more: Mapping[str, Any]) -> None:
        hop = {
            semconv.HOP_INDEX: len(hops),
            semconv.HOP_ROLE: role,
            semconv.HOP_NAME: name,
            semconv.HOP_EVIDENCE: evidence,
        }
        for key, value in more.items():
            if value is not None:
                hop[key] = value
        hops.append(hop)

    for receipt in reached.passed or (Receipt(reached.gateway or "unknown"),):
        evidence = "inferred" if receipt.inferred else "reported"
        alone = overhead_ms if len(reached.passed) == 1 else receipt.overhead_ms
        add(
            receipt.role,
            receipt.name,
            evidence,
            {
                semconv.GATEWAY_NAME: receipt.name,
                semconv.GATEWAY_VERSION: receipt.version,
                semconv.GATEWAY_REQUEST_ID: receipt.request_id,
                semconv.MODEL_ROUTED: receipt.routed,
                semconv.MODEL_DEPLOYMENT: receipt.deployment,
                semconv.HOP_OVERHEAD: alone,
                semconv.HOP_ORDER: None if receipt.order_known else "unknown",
            },
        )
        if receipt.router:
            add("router", receipt.router, evidence, {semconv.GATEWAY_NAME: receipt.name})
    if end is not None:
        role, name, model = end
        about = {semconv.RESPONSE_MODEL: model, semconv.PROVIDER: maker if model else None}
        add(role, name, "reported", about)
    return hops
