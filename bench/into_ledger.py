"""How many spans a second of CPU takes from OTLP requests into the embedded ledger: subjects of
`bench.stage`."""

from __future__ import annotations

import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

from bench import traffic
from bench.memory import rss_mb

if TYPE_CHECKING:
    from tollspan.collector.wire import Decoded
    from tollspan.local.ledger import Ledger

__all__ = ["floor", "foreign", "ledger", "steady", "traces", "uncompiled"]

WARM_SPANS = 65_536
"""Two whole commits: the memory that a first one asks the system for, the next ones have."""
IN_FLIGHT = 64
"""Requests that the ledger's writer has at once: as from a few dozen senders."""
MERGED_WITHIN_S = 300.0


def ledger(
    spans: int,
    made: Callable[..., Iterable[bytes]] = traffic.ours,
    calls: float = 1,
    at_once: int = 0,
    warm: int = WARM_SPANS,
) -> dict[str, float]:
    """Calls that tollspan has settled in the application, 25 attributes each and cost and path: from
    OTLP requests to committed rows of all tables, by all threads of the process.

    Args:
        calls: how many of the spans are calls.
        at_once: make so many spans, send them, and so on, until the engine has nothing left to merge;
            what making takes is not counted. 0: all of them, and what is not merged stays so.
        warm: spans that are sent before, off the clock.
    """
    from tollspan.collector import wire
    from tollspan.collector.foreign import normalised, settled
    from tollspan.collector.stage import Stage
    from tollspan.local.ledger import Ledger
    from tollspan.local.recall import Recall
    from tollspan.local.writer import Writer

    with tempfile.TemporaryDirectory() as folder:
        opened = Ledger(Path(folder) / "ledger")
        recall = Recall(opened)
        stage = Stage(settled, normalised, recall, recall.linked)
        writer = Writer(opened, stage, lambda told: None, recall)

        def run(bodies: Iterable[bytes]) -> None:
            waiting: deque[tuple[Future[None], Decoded]] = deque()
            for body in bodies:
                if len(waiting) >= IN_FLIGHT:
                    _taken(*waiting.popleft())
                decoded = wire.traces(body, seals=True)
                waiting.append((writer.take(decoded), decoded))
            for each in waiting:
                _taken(*each)

        run(made(warm, seed=7))
        requests = iter(made(spans))
        sent, making, before = 0, 0.0, time.process_time()
        while True:
            began = time.thread_time()
            bodies = list(islice(requests, max((at_once or spans) // traffic.BATCH, 1)))
            making += time.thread_time() - began
            if not bodies:
                break
            run(bodies)
            sent += len(bodies) * traffic.BATCH
        if at_once:
            _merged(opened)
        took = time.process_time() - before - making
        writer.stop()
        stored(opened, sent + warm, int((sent + warm) * calls))
        opened.close()
    return {"per_cpu_s": sent / took, "rss_mb": rss_mb()}


def _taken(done: Future[None], decoded: Decoded) -> None:
    """Wait until a request is committed.

    Raises:
        SystemExit: not all of it was taken.
    """
    done.result()
    if decoded.rejected:
        raise SystemExit(f"{decoded.rejected} spans were not taken: {decoded.why}")


def _merged(ledger: Ledger) -> None:
    """Wait until the engine has nothing left to merge.

    Raises:
        SystemExit: it still has, after five minutes.
    """
    until = time.monotonic() + MERGED_WITHIN_S
    idle = 0
    while idle < 3:
        (found,) = ledger.query("SELECT count() AS merges FROM system.merges")
        idle = 0 if found["merges"] else idle + 1
        if time.monotonic() > until:
            raise SystemExit("the engine does not come to an end of merging")
        time.sleep(0.5)


def stored(ledger: Ledger, spans: int, calls: int) -> None:
    """Look whether all of them stand in the ledger.

    Raises:
        SystemExit: they do not.
    """
    (found,) = ledger.query(
        "SELECT count() AS calls, countIf(cost_usd > 0) AS paid,"
        " (SELECT count() FROM spans) AS spans, (SELECT count() FROM tollspan_hops) AS hops,"
        " (SELECT uniqExact(trace_id, span_id) FROM spans) AS ids"
        " FROM tollspan_calls"
    )
    wanted = {"calls": calls, "paid": calls, "spans": spans, "hops": calls, "ids": spans}
    if found != wanted:
        raise SystemExit(f"in the ledger stand {found}, not {wanted}")


def steady(spans: int) -> dict[str, float]:
    """The same for so long that parts of all tables are merged meanwhile."""
    return ledger(spans, at_once=2 * WARM_SPANS)


def traces(spans: int) -> dict[str, float]:
    """`ledger`, with the attempt of each call."""
    return ledger(spans, traffic.traces, calls=0.5)


def foreign(spans: int) -> dict[str, float]:
    """The same for calls that another instrumentation tells of, settled here."""
    return ledger(spans, traffic.calls)


def uncompiled(spans: int) -> dict[str, float]:
    """`ledger` where nothing could be compiled when tollspan was installed: span by span, through the
    stage."""
    from tollspan.collector import framed
    from tollspan.local import compiled

    compiled.IS_COMPILED = False
    with patch.object(framed, "_framed", lambda body: None):
        return ledger(spans, warm=WARM_SPANS // 8)


def floor(spans: int) -> dict[str, float]:
    """What `ledger` writes, ready-made: what the engine alone takes."""
    from tollspan.collector import wire
    from tollspan.local.ledger import Ledger
    from tollspan.local.recall import Recall
    from tollspan.local.straight import gone_straight

    with tempfile.TemporaryDirectory() as folder:
        opened = Ledger(Path(folder) / "ledger")
        recall = Recall(opened)

        def ready(bodies: list[bytes]) -> list[dict[str, bytes]]:
            groups = [bodies[at : at + IN_FLIGHT] for at in range(0, len(bodies), IN_FLIGHT)]
            gone = (
                gone_straight(
                    [each for body in group for each in wire.traces(body, seals=True).sealed],
                    (),
                    recall,
                )
                for group in groups
            )
            return [{name: b"".join(parts) for name, parts in one.blocks.items()} for one in gone]

        def run(commits: list[dict[str, bytes]]) -> None:
            for blocks in commits:
                for table, block in blocks.items():
                    opened.append(table, block)

        run(ready(list(traffic.ours(WARM_SPANS, seed=7))))
        bodies = list(traffic.ours(spans))
        commits = ready(bodies)
        before = time.process_time()
        run(commits)
        took = time.process_time() - before
        sent = len(bodies) * traffic.BATCH
        stored(opened, sent + WARM_SPANS, sent + WARM_SPANS)
        opened.close()
    return {"per_cpu_s": sent / took, "rss_mb": rss_mb()}
