"""The pytest fixture `chaos`: a provider that misbehaves on script, fresh for each test.

Loaded by every pytest run where tollspan is installed, so nothing but pytest is imported until a
test asks for the fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .server import Chaos


@pytest.fixture
def chaos() -> Iterator[Chaos]:
    """A running `tollspan.chaos.Chaos`; closed when the test ends."""
    from .server import Chaos

    with Chaos() as running:
        yield running
