"""What is billed apart from what was used, and what is billed by another unit than tokens."""

from __future__ import annotations

from tollspan import semconv
from tollspan.processors.usage import counts


def test_where_fewer_tokens_are_billed_than_used_those_are_counted() -> None:
    assert counts(
        {
            semconv.INPUT_TOKENS: 968,
            semconv.OUTPUT_TOKENS: 83,
            semconv.CACHE_READ_TOKENS: 900,
            semconv.BILLED_INPUT_TOKENS: 62,
            semconv.BILLED_OUTPUT_TOKENS: 28,
        }
    ) == {"input_tokens": 62, "output_tokens": 28}


def test_pages_and_searches_are_units_of_the_book() -> None:
    assert counts(
        {semconv.DOCUMENT_PAGES: 3, semconv.ANNOTATED_PAGES: 3, semconv.SEARCH_UNITS: 1}
    ) == {
        "input_document_pages": 3,
        "input_annotated_document_pages": 3,
        "rerank_searches": 1,
    }
