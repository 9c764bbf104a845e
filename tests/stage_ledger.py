"""What stands behind stages in production: a collector with the after-stage configuration, and a ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline_processes import ClickHouse, collector, free_port, until

from tollspan.collector.destination import destination
from tollspan.collector.forward import forwarder
from tollspan.config import Settings
from tollspan.exporter import OtlpExporter
from tollspan.launcher.stage_mend import mend_of

__all__ = ["BehindStages", "behind_stages"]


@dataclass
class BehindStages:
    """`url` is of the collector behind the stages."""

    clickhouse: ClickHouse
    url: str
    mended: int = 0

    @property
    def known(self) -> dict[str, Any]:
        """Settings of a stage that may ask the ledger."""
        return {"clickhouse_url": f"{self.clickhouse.url}/default", "mend_every_s": 0}

    def calls(self, where: str = "1") -> list[dict[str, Any]]:
        return self.clickhouse.rows(
            f"SELECT * FROM tollspan_calls WHERE {where} ORDER BY time, call_id"
        )

    def landed(self, told: int, where: str) -> list[dict[str, Any]]:
        """Calls that own, when `told` rows of them stand in the ledger."""
        sql = f"SELECT count() AS n FROM llm_calls FINAL WHERE role != 'gone' AND ({where})"
        until(lambda: self.clickhouse.one(sql) == told, f"{told} rows where {where}")
        return self.calls(where)

    def mend(self) -> None:
        """Once, from the ledger; and wait until that has landed."""
        settings = Settings(**self.known, forward_timeout_s=10)
        send_on = forwarder(destination(self.url), OtlpExporter(), 10)
        try:
            done = mend_of(settings, send_on, "once").run()
        finally:
            send_on.close()
        sql = "SELECT count() AS n FROM llm_calls WHERE told_by LIKE 'once/%'"
        self.mended += done.records
        until(lambda: self.clickhouse.one(sql) >= self.mended, "what was mended lands")


@contextmanager
def behind_stages(folder: Path) -> Iterator[BehindStages]:
    """Both, answering."""
    address = f"127.0.0.1:{free_port()}"
    with ExitStack() as ending, ClickHouse(folder / "ledger") as clickhouse:
        after = collector(
            "after-stage",
            folder,
            "after-stage/after-stage.yaml",
            TOLLSPAN_AFTER_STAGE_GRPC=address,
            TOLLSPAN_AFTER_STAGE_HTTP=f"127.0.0.1:{free_port()}",
            TOLLSPAN_PROMETHEUS=f"127.0.0.1:{free_port()}",
            TOLLSPAN_CLICKHOUSE=clickhouse.url,
            TOLLSPAN_CLICKHOUSE_DATABASE="default",
            TOLLSPAN_CLICKHOUSE_COMPRESS="none",
            TOLLSPAN_FLUSH="200ms",
        ).start()
        ending.callback(after.end)
        after.ready()
        yield BehindStages(clickhouse, f"grpc://{address}")
