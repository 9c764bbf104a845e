"""Names of everything that tollspan writes or reads, each with type, unit and source.

Standard names follow the OpenTelemetry GenAI conventions as `opentelemetry-util-genai` 1.3b0 emits
them; `gen_ai.usage.cost.*` and `gen_ai.gateway.*` are proposals (semantic-conventions-genai PR 443,
issue 299); the rest is ours, under `tollspan.`.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ATTRIBUTES", "Attribute"]

GENAI = "https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/"
HTTP = "https://opentelemetry.io/docs/specs/semconv/http/http-spans/"
COST = "https://github.com/open-telemetry/semantic-conventions-genai/pull/443"
GATEWAY = "https://github.com/open-telemetry/semantic-conventions-genai/issues/299"
OURS = "tollspan"


class Attribute(NamedTuple):
    """One attribute name: its value's type (`string`, `int`, `double`, `boolean`, `string[]`)."""

    name: str
    type: str
    unit: str
    source: str
    doc: str


ATTRIBUTES: dict[str, Attribute] = {}
"""Every declared attribute by name; the README's table and the house tests read it."""


def _attribute(name: str, type: str, doc: str, *, unit: str = "", source: str = "") -> str:
    if not source:
        source = OURS if name.startswith("tollspan.") else GENAI
    ATTRIBUTES[name] = Attribute(name, type, unit, source, doc)
    return name


# --- the call -----------------------------------------------------------------------------------
OPERATION = _attribute("gen_ai.operation.name", "string", "`chat`, `embeddings`, …")
PROVIDER = _attribute("gen_ai.provider.name", "string", "Who was asked: `openai`, `anthropic`, …")
REQUEST_MODEL = _attribute("gen_ai.request.model", "string", "Model the application asked for")
REQUEST_MAX_TOKENS = _attribute("gen_ai.request.max_tokens", "int", "", unit="token")
REQUEST_TEMPERATURE = _attribute("gen_ai.request.temperature", "double", "")
REQUEST_TOP_P = _attribute("gen_ai.request.top_p", "double", "")
REQUEST_TOP_K = _attribute("gen_ai.request.top_k", "double", "")
REQUEST_FREQUENCY_PENALTY = _attribute("gen_ai.request.frequency_penalty", "double", "")
REQUEST_PRESENCE_PENALTY = _attribute("gen_ai.request.presence_penalty", "double", "")
REQUEST_SEED = _attribute("gen_ai.request.seed", "int", "")
REQUEST_CHOICE_COUNT = _attribute("gen_ai.request.choice.count", "int", "Only where it is not 1")
REQUEST_STOP_SEQUENCES = _attribute("gen_ai.request.stop_sequences", "string[]", "")
REQUEST_STREAM = _attribute("gen_ai.request.stream", "boolean", "Only where it is true")
REQUEST_ENCODING_FORMATS = _attribute("gen_ai.request.encoding_formats", "string[]", "")
REQUEST_REASONING_LEVEL = _attribute("gen_ai.request.reasoning.level", "string", "")
OUTPUT_TYPE = _attribute("gen_ai.output.type", "string", "`text`, `json`, `image`, `speech`")
RESPONSE_ID = _attribute("gen_ai.response.id", "string", "")
CONVERSATION_ID = _attribute("gen_ai.conversation.id", "string", "That the provider keeps")
AGENT_ID = _attribute("gen_ai.agent.id", "string", "Agent that the provider keeps and ran")
RESPONSE_MODEL = _attribute("gen_ai.response.model", "string", "Model the answer names")
FINISH_REASONS = _attribute("gen_ai.response.finish_reasons", "string[]", "")
TIME_TO_FIRST_CHUNK = _attribute(
    "gen_ai.response.time_to_first_chunk", "double", "Streams only", unit="s"
)
SERVER_ADDRESS = _attribute("server.address", "string", "Host that was asked", source=HTTP)
SERVER_PORT = _attribute("server.port", "int", "", source=HTTP)
ERROR_TYPE = _attribute("error.type", "string", "Exception class, or HTTP status", source=HTTP)
DEPLOYMENT_ENVIRONMENT = _attribute(
    "deployment.environment.name", "string", "Resource attribute", source="otel resource"
)
SERVICE_NAME = _attribute("service.name", "string", "Resource attribute", source="otel resource")
OPENAI_REQUEST_SERVICE_TIER = _attribute("openai.request.service_tier", "string", "Asked for")
RESPONSE_PROVIDER = _attribute(
    "tollspan.response.provider", "string", "Provider that a gateway's answer names"
)
OPENAI_API = _attribute("tollspan.api", "string", "Wire: `chat_completions`, `responses`, …")

# --- usage --------------------------------------------------------------------------------------
INPUT_TOKENS = _attribute(
    "gen_ai.usage.input_tokens", "int", "All input, cached included", unit="token"
)
OUTPUT_TOKENS = _attribute(
    "gen_ai.usage.output_tokens", "int", "All output, reasoning included", unit="token"
)
CACHE_READ_TOKENS = _attribute(
    "gen_ai.usage.cache_read.input_tokens", "int", "Part of the input", unit="token"
)
CACHE_WRITE_TOKENS = _attribute(
    "gen_ai.usage.cache_write.input_tokens", "int", "Part of the input", unit="token"
)
CACHE_CREATION_TOKENS = _attribute(
    "gen_ai.usage.cache_creation.input_tokens", "int", "Older name, read only", unit="token"
)
CACHE_WRITE_5M_TOKENS = _attribute(
    "tollspan.usage.cache_write_5m.input_tokens", "int", "Part of cache_write", unit="token"
)
CACHE_WRITE_1H_TOKENS = _attribute(
    "tollspan.usage.cache_write_1h.input_tokens", "int", "Part of cache_write", unit="token"
)
REASONING_TOKENS = _attribute(
    "gen_ai.usage.reasoning.output_tokens", "int", "Part of the output", unit="token"
)
AUDIO_INPUT_TOKENS = _attribute(
    "gen_ai.usage.audio.input_tokens", "int", "Part of the input", unit="token"
)
AUDIO_OUTPUT_TOKENS = _attribute(
    "gen_ai.usage.audio.output_tokens", "int", "Part of the output", unit="token"
)
AUDIO_CACHE_READ_TOKENS = _attribute(
    "gen_ai.usage.audio.cache_read.input_tokens", "int", "Part of cache_read", unit="token"
)
IMAGE_INPUT_TOKENS = _attribute(
    "gen_ai.usage.image.input_tokens", "int", "Part of the input", unit="token"
)
IMAGE_OUTPUT_TOKENS = _attribute(
    "gen_ai.usage.image.output_tokens", "int", "Part of the output", unit="token"
)
TEXT_INPUT_TOKENS = _attribute(
    "gen_ai.usage.text.input_tokens", "int", "Part of the input", unit="token"
)
TEXT_OUTPUT_TOKENS = _attribute(
    "gen_ai.usage.text.output_tokens", "int", "Part of the output", unit="token"
)
WEB_SEARCHES = _attribute(
    "tollspan.usage.web_searches", "int", "Server-side searches billed per request"
)
FILE_SEARCHES = _attribute(
    "tollspan.usage.file_searches", "int", "Server-side searches of files, billed per request"
)
CODE_RUNS = _attribute(
    "tollspan.usage.code_runs", "int", "Server-side runs of code; what is billed is their container"
)
OTHER_FEES = _attribute(
    "tollspan.usage.other_fees",
    "int",
    "Server-side work beside these that is billed by itself, at prices that the book lacks: "
    "images drawn while answering, searches of older models",
)
INPUT_CHARACTERS = _attribute(
    "tollspan.usage.input_characters", "int", "Of a text to be spoken, where they are what is paid"
)
AUDIO_INPUT_SECONDS = _attribute(
    "tollspan.usage.audio.input_seconds", "double", "Transcriptions billed by duration", unit="s"
)
BILLED_INPUT_TOKENS = _attribute(
    "tollspan.usage.billed.input_tokens", "int", "Paid, where it is less than used", unit="token"
)
BILLED_OUTPUT_TOKENS = _attribute(
    "tollspan.usage.billed.output_tokens", "int", "Likewise, of the output", unit="token"
)
SEARCH_UNITS = _attribute(
    "tollspan.usage.search_units", "int", "Of a rerank: a query with up to 100 documents is one"
)
CLASSIFICATIONS = _attribute(
    "tollspan.usage.classifications", "int", "Inputs classified, where they are what is paid"
)
DOCUMENT_PAGES = _attribute(
    "tollspan.usage.document_pages", "int", "Pages read, where they are what is paid"
)
ANNOTATED_PAGES = _attribute(
    "tollspan.usage.annotated_document_pages", "int", "Part of document_pages, at their own price"
)
CONNECTOR_TOKENS = _attribute(
    "tollspan.usage.connector.input_tokens",
    "int",
    "Input that server-side tools bring",
    unit="token",
)
MODELS_USED = _attribute(
    "tollspan.usage.models", "string[]", "Models of one answer that states the usage of each"
)
USAGE_UNTRUSTED = _attribute(
    "tollspan.usage.untrusted", "boolean", "A gateway or library alters or guesses these counts"
)
ESTIMATED_INPUT_TOKENS = _attribute(
    "tollspan.usage.estimated.input_tokens",
    "int",
    "By the length of the request; with TOLLSPAN_ESTIMATE_USAGE only",
    unit="token",
)
ESTIMATED_OUTPUT_TOKENS = _attribute(
    "tollspan.usage.estimated.output_tokens",
    "int",
    "By the length of a streamed answer that states no usage; likewise",
    unit="token",
)
ANSWERS_SUMMED = _attribute(
    "tollspan.usage.answers", "int", "Answers that the usage is the sum of, where it is a sum"
)

# --- tools, limits ------------------------------------------------------------------------------
TOOLS_SENT = _attribute("tollspan.tools.sent", "int", "Definitions of tools in the request")
TOOLS_SENT_NAMES = _attribute("tollspan.tools.sent.names", "string[]", "Each name once")
TOOLS_CALLED = _attribute("tollspan.tools.called", "int", "Calls of tools in the answer")
TOOLS_CALLED_NAMES = _attribute("tollspan.tools.called.names", "string[]", "Each name once")
REMAINING_REQUESTS = _attribute(
    "tollspan.rate_limit.remaining_requests", "int", "Headroom that the answer's headers state"
)
REMAINING_TOKENS = _attribute("tollspan.rate_limit.remaining_tokens", "int", "", unit="token")
REMAINING_INPUT_TOKENS = _attribute(
    "tollspan.rate_limit.remaining_input_tokens", "int", "", unit="token"
)
REMAINING_OUTPUT_TOKENS = _attribute(
    "tollspan.rate_limit.remaining_output_tokens", "int", "", unit="token"
)
LIMIT_REQUESTS = _attribute(
    "tollspan.rate_limit.limit_requests", "int", "The limit that the headroom is a part of"
)
LIMIT_TOKENS = _attribute("tollspan.rate_limit.limit_tokens", "int", "", unit="token")
QUEUE_TIME = _attribute(
    "tollspan.queue_s", "double", "How long the provider let the request wait", unit="s"
)
LOAD_TIME = _attribute(
    "tollspan.load_s", "double", "How long a local server took to load the model", unit="s"
)
INPUT_TIME = _attribute(
    "tollspan.input_s", "double", "How long the server read the input, as it states", unit="s"
)
OUTPUT_TIME = _attribute(
    "tollspan.output_s", "double", "How long the server wrote the output, as it states", unit="s"
)
SERVER_TIME = _attribute(
    "tollspan.server_s", "double", "How long the server worked on the whole, as it states", unit="s"
)
SYSTEM_FINGERPRINT = _attribute(
    "tollspan.system_fingerprint", "string", "Backend configuration that the answer names"
)
BILL_TO = _attribute(
    "tollspan.bill_to", "string", "Organisation that the request asks to be billed (Hugging Face)"
)
BACKGROUND = _attribute(
    "tollspan.background", "boolean", "Asked for by one call and answered by a later one"
)

# --- who ----------------------------------------------------------------------------------------
ENDPOINT_TAG = _attribute("tollspan.endpoint_tag", "string", "Which feature of the application")
PROMPT_NAME = _attribute("gen_ai.prompt.name", "string", "")
PROMPT_VERSION = _attribute("gen_ai.prompt.version", "string", "")
TENANT = _attribute("tollspan.tenant", "string", "")
USER = _attribute("user.id", "string", "", source="otel user")
SESSION = _attribute("session.id", "string", "", source="otel session")
TAG_PREFIX = "tollspan.tag."
REQUEST_ID = _attribute(
    "tollspan.request_id", "string", "externalRequestId: one per logical call, kept across retries"
)
DATA_MODE = _attribute("tollspan.data_mode", "string", "`real`, `test`, `replay`, `shadow`")
STATUS = _attribute(
    "tollspan.status", "string", "`success`, `error`, `cancelled`, `abandoned`, `blocked`"
)
UNSAMPLED = _attribute(
    "tollspan.unsampled",
    "boolean",
    "The sampler dropped the trace: this span is told alone, for its money and its tokens",
)
TOLD_FROM = _attribute(
    "tollspan.told_from",
    "string",
    "What a call was read from that came as no span: `record`, `otoroshi`, `litellm`, …",
)
TOLD_VERSION = _attribute(
    "tollspan.told_version",
    "int",
    "Of such a call: its revision, then a hash of what was told. Of two that differ the higher stands",
)
API_KEY_FINGERPRINT = _attribute(
    "tollspan.api_key_fingerprint", "string", "Keyed hash, with TOLLSPAN_HASH_KEY only"
)

# --- money --------------------------------------------------------------------------------------
COST_AMOUNT = _attribute(
    "gen_ai.usage.cost.amount", "double", "On the owner span only", unit="USD", source=COST
)
COST_CURRENCY = _attribute("gen_ai.usage.cost.currency", "string", "`USD`", source=COST)
COST_SOURCE = _attribute("gen_ai.usage.cost.source", "string", "`provider` or `local`", source=COST)
COST_ROLE = _attribute("tollspan.cost.role", "string", "`owner`, `restated`, `unjoined`")
COST_GRADE = _attribute(
    "tollspan.cost.grade",
    "string",
    "`billed`, `derived`, `lower_bound`, `estimated`, `unpriced`",
)
COST_REPORTED = _attribute("tollspan.cost.reported_usd", "double", "What a hop states", unit="USD")
COST_DERIVED = _attribute("tollspan.cost.derived_usd", "double", "Price × usage", unit="USD")
COST_AVOIDED = _attribute("tollspan.cost.avoided_usd", "double", "Saved by a cache hit", unit="USD")
COST_CHARGED = _attribute(
    "tollspan.cost.charged_usd",
    "double",
    "What the outermost gateway charges, where that is not what is reported behind it: margin, "
    "discount",
    unit="USD",
)
COST_EXTRA = _attribute(
    "tollspan.cost.extra_usd",
    "double",
    "Part of the amount: what a gateway spent on calls of its own for this one",
    unit="USD",
)
COST_EXTRA_REASON = _attribute(
    "tollspan.cost.extra_reason", "string", "`classifier`, `judge`, `embedding`, `mirror`"
)
COST_WASTED = _attribute("tollspan.cost.wasted_usd", "double", "Paid for nothing", unit="USD")
WASTE_REASON = _attribute(
    "tollspan.waste_reason", "string", "`retry`, `abandoned`, `error`, `duplicate`"
)
WASTED_MS = _attribute(
    "tollspan.wasted_ms",
    "double",
    "Time for nothing: the whole of a call that failed, before its answer's request of one that "
    "was retried",
    unit="ms",
)
WASTED_MS_REASON = _attribute(
    "tollspan.wasted_ms_reason", "string", "`retry`, `abandoned`, `error`, `duplicate`"
)
UNPRICED_REASON = _attribute(
    "tollspan.unpriced_reason",
    "string",
    "`unknown_model`, `no_usage`, `unknown_unit`, `inconsistent_usage`",
)
GRADE_REASON = _attribute(
    "tollspan.cost.grade_reason",
    "string",
    "Why the grade is `lower_bound` or `estimated`: `partial_answer`, `attempt_lost`, "
    "`missing_usage`, `unknown_fee`, `unknown_tier`, `unknown_unit`, `other_model`, "
    "`deployment_name`, `untrusted_usage`, `estimated_usage`, `summed_usage`, "
    "`unknown_region`, `unknown_provider`, `stated_by_other`",
)
PRICE_VERSION = _attribute("tollspan.price.version", "string", "Book and version that priced it")
SERVICE_TIER = _attribute("tollspan.service_tier", "string", "The tier that was served")
SPEED = _attribute("tollspan.speed", "string", "Served speed that has its own price: `fast`")
INFERENCE_GEO = _attribute(
    "tollspan.inference_geo", "string", "Region of inference that the answer states"
)
OWNER_SPAN_ID = _attribute(
    "tollspan.owner_span_id", "string", "On a restated span: who owns the money (16 hex)"
)
CALL_PURPOSE = _attribute(
    "tollspan.call_purpose",
    "string",
    "What a gateway makes this call for on its own account, beside the answer that it was asked "
    "for: `llm_as_a_judge_guardrail`, … (LiteLLM's words)",
)
BEFORE_PREFIX = "tollspan.before."
"""What a sender wrote under a name that the collector stage needed, on an `unjoined` span."""
RESTATED_PREFIX = "tollspan.restated."
"""Usage of a restated span: what stands behind `gen_ai.usage.` stands behind this instead."""
RESTATED_INPUT_TOKENS = _attribute("tollspan.restated.input_tokens", "int", "", unit="token")
RESTATED_OUTPUT_TOKENS = _attribute("tollspan.restated.output_tokens", "int", "", unit="token")
RESTATED_COST = _attribute("tollspan.restated.cost_usd", "double", "", unit="USD")

# --- path ---------------------------------------------------------------------------------------
ROUTE = _attribute("tollspan.route", "string", "`litellm > openai/gpt-4o-mini`, low cardinality")
HOP_COUNT = _attribute("tollspan.hop_count", "int", "Hops behind the application, model included")
APP_ATTEMPTS = _attribute("tollspan.app_attempts", "int", "HTTP requests the SDK made")
UPSTREAM_ATTEMPTS = _attribute(
    "tollspan.upstream_attempts", "int", "Requests that reached a model, as far as known"
)
UPSTREAM_CONFIDENCE = _attribute(
    "tollspan.upstream_attempts.confidence", "string", "`exact`, `at_least`, `unknown`"
)
MODEL_SERVED = _attribute("tollspan.model.served", "string", "The provider's own model string")
MODEL_ROUTED = _attribute("tollspan.model.routed", "string", "Group or alias that answered")
MODEL_DEPLOYMENT = _attribute("tollspan.model.deployment", "string", "Deployment id at the gateway")
MODEL_SWAPPED = _attribute("tollspan.model_swapped", "boolean", "Another model than asked for")
FALLBACK = _attribute("tollspan.fallback", "boolean", "Answered by a fallback")
CACHE_HIT = _attribute("tollspan.cache_hit", "boolean", "Answered by a gateway's cache")
BLOCKED_BY = _attribute("tollspan.blocked_by", "string", "`app`, `proxy`, `model`")
BLOCKED_STAGE = _attribute(
    "tollspan.blocked_stage", "string", "`before` or `after` the model ran, where it is stated"
)
BLAME = _attribute("tollspan.blame", "string", "`app`, `network`, `proxy`, `provider`")
BLAME_EVIDENCE = _attribute(
    "tollspan.blame.evidence",
    "string",
    "Why: `caller_left`, `bad_request`, `bad_key`, `refused_prompt`, `guardrail`, `no_connection`, "
    "`timeout`, `broken_answer`, `gateway_answered`, `gateway_fault`, `gateway_key`, "
    "`gateway_slow`, `unreachable`, `rate_limited`, `overloaded`, `server_error`, `upstream_timeout`, "
    "`error_in_answer`, `slow_answer`, `retries`",
)
HIDDEN_ATTEMPTS = _attribute(
    "tollspan.hidden_attempts",
    "int",
    "Requests that gateways sent beyond one for each of the SDK's, as sure as the upstream attempts",
)
RETRY_AMPLIFICATION = _attribute(
    "tollspan.retry_amplification",
    "double",
    "Requests that reached a model for this one call, where more than one did",
)
GUARDRAIL = _attribute(
    "tollspan.guardrail",
    "string",
    "What a gateway's guardrails said of the call: `passed`, `warned`, `denied`",
)
GATEWAY_STATED = _attribute(
    "tollspan.gateway.stated", "string", "Gateway that the body of the answer or error shows"
)
GATEWAY_ATTEMPTS = _attribute(
    "tollspan.gateway.attempts", "int", "Requests of a gateway's that the body lists"
)
GATEWAY_UPSTREAM_STATUS = _attribute(
    "tollspan.gateway.upstream_status", "int", "Status behind a gateway that its error's body names"
)
GATEWAY_CUT_OFF = _attribute(
    "tollspan.gateway.cut_off", "boolean", "A gateway says that it could not reach who is behind it"
)
GATEWAY_STRATEGY = _attribute(
    "tollspan.gateway.strategy",
    "string",
    "How a gateway was told to choose: Portkey's modes on the way to the target, OpenRouter's "
    "strategy",
)
HOP_INDEX = _attribute("tollspan.hop.index", "int", "0 is nearest to the application")
HOP_ROLE = _attribute(
    "tollspan.hop.role", "string", "`proxy`, `router`, `model`, `cache`, `guardrail`"
)
HOP_NAME = _attribute("tollspan.hop.name", "string", "")
HOP_EVIDENCE = _attribute("tollspan.hop.evidence", "string", "`observed`, `reported`, `inferred`")
HOP_OVERHEAD = _attribute("tollspan.hop.overhead_ms", "double", "Only where it is known", unit="ms")
HOP_REDACTION = _attribute(
    "tollspan.hop.redaction",
    "string",
    "What was compared of a request before and behind the hop, told by `tollspan wire prove`: "
    "`proved` (nothing that is to be masked went further), `leaked`, `unknown`",
)
HOP_ORDER = _attribute(
    "tollspan.hop.order",
    "string",
    "`unknown` where several gateways answered at one depth and nothing tells which stands outside",
)
GATEWAY_NAME = _attribute("gen_ai.gateway.name", "string", "", source=GATEWAY)
GATEWAY_VERSION = _attribute("gen_ai.gateway.version", "string", "", source=GATEWAY)
GATEWAY_REQUEST_ID = _attribute("gen_ai.gateway.request.id", "string", "", source=GATEWAY)

# --- what frameworks know of the work that a call is part of --------------------------------------
CELERY_TASK = _attribute(
    "celery.task_name", "string", "Of the enclosing task", source="otel celery"
)
MESSAGING_DESTINATION = _attribute(
    "messaging.destination.name",
    "string",
    "Of the enclosing consumer span",
    source="https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/",
)

# --- attempts -----------------------------------------------------------------------------------
ATTEMPT = _attribute("tollspan.attempt", "int", "1, 2, … within one call")
ATTEMPT_HEAD_MS = _attribute(
    "tollspan.attempt.head_ms",
    "double",
    "Until the answer's head came; where a gateway states its part of that",
    unit="ms",
)
WIRE_ID = _attribute(
    "tollspan.wire.id", "string", "Captured exchange of this attempt, with TOLLSPAN_WIRE only"
)
RETRY_AFTER = _attribute("tollspan.retry_after_s", "double", "What the answer asked for", unit="s")
HTTP_METHOD = _attribute("http.request.method", "string", "", source=HTTP)
HTTP_STATUS = _attribute("http.response.status_code", "int", "", source=HTTP)
HTTP_RESEND_COUNT = _attribute("http.request.resend_count", "int", "", source=HTTP)
HTTP_ROUTE = _attribute("http.route", "string", "Of the enclosing server span", source=HTTP)
URL_PATH = _attribute("url.path", "string", "", source=HTTP)
RESPONSE_HEADER_PREFIX = "http.response.header."
"""Allow-listed response headers, lower-case, as the HTTP conventions spell them."""

# --- budgets that the application holds its calls to ---------------------------------------------
BUDGET_NAME = _attribute(
    "tollspan.budget.name", "string", "The budget that is nearest to its end; only from soft on"
)
BUDGET_STATE = _attribute("tollspan.budget.state", "string", "`soft` or `hard`")
BUDGET_RATIO = _attribute(
    "tollspan.budget.ratio", "double", "Part of the limit that was spent; also a metric", unit="1"
)
BUDGET_ACTION = _attribute(
    "tollspan.budget.action", "string", "`warned`, `degraded`, `queued` or `refused`"
)
BUDGET_MODEL_ASKED = _attribute(
    "tollspan.budget.model_asked", "string", "What a degraded call would have asked"
)

RETRIES_OVER = _attribute(
    "tollspan.retries.over",
    "string",
    "Whose cap on repeats the SDK's next one was beyond: `call` or `endpoint`",
)

# --- metrics ------------------------------------------------------------------------------------
METRIC_DURATION = "gen_ai.client.operation.duration"
METRIC_TOKENS = "gen_ai.client.token.usage"
METRIC_TIME_TO_FIRST_CHUNK = "gen_ai.client.operation.time_to_first_chunk"
METRIC_COST = "tollspan.cost"
METRIC_UNPRICED = "tollspan.unpriced_calls"
METRIC_BACKEND_UP = "tollspan.backend.up"
METRIC_BACKEND_CIRCUIT = "tollspan.backend.circuit"
METRIC_PROBE_DURATION = "tollspan.backend.probe.duration"
EVENT_BACKEND = "tollspan.backend.changed"
BACKEND = _attribute("tollspan.backend", "string", "Metrics and log events: name of a backend")
BACKEND_STATE = _attribute(
    "tollspan.backend.state",
    "string",
    "Log events: `up`, `down`, `unknown` of probes; `closed`, `open`, `half_open` of circuits. On a "
    "call that was not made: `open`",
)
BACKEND_STATE_BEFORE = _attribute("tollspan.backend.state_before", "string", "Log events: likewise")
BACKEND_REASON = _attribute("tollspan.backend.reason", "string", "Likewise: why it changed")
PROBE_KIND = _attribute("tollspan.backend.probe.kind", "string", "`http`, `tcp`, `ping`")
PROBE_OK = _attribute("tollspan.backend.probe.ok", "boolean", "Metrics only: it was answered well")
METRIC_BUDGET_RATIO = "tollspan.budget.ratio"
TOKEN_TYPE = _attribute("gen_ai.token.type", "string", "Metrics only: `input` or `output`")

# --- scopes -------------------------------------------------------------------------------------
SCOPE = "tollspan"
"""Instrumentation scope of every span of ours."""

TOLD_SCOPE = "tollspan.ingest"
"""Scope of calls that were told as records."""

LEDGER_SCOPE = "tollspan.ledger"
"""Scope of the log records by which a stage tells the ledger of calls."""

LEDGER_EVENT = "tollspan.call"
"""Event name of such a record."""

EVENT_NEW_KEY = "tollspan.key.new"
"""Event: a provider API key that was never seen before, by its fingerprint."""
