"""A running stack keeps the hours of its budgets counted, unasked."""

from __future__ import annotations

from functools import partial
from threading import Event

import pytest

from tollspan.local import LocalStack
from tollspan.local.counting import Counting
from tollspan.local.ledger import Ledger


def test_a_running_stack_has_its_sums_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Event()
    monkeypatch.setattr(Ledger, "count_again", lambda ledger: counted.set())
    monkeypatch.setattr("tollspan.local.server.Counting", partial(Counting, every_s=0.01))
    with LocalStack():
        assert counted.wait(20)
