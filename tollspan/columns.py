"""What the ledger calls the attributes of a call that are words."""

from __future__ import annotations

from . import semconv

__all__ = ["TEXTS"]

TEXTS = {
    "data_mode": semconv.DATA_MODE,
    "operation": semconv.OPERATION,
    "endpoint": semconv.ENDPOINT_TAG,
    "prompt": semconv.PROMPT_NAME,
    "prompt_version": semconv.PROMPT_VERSION,
    "tenant": semconv.TENANT,
    "user": semconv.USER,
    "session": semconv.SESSION,
    "provider": semconv.PROVIDER,
    "server_address": semconv.SERVER_ADDRESS,
    "request_model": semconv.REQUEST_MODEL,
    "response_model": semconv.RESPONSE_MODEL,
    "served_model": semconv.MODEL_SERVED,
    "route": semconv.ROUTE,
    "cost_grade": semconv.COST_GRADE,
    "cost_grade_reason": semconv.GRADE_REASON,
    "cost_source": semconv.COST_SOURCE,
    "waste_reason": semconv.WASTE_REASON,
    "unpriced_reason": semconv.UNPRICED_REASON,
    "service_tier": semconv.SERVICE_TIER,
    "price_version": semconv.PRICE_VERSION,
    "error_type": semconv.ERROR_TYPE,
    "upstream_confidence": semconv.UPSTREAM_CONFIDENCE,
    "blocked_by": semconv.BLOCKED_BY,
    "blame": semconv.BLAME,
    "response_id": semconv.RESPONSE_ID,
    "request_id": semconv.REQUEST_ID,
    "api_key": semconv.API_KEY_FINGERPRINT,
    "speed": semconv.SPEED,
    "inference_geo": semconv.INFERENCE_GEO,
}
"""Column of `llm_calls` to the attribute that it holds."""
