"""What never goes further than the receiver: message content, secrets. (foreign names)

tollspan keeps no content. Other instrumentations may send some; it is taken out here, before
anything is stored or logged. Sources: OpenTelemetry GenAI conventions
https://opentelemetry.io/docs/specs/semconv/gen-ai/, OpenLLMetry
https://github.com/traceloop/openllmetry (`gen_ai.prompt.0.content`), OpenInference
https://github.com/Arize-ai/openinference/blob/main/spec/semantic_conventions.md.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tollspan.redaction import Redactor

__all__ = [
    "DROP",
    "KEEP",
    "LONGEST_VALUE",
    "QUERIES",
    "QUERY",
    "TEXT",
    "kept",
    "kept_value",
    "rule",
    "without_keys",
]

LONGEST_VALUE = 8192
"""Characters kept of one value. Ids, names and error texts are shorter; documents are not."""

_CONTENT = re.compile(
    r"""
    gen_ai\.(input|output)\.messages | gen_ai\.system_instructions | gen_ai\.tool\.definitions
    | gen_ai\.tool\.call\.(arguments|result) | gen_ai\.(prompt|completion)(_json|\.\d.*)?
    | gen_ai\.content\.(prompt|completion) | gen_ai\.(request|response)\.(body|content|messages?)
    | gen_ai\.(system|user|assistant|tool)\.message(\..*)? | gen_ai\.event\.content
    | llm\.(prompts|completions|input_messages|output_messages|prompt_template\.variables)(\..*)?
    | llm\.request\.functions(\..*)? | (input|output)\.value | (trace|span)\.(input|output) | traceloop\.entity\.(input|output)
    | embedding\.(embeddings|text)(\..*)? | retrieval\.documents(\..*)? | tool\.parameters
    | http\.(request|response)\.body(\.(text|content))?
    """,
    re.VERBOSE,
)
_SECRET = re.compile(
    r"http\.(request|response)\.header\..*"
    r"(authorization|api[-_]?key|cookie|token|secret|password|credential|signature).*"
    r"|.*(^|[._-])(api_?key|password|secret|authorization|access_token)",
    re.IGNORECASE,
)
_COUNTS = re.compile(
    r".*tokens?(\.\w+|_\w+)?$|.*fingerprint$|http\.response\.header\.x-ratelimit-.*"
)
TEXTS = frozenset(
    {"exception.message", "exception.stacktrace", "error.message", "error.stack", "message"}
)
"""Names whose values are texts of errors, in which providers repeat keys."""
QUERIES = frozenset({"url.full", "url.query", "http.url", "http.target"}) | TEXTS
"""Names whose values may have secrets in them: in a query string, or anywhere."""
_QUERY_SECRET = re.compile(
    r"(?i)([?&;]|^)((?:api[-_]?key|key|token|access_token|sig|signature|x-goog-[^=&]*|x-amz-[^=&]*"
    r"|password|secret|code)=)[^&#]*"
)
_USERINFO = re.compile(r"(?<=//)[^/@?#]*@")


def kept(attributes: dict[str, Any]) -> dict[str, Any]:
    """`attributes` without content and secrets, long values cut."""
    found = {}
    for name, value in attributes.items():
        of_name = _RULES.get(name)
        if of_name is None:
            of_name = rule(name)
        if of_name == KEEP and type(value) is str and len(value) <= LONGEST_VALUE:
            found[name] = value
        elif of_name != DROP:
            found[name] = _cut(value, of_name)
    return found


KEEP, DROP, QUERY, TEXT = "keep", "drop", "query", "text"
_RULES: dict[str, str] = {}


def rule(name: str) -> str:
    """What happens to values under `name`: `KEEP` (cut if long), `DROP`, `QUERY` (secrets in a query
    string are blanked) or `TEXT` (keys are masked)."""
    found = _RULES.get(name)
    if found is not None:
        return found
    if name in TEXTS:
        found = TEXT
    elif name in QUERIES:
        found = QUERY
    elif _CONTENT.fullmatch(name) or (_SECRET.fullmatch(name) and not _COUNTS.fullmatch(name)):
        found = DROP
    else:
        found = KEEP
    if len(_RULES) < 4096:  # names are few, unless somebody is hostile
        _RULES[name] = found
    return found


def kept_value(name: str, value: Any) -> Any:
    """`value` as `kept` leaves it; of a name whose rule is not `DROP`."""
    if type(value) is str and len(value) <= LONGEST_VALUE and rule(name) == KEEP:
        return value
    return _cut(value, rule(name))


def _cut(value: Any, of_name: str) -> Any:
    if isinstance(value, str):
        if of_name == QUERY:
            value = _USERINFO.sub("", _QUERY_SECRET.sub(r"\1\2redacted", value))
        elif of_name == TEXT:
            value = without_keys(value)
        return value if len(value) <= LONGEST_VALUE else value[:LONGEST_VALUE]
    if isinstance(value, list):
        return [_cut(each, of_name) for each in value[:256]]
    if isinstance(value, dict):
        return {key: _cut(each, of_name) for key, each in list(value.items())[:256]}
    return value


def without_keys(text: str) -> str:
    """`text` of an error with its keys masked, and with what it says of people as it is."""
    if not text:
        return text
    masked, _ = _redactor().text(text[: 2 * LONGEST_VALUE])
    return masked


@cache
def _redactor() -> Redactor:
    # Its patterns take 40 ms to compile, which most processes never need.
    from tollspan.redaction import Redactor
    from tollspan.redaction_rules import BUILT_IN, Rules

    rules = Rules(tuple(rule for rule in BUILT_IN if rule.name not in ("email", "card", "phone")))
    return Redactor(rules)
