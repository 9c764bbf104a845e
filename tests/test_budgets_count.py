"""The count of a budget is right whatever happens to who counts: killed, forked, stopped, damaged."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tollspan.limits import budgets_count, budgets_layout, budgets_slots
from tollspan.limits.budgets_count import Count, Standing, UnreadableCount
from tollspan.limits.budgets_periods import period_at

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "b.count"


def at(count: Count) -> Standing:
    found = count.standing()
    assert found is not None
    return found


def held(count: Count, amount: int | None, limit: int) -> int | None:
    found = count.reserve(amount, limit)
    assert found is not None
    return found[0]


def in_child(act: Callable[[], None]) -> int:
    """Runs `act` in a forked process, which ends without a word; its pid."""
    child = os.fork()
    if child == 0:
        try:
            act()
            os._exit(0)
        finally:
            os._exit(1)
    return child


def ended(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_what_is_held_and_spent_together_reaches_the_limit_and_no_call_more(path: Path) -> None:
    count = Count(path)
    assert [held(count, 40, 100) for _ in range(4)] == [40, 40, 40, None]
    count.settle(40, 15)
    assert (at(count).settled, at(count).reserved, at(count).calls) == (15, 80, 1)
    assert held(count, 40, 100) == 40, "less was spent than was held"
    for _ in range(3):
        count.settle(40, 30)
    assert (at(count).settled, at(count).reserved) == (105, 0)
    assert held(count, 1, 100) is None
    count.close()
    assert at(Count(path)).settled == 105


def test_a_call_of_unknown_size_holds_what_calls_cost_on_average(path: Path) -> None:
    count = Count(path)
    assert held(count, None, 100) == 0, "nobody knows what the first one costs"
    count.settle(0, 50)
    assert held(count, None, 100) == 50
    count.settle(50, None)
    assert (at(count).calls, at(count).unpriced, at(count).average) == (2, 1, 50)


def test_a_call_that_did_not_leave_is_no_call(path: Path) -> None:
    count = Count(path)
    assert held(count, 30, 100) == 30
    count.release(30)
    assert (at(count).settled, at(count).reserved, at(count).calls) == (0, 0, 0)


def test_what_a_killed_process_held_back_is_free_and_what_it_spent_is_spent(path: Path) -> None:
    count = Count(path)
    ready, told = os.pipe()

    def spend() -> None:
        mine = Count(path)
        mine.reserve(10, 100)
        mine.settle(10, 10)
        mine.reserve(90, 100)
        os.write(told, b"x")
        signal.pause()

    child = in_child(spend)
    os.read(ready, 1)
    assert (at(count).settled, at(count).reserved) == (10, 90)
    assert held(count, 5, 100) is None
    os.kill(child, signal.SIGKILL)
    assert ended(child) == -signal.SIGKILL

    assert held(count, 5, 100) == 5, "nobody holds the 90 any more"
    assert (at(count).settled, at(count).reserved) == (10, 5)


def test_who_dies_while_writing_leaves_the_sum_before(path: Path) -> None:
    count = Count(path)
    for _ in range(5):
        count.settle(0, 7)
    number = at(count).number
    newest = budgets_layout.COPIES[number & 1]
    with path.open("r+b") as file:  # half of the newest copy is of a later write
        file.seek(newest)
        file.write(b"\xff" * 20)

    again = Count(path)
    assert at(again).settled == 28, "the copy before the damaged one"
    again.settle(0, 7)
    assert (at(again).settled, at(again).number) == (35, number)
    assert at(Count(path)).settled == 35


@pytest.mark.parametrize(
    "content",
    [b"something else", b"tollspan budget 1" + b"\xff" * (budgets_count.SIZE - 17)],
    ids=["another size", "both copies damaged"],
)
def test_a_file_that_cannot_be_read_is_said_so(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(UnreadableCount):
        Count(path)


def test_a_lock_that_is_not_free_stops_nobody_and_loses_no_cost(path: Path) -> None:
    count = Count(path)
    with path.open("r+b") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        began = time.monotonic()
        assert count.reserve(5, 100) is None, "nobody can tell"
        assert count.settle(0, 7) is None
        assert time.monotonic() - began < 20
    count.lock.stuck_until_s = 0
    assert held(count, 1, 100) == 1
    assert at(count).settled == 7, "the next who has the lock counts it"


def test_a_stream_that_is_freed_while_the_count_is_written_waits_for_nobody(path: Path) -> None:
    """The garbage collector settles calls in whatever thread it runs, in the midst of anything."""
    count = Count(path)
    assert count.lock.take(1)
    assert count.settle(0, 7) is None
    count.lock.give()
    count.settle(0, 1)
    assert (at(count).settled, at(count).calls) == (8, 2)


def test_threads_and_processes_count_every_call_once(path: Path) -> None:
    def calls() -> None:
        count = Count(path)

        def some() -> None:
            for _ in range(200):
                found = count.reserve(3, 10**9)
                count.settle(found[0] or 0 if found else 0, 2)

        threads = [threading.Thread(target=some) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        count.sweep()  # what was put off while the lock was taken

    assert [ended(child) for child in [in_child(calls) for _ in range(4)]] == [0] * 4
    count = Count(path)
    count.sweep()
    assert (at(count).settled, at(count).reserved, at(count).calls) == (3200, 0, 1600)


def test_a_forked_child_holds_nothing_of_its_parents(path: Path) -> None:
    count = Count(path)
    assert held(count, 60, 100) == 60

    def child() -> None:
        count.after_fork()
        assert held(count, 30, 100) == 30
        count.settle(30, 30)

    assert ended(in_child(child)) == 0
    assert (at(count).settled, at(count).reserved) == (30, 60)
    count.settle(60, 50)
    assert (at(count).settled, at(count).reserved) == (80, 0)


def test_who_is_not_heard_of_holds_nothing_back(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process of another container, whose pids nobody here knows."""
    far = Count(path)
    far._slots._space += 1
    assert held(far, 90, 100) == 90
    near = Count(path)
    near.sweep()
    assert at(near).reserved == 90
    now = time.time()
    monkeypatch.setattr(budgets_slots.time, "time", lambda: now + budgets_slots.ALIVE_S + 1)
    near.sweep()
    assert at(near).reserved == 0


def test_the_ledger_knows_of_other_machines_and_never_makes_it_less(path: Path) -> None:
    count = Count(path)
    count.settle(0, 40)
    count.reconcile(ledger=100, known=30)  # 10 of the 40 have not come to it
    assert at(count).spent == 110
    count.settle(0, 5)
    assert at(count).spent == 115
    count.reconcile(ledger=0, known=45)  # it lost what it had
    assert at(count).spent == 45, "what was counted here is spent"


def test_one_process_tells_and_one_asks(path: Path) -> None:
    one, other = Count(path), Count(path)
    assert [one.tell(1), other.tell(1), one.tell(2), one.tell(1)] == [True, False, True, False]
    assert [one.asks(60), other.asks(60), other.asks(0)] == [True, False, True]


def test_periods_are_those_of_the_ledger() -> None:
    sunday = 1_780_271_999.0  # 2026-05-31 23:59:59 UTC
    assert [f"{period_at(kind, sunday).ends:%m-%d}" for kind in ("day", "week", "month")] == [
        "06-01",
        "06-01",
        "06-01",
    ]
    monday = sunday + 1
    assert [f"{period_at(kind, monday).ends:%m-%d}" for kind in ("day", "week", "month")] == [
        "06-02",
        "06-08",
        "07-01",
    ]
    assert period_at("week", monday).begin == monday
