"""One call that has ended in this process, as `tollspan.tally` and `TOLLSPAN_PRINT` tell of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tollspan import semconv
from tollspan.calls import OpenCall

from . import figures

__all__ = ["Sum", "TalliedCall", "read"]


@dataclass(frozen=True, slots=True)
class TalliedCall:
    """A call under the names that `tollspan calls --json` has for it; None is what nobody knows."""

    time: str
    """Its start, ISO 8601 in UTC."""
    operation: str | None
    provider: str | None
    request_model: str | None
    served_model: str | None
    route: str | None
    """Low cardinality: `litellm > openai/gpt-4o-mini`."""
    endpoint: str | None
    prompt: str | None
    prompt_version: str | None
    tenant: str | None
    user: str | None
    session: str | None
    input_tokens: int | None
    """All of the input, cached tokens included."""
    output_tokens: int | None
    cost_usd: Decimal | None
    cost_grade: str | None
    """`billed`, `derived`, `lower_bound`, `estimated` or `unpriced`; None where there was nothing to
    pay for: tokens that were only counted, a call that never left."""
    status: str
    """`success`, `error`, `cancelled`, `abandoned` or `blocked`."""
    error_type: str | None
    duration_s: float
    time_to_first_chunk_s: float | None
    app_attempts: int | None
    """HTTP requests that the SDK made for it."""
    attributes: Mapping[str, Any]
    """All that its span carries: docs/attributes.md."""


def read(call: OpenCall) -> TalliedCall:
    """What `call`, which has been settled, told of itself."""
    known = call.attributes
    amount = known.get(semconv.COST_AMOUNT)
    return TalliedCall(
        time=datetime.fromtimestamp(call.start_ns / 1e9, UTC).isoformat(timespec="milliseconds"),
        operation=known.get(semconv.OPERATION),
        provider=known.get(semconv.PROVIDER),
        request_model=known.get(semconv.REQUEST_MODEL),
        served_model=known.get(semconv.MODEL_SERVED),
        route=known.get(semconv.ROUTE),
        endpoint=known.get(semconv.ENDPOINT_TAG),
        prompt=known.get(semconv.PROMPT_NAME),
        prompt_version=known.get(semconv.PROMPT_VERSION),
        tenant=known.get(semconv.TENANT),
        user=known.get(semconv.USER),
        session=known.get(semconv.SESSION),
        input_tokens=known.get(semconv.INPUT_TOKENS),
        output_tokens=known.get(semconv.OUTPUT_TOKENS),
        cost_usd=None
        if amount is None
        else Decimal(repr(amount)),  # its digits, as ledgers have it
        cost_grade=known.get(semconv.COST_GRADE),
        status=known.get(semconv.STATUS, "success"),
        error_type=known.get(semconv.ERROR_TYPE),
        duration_s=max(call.end_ns - call.start_ns, 0) / 1e9,
        time_to_first_chunk_s=known.get(semconv.TIME_TO_FIRST_CHUNK),
        app_attempts=known.get(semconv.APP_ATTEMPTS),
        attributes=dict(known),
    )


class Sum:
    """What calls came to, as far as it is known."""

    def __init__(self, calls: Iterable[TalliedCall] = ()) -> None:
        self.number = 0
        self.cost_usd = Decimal(0)
        self.unpriced = 0
        self.is_lower_bound = False
        for each in calls:
            self.add(each)

    def add(self, call: TalliedCall) -> None:
        self.number += 1
        self.cost_usd += call.cost_usd or 0
        self.unpriced += call.cost_grade == "unpriced"
        self.is_lower_bound = self.is_lower_bound or call.cost_grade == "lower_bound"

    def text(self, still_open: int = 0) -> str:
        """`3 calls, $0.0123; what 1 of them cost is not known; 1 more has not ended`."""
        parts = [f"{self.number} call{'' if self.number == 1 else 's'}"]
        if self.number > self.unpriced:
            mark = "≥" if self.is_lower_bound else ""
            parts[0] += f", {mark}{figures.summed(self.cost_usd)}"
        if self.unpriced:
            which = "it" if self.number == 1 else f"{self.unpriced} of them"
            parts.append(f"what {which} cost is not known")
        if still_open:
            parts.append(f"{still_open} more {'has' if still_open == 1 else 'have'} not ended")
        return "; ".join(parts)
