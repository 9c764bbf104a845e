"""The older text completions wire: the chat wire without messages.

Shapes: https://github.com/openai/openai-python/blob/main/src/openai/types/completion.py
"""

from __future__ import annotations

from ._chat_completions import ChoicesFold, request, response
from ._spec import Surface

COMPLETIONS = Surface("text_completion", request=request, response=response, fold=ChoicesFold)
