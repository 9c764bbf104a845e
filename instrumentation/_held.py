"""Answers with a part still to be read: botocore's event streams and streaming bodies.

https://github.com/boto/botocore/blob/1.40.61/botocore/eventstream.py, .../response.py
https://github.com/aio-libs/aiobotocore/blob/2.25.1/aiobotocore/eventstream.py, .../response.py
"""

from __future__ import annotations

import inspect
from typing import Any

from ._call import Call
from ._event_stream import watch_events
from ._streaming_body import watch_reading

__all__ = ["watch_held"]


def watch_held(answer: Any, call: Call) -> bool:
    """Watch what `answer` holds in its place; False where all of the answer is there."""
    assert call.surface.holds is not None
    held = call.surface.holds(answer)
    if held is None:
        return False
    if hasattr(held, "_event_generator"):
        # OpenTelemetry's own instrumentation puts a proxy around it.
        watch_events(inspect.unwrap(held), answer, call)
        return True
    return watch_reading(held, answer, call)
