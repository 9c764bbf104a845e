"""A circuit opens, waits, tries and closes when it says it does, whatever calls do to it."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tollspan.limits.circuits import CLOSED, HALF_OPEN, OPEN, Circuit, Policy
from tollspan.limits.outcomes import (
    ANSWERED,
    FAILURES,
    KINDS,
    LIMITED,
    REFUSED,
    SERVER,
    SLOW,
    Outcome,
)

PLAIN = Policy(
    window_s=60, failures=3, failure_ratio=0.5, cool_down_s=10, cool_down_most_s=100, jitter=0
)
GOOD, BAD = Outcome(ANSWERED, 0.2), Outcome(SERVER, 0.2)


def circuit(policy: Policy = PLAIN, chance: float = 0.0) -> Circuit:
    return Circuit(policy, lambda: chance)


def opened(now: float = 0.0, policy: Policy = PLAIN) -> Circuit:
    made = circuit(policy)
    for _ in range(policy.failures):
        made.record(BAD, now, now)
    assert made.state(now) == OPEN
    return made


def tried(made: Circuit, outcome: Outcome, now: float) -> None:
    assert made.acquire(now)
    made.record(outcome, now, now)
    made.release(now)


# --- opens ----------------------------------------------------------------------------------------


def test_it_opens_with_the_failure_that_reaches_number_and_ratio() -> None:
    made = circuit()
    for moment in range(3):
        made.record(GOOD, moment, moment)
    for moment in (3, 4):
        made.record(BAD, moment, moment)
        assert made.state(moment) == CLOSED
    made.record(BAD, 5, 5)

    assert made.state(5) == OPEN
    assert made.reason == "3 of 6 calls failed; the last one answered 5xx"
    assert not made.admits(5)


def test_enough_failures_among_many_good_calls_do_not_open_it() -> None:
    made = circuit()
    for moment in range(30):
        made.record(BAD if moment % 3 == 0 else GOOD, moment, moment)

    assert made.state(30) == CLOSED


def test_failures_that_left_the_window_no_longer_count() -> None:
    made = circuit()
    for moment in (0, 30, 60.1):
        made.record(BAD, moment, moment)

    assert made.state(61) == CLOSED
    assert made.recent.kinds(61) == {SERVER: 2}


@pytest.mark.parametrize("kind", sorted(set(KINDS) - FAILURES - {SLOW}))
def test_what_is_not_the_backends_fault_never_opens_it(kind: str) -> None:
    made = circuit()
    for moment in range(50):
        made.record(Outcome(kind, 1.0), moment, moment)

    assert made.state(50) == CLOSED


def test_slow_answers_open_it_only_where_the_policy_says_what_slow_is() -> None:
    slow = Outcome(ANSWERED, 8.0)
    indifferent, strict = circuit(), circuit(replace(PLAIN, slow_s=5))
    for made in (indifferent, strict):
        for moment in range(3):
            made.record(slow, moment, moment)

    assert indifferent.state(3) == CLOSED
    assert strict.state(3) == OPEN
    assert strict.reason == "3 of 3 calls took longer than 5 s"


# --- waits ----------------------------------------------------------------------------------------


def test_no_call_goes_until_the_cool_down_is_over_to_the_moment() -> None:
    made = opened()

    assert not made.acquire(9.999)
    assert made.retry_after_s(4) == 6
    assert made.state(10) == HALF_OPEN
    assert made.retry_after_s(10) is None
    assert made.since == 10


def test_each_opening_in_a_row_waits_twice_as_long_up_to_the_most() -> None:
    made, now, waits = opened(), 0.0, []
    for _ in range(6):
        wait = made.retry_after_s(now)
        assert wait is not None
        waits.append(wait)
        now += wait
        tried(made, BAD, now)

    assert waits == [10, 20, 40, 80, 100, 100]


def test_one_that_fails_again_right_after_it_had_closed_goes_on_to_wait_longer() -> None:
    made = opened()
    for moment in (10, 11):
        tried(made, GOOD, moment)
    assert made.state(11) == CLOSED
    for _ in range(3):
        made.record(BAD, 20, 20)

    assert made.retry_after_s(20) == 20


def test_one_that_was_well_for_long_begins_with_the_short_wait_again() -> None:
    made = opened()
    for moment in (10, 11):
        tried(made, GOOD, moment)
    for _ in range(3):
        made.record(BAD, 100, 100)

    assert made.retry_after_s(100) == 10


def test_chance_adds_no_more_than_its_part_to_a_cool_down() -> None:
    made = circuit(replace(PLAIN, jitter=0.2), chance=0.5)
    for _ in range(3):
        made.record(BAD, 0, 0)

    assert made.retry_after_s(0) == pytest.approx(11)


def test_a_wait_that_the_backend_asks_for_is_honoured_up_to_the_most() -> None:
    made, long = circuit(), circuit()
    for _ in range(3):
        made.record(Outcome(SERVER, 0.1, retry_after_s=42), 0, 0)
        long.record(Outcome(SERVER, 0.1, retry_after_s=86_400), 0, 0)

    assert made.retry_after_s(0) == 42
    assert long.retry_after_s(0) == 100


def test_a_backend_that_limits_is_there_and_says_when_to_come_back() -> None:
    made = circuit()
    for moment in range(20):
        made.record(Outcome(LIMITED, 0.1, retry_after_s=30), moment, moment)

    assert made.state(20) == CLOSED
    assert made.admits(20)
    assert made.retry_after_s(20) == 29
    assert made.retry_after_s(49) is None


# --- tries ----------------------------------------------------------------------------------------


def test_half_open_lets_so_many_calls_through_at_a_time() -> None:
    made = opened(policy=replace(PLAIN, trials=2))

    assert [made.acquire(now) for now in (10, 10.1, 10.2)] == [True, True, False]
    made.release(10.1)
    assert made.acquire(10.3)


def test_good_trials_in_a_row_close_it_and_old_failures_are_forgotten() -> None:
    made = opened()
    tried(made, GOOD, 10)
    assert made.state(10) == HALF_OPEN
    tried(made, Outcome(REFUSED, 0.1), 11)

    assert made.state(11) == CLOSED
    made.record(BAD, 12, 12)
    assert made.state(12) == CLOSED
    assert made.recent.kinds(12) == {SERVER: 1}


def test_a_trial_that_is_limited_decides_nothing() -> None:
    made = opened()
    tried(made, Outcome(LIMITED, 0.1), 10)

    assert made.state(10) == HALF_OPEN
    assert made.admits(10)


def test_a_trial_that_never_comes_back_gives_its_place_away() -> None:
    made = opened(policy=replace(PLAIN, trial_s=30))

    assert made.acquire(10)
    assert not made.acquire(39.9)
    assert made.acquire(40)


def test_a_call_from_before_the_state_began_decides_nothing() -> None:
    made = opened()
    assert made.state(10) == HALF_OPEN
    made.record(BAD, started=0, now=11)
    assert made.state(11) == HALF_OPEN
    for moment in (12, 13):
        tried(made, GOOD, moment)
    for _ in range(5):
        made.record(BAD, started=1, now=14)

    assert made.state(14) == CLOSED


def test_probes_open_it_and_let_it_be_tried_before_its_time() -> None:
    made = circuit()
    made.trip("3 probes failed", 0)
    assert made.state(1) == OPEN
    made.hasten(2)

    assert made.state(2) == HALF_OPEN


# --- always ---------------------------------------------------------------------------------------


class Life(RuleBasedStateMachine):
    """Whatever comes in whatever order."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.under_way: list[float] = []
        self.policy = replace(PLAIN, trials=2, jitter=0.1, trial_s=1000)
        self.made = Circuit(self.policy, lambda: 0.99)
        self.seen = 0

    @rule(seconds=st.floats(0, 120))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def a_call_is_let_go(self) -> None:
        admits, state = self.made.admits(self.now), self.made.state(self.now)
        granted = self.made.acquire(self.now)

        assert granted == admits
        assert not (granted and state == OPEN)
        if granted:
            self.under_way.append(self.now)

    @precondition(lambda self: self.under_way)
    @rule(
        kind=st.sampled_from(KINDS),
        wait=st.none() | st.floats(0, 1e6),
        which=st.integers(min_value=0),
    )
    def a_call_ends(self, kind: str, wait: float | None, which: int) -> None:
        started = self.under_way.pop(which % len(self.under_way))
        self.made.record(Outcome(kind, self.now - started, wait), started, self.now)
        self.made.release(started)

    @rule(up=st.booleans())
    def a_probe_speaks(self, up: bool) -> None:
        if up:
            self.made.hasten(self.now)
        else:
            self.made.trip("probes", self.now)

    @invariant()
    def it_never_waits_longer_than_it_may(self) -> None:
        wait = self.made.retry_after_s(self.now)
        most = self.policy.cool_down_most_s * (1 + self.policy.jitter)

        assert wait is None or 0 < wait <= most
        if self.made.state(self.now) == OPEN:
            assert wait is not None
            assert deepcopy(self.made).state(self.now + wait + 1e-6) == HALF_OPEN

    @invariant()
    def its_changes_follow_from_each_other(self) -> None:
        allowed = {(CLOSED, OPEN), (OPEN, HALF_OPEN), (HALF_OPEN, OPEN), (HALF_OPEN, CLOSED)}
        changes = self.made.changes
        for before, after in zip(changes[self.seen :], changes[self.seen + 1 :], strict=False):
            assert before.after == after.before
            assert before.at <= after.at
        assert all((each.before, each.after) in allowed for each in changes)
        self.seen = max(len(changes) - 1, 0)


TestLife = Life.TestCase


@given(st.lists(st.tuples(st.floats(0, 30), st.sampled_from(KINDS)), max_size=200))
def test_the_window_counts_what_lies_in_it(ends: list[tuple[float, str]]) -> None:
    made, now, all_ends = circuit(replace(PLAIN, failures=1000)), 0.0, []
    for pause, kind in ends:
        now += pause
        made.record(Outcome(kind, 1.0), now, now)
        all_ends.append((now, kind))
    expected: dict[str, int] = {}
    for moment, kind in all_ends:
        if moment > now - 60:
            expected[kind] = expected.get(kind, 0) + 1

    assert made.recent.kinds(now) == expected
    assert made.recent.calls() == sum(expected.values())


def test_the_window_holds_a_thousand_calls_at_most() -> None:
    made = circuit(replace(PLAIN, failures=10_000))
    for number in range(5000):
        made.record(GOOD if number % 2 else BAD, 0, number / 1000)

    assert made.recent.kinds(5) == {ANSWERED: 500, SERVER: 500}


def test_the_95th_percentile_is_of_good_calls() -> None:
    made = circuit(replace(PLAIN, failures=1000))
    for number in range(1, 101):
        made.record(Outcome(ANSWERED, number / 100), 0, 1)
        made.record(Outcome(SERVER, 99.0), 0, 1)
        made.record(Outcome(REFUSED, 0.001), 0, 1)

    assert made.recent.percentile_s(0.95, 1) == pytest.approx(0.96)
    assert circuit().recent.percentile_s(0.95, 1) is None
