"""The ledger is asked for a trace only when it may have it, and says of each span what it was told last."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from spans import span

from tollspan.local import seen
from tollspan.local.blocks import span_block
from tollspan.local.ledger import Ledger
from tollspan.local.migrations import OF_THIS_ENGINE, migrate
from tollspan.local.recall import Recall


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    made = Ledger(tmp_path_factory.mktemp("ledger"))
    yield made
    made.close()


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_of_each_span_the_newest_version_comes_back_whatever_came_last(
    ledger: Ledger, order: tuple[int, int, int]
) -> None:
    trace_id = bytes(order).hex().rjust(32, "a")
    told = [
        span(1, trace_id=trace_id, name=f"told {version}", stored_version=version)
        for version in (1, 2, 3)
    ]
    other = span(2, trace_id=trace_id, name="other")
    for at in order:
        ledger.append("spans", span_block([told[at]]))
    ledger.append("spans", span_block([other]))
    found = Recall(ledger)([trace_id]).spans
    assert sorted(each.name for each in found) == ["other", "told 3"]


def test_hardly_any_of_a_million_others_is_taken_for_one_that_was_there() -> None:
    drawn = np.random.default_rng(7)
    every = seen.Seen()
    added = [drawn.integers(0, 1 << 63, 50_000, np.uint64) for _ in range(24)]
    for hashes in added:
        every.add(hashes)
    others = drawn.integers(0, 1 << 63, 1_000_000, np.uint64)
    assert every.has(others).sum() < 20
    assert all(every.has(hashes).all() for hashes in added)
    assert not every.is_full


@pytest.mark.parametrize("table", OF_THIS_ENGINE)
def test_a_ledger_of_before_gets_the_settings_of_its_tables(ledger: Ledger, table: str) -> None:
    wanted = OF_THIS_ENGINE[table]
    ledger._writer.query(f"ALTER TABLE {table} RESET SETTING {', '.join(wanted)}")
    before, _ = _settings(ledger, table), migrate(ledger._writer)
    after = _settings(ledger, table)
    assert not any(f"{name} = {value}" in before for name, value in wanted.items())
    assert all(f"{name} = {value}" in after for name, value in wanted.items())


def test_a_setting_that_somebody_chose_stays(ledger: Ledger) -> None:
    ledger._writer.query("ALTER TABLE spans MODIFY SETTING merge_selector_base = 7")
    migrate(ledger._writer)
    assert "merge_selector_base = 7" in _settings(ledger, "spans")


def _settings(ledger: Ledger, table: str) -> str:
    return str(ledger._writer.query(f"SHOW CREATE TABLE {table}", "TSVRaw").data())
