"""Which calls a budget's filters mean: columns of the ledger, read from the attributes of a call.

Most are known before a call leaves. What only its answer says (`response_model`, `served_model`,
`model`, `route`, `service_tier`) is taken, before, to be what the last answer to the same question
said; what counts in the end is what its own answer says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry import trace

from tollspan import semconv
from tollspan.columns import TEXTS

__all__ = ["REAL", "Matcher"]

Attributes = Mapping[str, Any]

_KNOWN: Mapping[str, str] = {
    name: TEXTS[name]
    for name in (
        *(
            "data_mode",
            "operation",
            "endpoint",
            "prompt",
            "prompt_version",
            "tenant",
            "user",
            "session",
        ),
        *("provider", "server_address", "request_model", "api_key"),
    )
}
_ANSWERED: Mapping[str, str] = {
    name: TEXTS[name] for name in ("response_model", "served_model", "route", "service_tier")
}
_OF_PROCESS = {
    "service": (semconv.SERVICE_NAME,),
    "environment": (semconv.DEPLOYMENT_ENVIRONMENT, "deployment.environment"),
}
_MODEL = (semconv.MODEL_SERVED, semconv.RESPONSE_MODEL, semconv.REQUEST_MODEL)
_ASKED = (semconv.PROVIDER, semconv.SERVER_ADDRESS, semconv.REQUEST_MODEL)
_TAG = "tag."
_MOST = 1000
"""Questions of which the last answer is remembered; names of models are hostile."""

REAL = frozenset({"real", ""})
"""Data modes of calls that cost real money, and of those of which nobody says that they do not: budgets
count no others, but those that name a `data_mode`."""


class Matcher:
    """The filters of one budget. An absent value is the empty one, as in the ledger."""

    __slots__ = (
        *("_answered", "_by_model", "_known", "_of_process", "_said"),
        *("any_mode", "late", "only"),
    )

    def __init__(self, filters: Mapping[str, str]) -> None:
        self._known: list[tuple[str, str]] = []
        self._answered: list[tuple[str, str]] = []
        self._of_process: list[tuple[tuple[str, ...], str]] = []
        self._by_model: str | None = None
        for column, wanted in filters.items():
            if column.startswith(_TAG):
                self._known.append((semconv.TAG_PREFIX + column.removeprefix(_TAG), wanted))
            elif column in _KNOWN:
                self._known.append((_KNOWN[column], wanted))
            elif column in _OF_PROCESS:
                self._of_process.append((_OF_PROCESS[column], wanted))
            elif column == "model":
                self._by_model = wanted
            else:
                self._answered.append((_ANSWERED[column], wanted))
        self.late = bool(self._answered) or self._by_model is not None
        """Only the answer says whether a call counts."""
        is_one = len(self._known) == len(filters) == 1
        self.only = self._known[0] if is_one else None if filters else ("", "")
        """The attribute and its value that are all it asks for; no attribute has an empty name."""
        self.any_mode = "data_mode" in filters
        """It counts calls that are not real, too."""
        self._said: dict[Any, bool] = {}

    def before(self, attributes: Attributes, span: trace.Span) -> bool:
        """Whether a call that has not left yet is one of those, as far as anybody knows."""
        for name, wanted in self._known:
            if attributes.get(name, "") != wanted:
                return False
        if self._of_process and not self._fits_process(span):
            return False
        if not self.late:
            return True
        said = self._said.get(tuple(map(attributes.get, _ASKED)))
        if said is not None:
            return said
        return not self._answered and attributes.get(semconv.REQUEST_MODEL, "") == self._by_model

    def after(self, attributes: Attributes, span: trace.Span) -> bool:
        """Whether a call that has ended is one of those."""
        for name, wanted in self._known:
            if attributes.get(name, "") != wanted:
                return False
        if self._of_process and not self._fits_process(span):
            return False
        return not self.late or self._fits_answer(attributes)

    def _fits_answer(self, attributes: Attributes) -> bool:
        fits = all(attributes.get(name, "") == wanted for name, wanted in self._answered)
        if self._by_model is not None:
            model = next((found for name in _MODEL if (found := attributes.get(name))), "")
            fits = fits and model == self._by_model
        if semconv.RESPONSE_MODEL in attributes and len(self._said) < _MOST:
            self._said[tuple(map(attributes.get, _ASKED))] = fits
        return fits

    def _fits_process(self, span: trace.Span) -> bool:
        # A span that is not sampled has no resource; its call costs as much as others.
        resource: Any = getattr(span, "resource", None)
        if resource is None:
            resource = getattr(trace.get_tracer_provider(), "resource", None)
        resource = getattr(resource, "attributes", {})
        return all(
            next((resource[name] for name in names if name in resource), "") == wanted
            for names, wanted in self._of_process
        )
