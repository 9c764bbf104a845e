"""Mistral's document reading, which is paid by the page: no tokens are stated, and none invented.

Shapes: https://github.com/mistralai/client-python/blob/main/src/mistralai/client/models/ocrresponse.py,
.../ocrusageinfo.py
"""

from __future__ import annotations

from typing import Any

from tollspan import semconv

from ._read import Rule, count, items, members, take, text
from ._rerank import request
from ._spec import Attributes, Surface

__all__ = ["OCR"]

_ANSWER: tuple[Rule, ...] = (("model", semconv.RESPONSE_MODEL, text),)
_USAGE: tuple[Rule, ...] = (("pages_processed", semconv.DOCUMENT_PAGES, count),)


def _response(answer: Any) -> Attributes:
    found: dict[str, Any] = {}
    body = members(answer)
    take(found, body, _ANSWER)
    take(found, members(body.get("usage_info")), _USAGE)
    if semconv.DOCUMENT_PAGES in found and _is_annotated(body):
        found[semconv.ANNOTATED_PAGES] = found[semconv.DOCUMENT_PAGES]
    return found


def _is_annotated(body: Any) -> bool:
    """Whether the pages cost what annotated ones do: the document or an image on them is told of.

    https://docs.mistral.ai/capabilities/document_ai/annotations
    """
    images = (
        members(image)
        for page in items(body.get("pages"))[:1024]
        for image in items(members(page).get("images"))[:128]
    )
    return bool(text(body.get("document_annotation"))) or any(
        text(image.get("image_annotation")) for image in images
    )


OCR = Surface("ocr", request=request, response=_response)
