"""Chat and text completions of Together: the usual wire, with cached tokens beside the prompt's.

Shapes: https://github.com/togethercomputer/together-py/blob/main/src/together/types/chat/chat_completion.py,
.../chat_completion_chunk.py, .../chat_completion_usage.py
"""

from __future__ import annotations

from typing import Any

from tollspan import semconv

from . import _chat_completions as chat
from ._estimate import estimating
from ._read import Rule, count, members, take
from ._spec import Attributes

__all__ = ["CHAT", "COMPLETIONS"]

_USAGE: tuple[Rule, ...] = (("cached_tokens", semconv.CACHE_READ_TOKENS, count),)
"""Part of `prompt_tokens`: https://docs.together.ai/docs/prompt-caching"""


def _response(answer: Any) -> Attributes:
    found = dict(chat.response(answer))
    take(found, members(members(answer).get("usage")), _USAGE)
    return found


class _Fold(chat.ChoicesFold):
    __slots__ = ()

    def attributes(self) -> Attributes:
        found = dict(super().attributes())
        take(found, members(self._usage), _USAGE)
        return found


CHAT = chat.CHAT._replace(
    response=_response, fold=estimating(_Fold), tells_usage_asked=False, glance=None
)
COMPLETIONS = CHAT._replace(operation="text_completion")
