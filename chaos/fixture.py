"""The pytest fixtures: `chaos`, a provider that misbehaves on script, `wire_replay`, one that says again
what was captured, and `tally`, which counts what the calls of a test cost; fresh for each test.

Loaded by every pytest run where tollspan is installed, so nothing but pytest is imported until a
test asks for the fixture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

import tollspan

if TYPE_CHECKING:
    from .replay import Replay
    from .server import Chaos


@pytest.fixture
def chaos() -> Iterator[Chaos]:
    """A running `tollspan.chaos.Chaos`; closed when the test ends."""
    from .server import Chaos

    with Chaos() as running:
        yield running


@pytest.fixture
def wire_replay() -> Iterator[Callable[..., Replay]]:
    """Makes a running `tollspan.chaos.Replay`, of the same arguments; closed when the test ends.

    def test_the_answer_that_broke(wire_replay):
        replay = wire_replay("tests/captures", fast=True)
    """
    from .replay import Replay

    with ExitStack() as stack:

        def make(source: Any, **kwargs: Any) -> Replay:
            return stack.enter_context(Replay(source, **kwargs))

        yield make


@pytest.fixture
def tally() -> Iterator[tollspan.tally]:
    """Every call of the process while the test runs, in whatever thread: see `tollspan.tally`.

    def test_an_answer_is_cheap(tally):
        answer("what is a toll?")
        tally.assert_at_most(cost_usd=0.001, calls=1)

    Where the application under test has not called `tollspan.instrument()`, nothing is sent, and the
    SDKs are as they were when the test is over.
    """
    counted = tollspan.tally(everywhere=True)
    with counted:
        yield counted
    if counted.switched_on:
        tollspan.uninstrument()
