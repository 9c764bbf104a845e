"""The smallest instance of a JSON schema, for requests that ask for structured output.

Covers what the structured-output modes of the providers accept, not all of JSON Schema.
https://platform.openai.com/docs/guides/structured-outputs
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DEEPEST = 12
"""A schema that refers to itself ends here."""


def instance(
    schema: Mapping[str, Any], root: Mapping[str, Any] | None = None, depth: int = 0
) -> Any:
    """A value that `schema` allows; None where it is too deep or says nothing."""
    root = schema if root is None else root
    if depth > DEEPEST:
        return None
    schema = _resolved(schema, root)
    for word in ("const", "default"):
        if word in schema:
            return schema[word]
    if schema.get("enum"):
        return schema["enum"][0]
    for word in ("anyOf", "oneOf", "allOf"):
        options = schema.get(word)
        if options:
            return instance(options[0], root, depth + 1)
    return _typed(schema, root, depth)


def _resolved(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = schema.get("$ref")
    if not isinstance(reference, str) or not reference.startswith("#"):
        return schema
    found: Any = root
    for step in reference[1:].split("/"):
        if step and isinstance(found, dict):
            found = found.get(step, {})
    return found if isinstance(found, dict) else {}


def _typed(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Any:
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    if kind == "object" or "properties" in schema:
        properties = schema.get("properties") or {}
        return {name: instance(each, root, depth + 1) for name, each in properties.items()}
    if kind == "array":
        count = schema.get("minItems") or 0
        return [instance(schema.get("items") or {}, root, depth + 1) for _ in range(count)]
    if kind in ("integer", "number"):
        return schema.get("minimum", 0)
    if kind == "boolean":
        return True
    return "bridge" if kind == "string" else None
