"""Ids of ours are drawn many at a time, and no two are the same: not in two threads, not after a fork."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tollspan import ids

KINDS: tuple[Callable[[], object], ...] = (ids.span_id, ids.trace_id, ids.request_id)


@pytest.mark.parametrize("draw", KINDS)
def test_no_two_threads_get_the_same_id(draw: Callable[[], object]) -> None:
    with ThreadPoolExecutor(4) as pool:
        drawn = [
            each
            for some in pool.map(lambda _: [draw() for _ in range(2_000)], range(8))
            for each in some
        ]
    assert len(set(drawn)) == len(drawn) == 16_000


def test_ids_are_as_wide_as_they_are_written() -> None:
    assert all(0 < ids.span_id() < 2**64 for _ in range(500))
    assert all(0 < ids.trace_id() < 2**128 for _ in range(500))
    assert all(len(bytes.fromhex(ids.request_id())) == 16 for _ in range(500))
    assert any(ids.span_id() >= 2**60 for _ in range(500))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("draw", KINDS)
def test_a_forked_child_does_not_draw_what_its_parent_draws(draw: Callable[[], object]) -> None:
    draw()  # so that some are there that wait to be given out
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(there, ",".join(str(draw()) for _ in range(200)).encode())
        os._exit(0)
    os.close(there)
    with os.fdopen(here) as pipe:
        theirs = pipe.read().split(",")
    os.waitpid(child, 0)
    ours = [str(draw()) for _ in range(200)]
    assert len({*ours, *theirs}) == 400


def test_the_numbers_of_the_application_stay_its_own() -> None:
    random.seed(7)
    bare = [random.random() for _ in range(5)]
    first = [draw() for draw in KINDS for _ in range(100)]
    random.seed(7)
    assert [random.random() for _ in range(5)] == bare
    assert not {*first} & {draw() for draw in KINDS for _ in range(100)}
