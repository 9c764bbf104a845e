"""The allow-list of response headers: ids, limits, gateways and what they chose; and what is a secret.

Lower-case patterns of whole names. They are compiled when they are first used: that takes longer than
all else of an import.
"""

from __future__ import annotations

__all__ = ["ALLOWED", "SECRET_IN_SETTING", "SECRET_VALUE", "SECRET_WORDS"]

_SUFFIX = r"[a-z0-9_-]{1,80}"
ALLOWED = (
    # A LiteLLM renames what came from behind it, once per proxy: each prefix is one hop further in.
    r"(?:llm_provider-){0,4}(?:"
    + "|".join(
        (
            # providers: ids, timing, limits
            r"x-request-id|request-id|apim-request-id|x-ms-region",
            r"openai-processing-ms|openai-version",
            rf"x-ratelimit-(?:limit|remaining|reset)(?:-{_SUFFIX})?",
            rf"anthropic-ratelimit-{_SUFFIX}",
            r"(?:x-)?ratelimitbysize-(?:limit|remaining|reset|query-cost)(?:-minute|-month)?",
            r"x-ratelimit-tokens-query-cost|mistral-correlation-id|x-groq-region",
            r"x-tokenlimit-(?:limit|remaining)|x-debug-trace-id",
            r"x-(?:trial-)?endpoint-(?:monthly-)?call-(?:limit|remaining)",
            r"retry-after|retry-after-ms",
            r"x-amzn-(?:requestid|errortype|bedrock-invocation-latency)",
            # LiteLLM
            r"x-litellm-(?:call-id|version|model-group|model-name|model-id|cache-key)",
            r"x-litellm-fallback-errors",
            r"x-litellm-(?:attempted-retries|max-retries|attempted-fallbacks|classifier-cost)",
            r"x-litellm-(?:overhead-duration-ms|response-duration-ms)",
            r"x-litellm-response-cost(?:-[a-z-]{1,40})?",
            r"x-litellm-[a-z]{1,20}-router-[a-z-]{1,40}",
            # Portkey
            r"x-portkey-(?:last-used-option-index|retry-attempt-count|gateway-exception)",
            r"x-portkey-(?:provider|cache-status|trace-id)",
            # others: what their rules read, and nothing else
            r"x-bifrost-(?:request-id|trace-id|provider|resolved-model|fallback-index)",
            r"x-bifrost-upstream-latency-ms",
            r"x-bifrost-routing-info-(?:provider|model|primary-model|is-fallback)",
            r"x-vsr-(?:schema-version|response-path|cache-hit|replay-id|looper-iterations)",
            r"x-vsr-selected-(?:model|decision)",
            r"x-otoroshi-llm-(?:model|provider|provider-kind|cost|duration-ms)|otoroshi-request-id",
            r"x-otari-(?:request-id|guardrails)",
            r"x-openrouter-cache-status|x-generation-id",
            r"helicone-(?:id|cache|fallback-index|provider)",
            r"ngrok-aig-(?:request-id|model|attempts)",
            r"cf-aig-(?:log-id|step|cache-status|event-id)",
            r"x-kong-(?:llm-model|upstream-latency|proxy-latency|response-latency|request-id)",
            r"x-tensorzero-gateway-version|x-b2bua-session-id",
            r"x-envoy-upstream-service-time|x-envoy-attempt-count",
            r"server|x-cache-status",
            r"x-inference-provider",  # Hugging Face's router: whom it asked
        )
    )
    + ")"
)
SECRET_WORDS = (
    r"(?:^|[-_])(?:key|keys|apikey|auth|authorization|authentication|authenticate|bearer|cookie"
    r"|cookie2|credential|credentials|csrf|jwt|password|secret|signature|token|xsrf)(?:[-_]|$)"
)
SECRET_IN_SETTING = r"auth|cookie|credential|key|password|secret|token"
SECRET_VALUE = r"(?<![A-Za-z0-9])sk-[A-Za-z0-9_-]{8,}|\b[Bb]earer\s"
