"""The older text completions wire: the chat wire without messages.

Shapes: https://github.com/openai/openai-python/blob/main/src/openai/types/completion.py
"""

from __future__ import annotations

from typing import Any

from ._chat_completions import ChoicesFold, request, response
from ._estimate import estimating
from ._read import members
from ._spec import Dials, Surface


class _TextFold(ChoicesFold):
    """Choices of this wire have no delta, so that asking one for its tools would be dear."""

    __slots__ = ()

    def add(self, chunk: Any, /) -> None:
        try:
            if self._named and chunk.usage is None:
                (choice,) = chunk.choices
                if choice.finish_reason is None:
                    return
        except (AttributeError, TypeError, ValueError):
            pass
        self._read(members(chunk))


COMPLETIONS = Surface(
    "text_completion",
    request=request,
    response=response,
    fold=estimating(_TextFold),
    tells_usage_asked=True,
    dials=Dials(limits=(("max_tokens",),)),
)
