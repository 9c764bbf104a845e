"""A provider that misbehaves on script: a local server for testing what stands in front of one.

    from tollspan.chaos import Chaos, ok, status

    with Chaos() as chaos:
        chaos.script(status(429, retry_after=0.01), ok(input_tokens=11, output_tokens=7))
        client = openai.OpenAI(base_url=chaos.openai_base_url, api_key="test")
        client.chat.completions.create(model="gpt-4o-mini", messages=[...])
        assert [answer.status for answer in chaos.log] == [429, 200]

It speaks OpenAI chat completions, responses, completions, embeddings and moderations and Anthropic
messages, plain and streamed, from the standard library alone. Its log says what was answered and what a provider would
bill for it. In pytest the fixture `chaos` is such a server. `python -m tollspan.chaos` runs one.
`Replay` serves back what was captured (`TOLLSPAN_WIRE`); the fixture `wire_replay` makes one.

The names are loaded when they are first used: the pytest plugin lives in this package and is
imported by every pytest run.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .answers import Answer as Answer
    from .replay import Replay as Replay
    from .server import Chaos as Chaos
    from .steps import Step as Step
    from .steps import content_filter as content_filter
    from .steps import disconnect as disconnect
    from .steps import error_in_stream as error_in_stream
    from .steps import hang as hang
    from .steps import odd as odd
    from .steps import odd_chunks as odd_chunks
    from .steps import ok as ok
    from .steps import repeat as repeat
    from .steps import slow as slow
    from .steps import status as status
    from .steps import verdict as verdict
    from .tap import Tap as Tap
    from .truth import bill as bill

_HOME = {
    "Answer": "answers",
    "Chaos": "server",
    "Replay": "replay",
    "Step": "steps",
    "Tap": "tap",
    "bill": "truth",
    "content_filter": "steps",
    "disconnect": "steps",
    "error_in_stream": "steps",
    "hang": "steps",
    "odd": "steps",
    "odd_chunks": "steps",
    "ok": "steps",
    "repeat": "steps",
    "slow": "steps",
    "status": "steps",
    "verdict": "steps",
}

__all__ = [
    "Answer",
    "Chaos",
    "Replay",
    "Step",
    "Tap",
    "bill",
    "content_filter",
    "disconnect",
    "error_in_stream",
    "hang",
    "odd",
    "odd_chunks",
    "ok",
    "repeat",
    "slow",
    "status",
    "verdict",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{_HOME[name]}", __name__), name)
    return value
