"""The whole production path, on free ports: application, agent, gateway, two stages, after-stage, ledger."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from needs import ROOT
from pipeline_processes import (
    ClickHouse,
    Running,
    collector,
    free_port,
    get,
    scraping,
    stage,
    until,
)

from tollspan.chaos import Chaos, bill
from tollspan.launcher._litellm import private_environment

APP = ROOT / "tests" / "pipeline_app.py"


class Production:
    """`agent`, `gateway`, `stages`, `after`, `prometheus` are processes; `clickhouse` is in this one."""

    def __init__(self, folder: Path, clickhouse: ClickHouse, flush: str) -> None:
        self.folder = folder
        self.clickhouse = clickhouse
        agent, gateway, after, metrics = (f"127.0.0.1:{free_port()}" for _ in range(4))
        self.agent_endpoint, self.after_endpoint = f"http://{agent}", after
        self.after = collector(
            "after-stage",
            folder,
            "after-stage/after-stage.yaml",
            TOLLSPAN_AFTER_STAGE_GRPC=after,
            TOLLSPAN_AFTER_STAGE_HTTP=f"127.0.0.1:{free_port()}",
            TOLLSPAN_PROMETHEUS=metrics,
            TOLLSPAN_CLICKHOUSE=clickhouse.url,
            TOLLSPAN_CLICKHOUSE_DATABASE="default",
            TOLLSPAN_CLICKHOUSE_COMPRESS="none",
            TOLLSPAN_FLUSH=flush,
        )
        self.stages = [
            stage(f"stage-{n}", folder, f"grpc://{after}", TOLLSPAN_WINDOW_S=5) for n in (1, 2)
        ]
        self.gateway = collector(
            "gateway",
            folder,
            "gateway/gateway.yaml",
            TOLLSPAN_GATEWAY_GRPC=gateway,
            TOLLSPAN_GATEWAY_HTTP=f"127.0.0.1:{free_port()}",
            TOLLSPAN_STAGE_1=f"127.0.0.1:{self.stages[0].port}",
            TOLLSPAN_STAGE_2=f"127.0.0.1:{self.stages[1].port}",
            TOLLSPAN_AFTER_STAGE=after,
        )
        self.agent = collector(
            "agent",
            folder,
            "agent/agent.yaml",
            TOLLSPAN_AGENT_GRPC=agent,
            TOLLSPAN_AGENT_HTTP=f"127.0.0.1:{free_port()}",
            TOLLSPAN_GATEWAY=gateway,
        )
        self.collectors = [self.agent, self.gateway, self.after]
        self.prometheus = scraping(
            folder,
            {
                "tollspan-collector": [each.telemetry for each in self.collectors],
                "tollspan-stage": [each.telemetry for each in self.stages],
                "applications": [int(metrics.rpartition(":")[2])],
            },
        )

    @property
    def processes(self) -> list[Running]:
        return [*self.collectors, *self.stages, self.prometheus]

    def application(
        self, name: str, chaos: Chaos, calls: int, threads: int = 8
    ) -> subprocess.Popen[str]:
        """An application, started; its service is called `name`."""
        environ = {
            "OPENAI_BASE_URL": chaos.openai_base_url,
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.agent_endpoint,
            "OTEL_EXPORTER_OTLP_INSECURE": "true",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "30",
            "OTEL_METRIC_EXPORT_INTERVAL": "1000",
            "OTEL_SERVICE_NAME": name,
        }
        return subprocess.Popen(
            [sys.executable, str(APP), str(calls), str(threads)],
            env={**private_environment(), **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def mend(self) -> None:
        """Fold again what two stages told of one trace: `tollspan stage --mend-once`."""
        environ = {
            "TOLLSPAN_CLICKHOUSE_URL": f"{self.clickhouse.url}/default",
            "TOLLSPAN_FORWARD_TO": f"grpc://{self.after_endpoint}",
        }
        told = subprocess.run(
            [str(Path(sys.executable).parent / "tollspan"), "stage", "--mend-once"],
            env={**private_environment(), **environ},
            capture_output=True,
            text=True,
            check=False,
        )
        assert told.returncode == 0, told.stderr

    def measured(self, query: str) -> list[dict[str, Any]]:
        """What Prometheus answers to an instant query."""
        asked = urllib.parse.urlencode({"query": query})
        text = get(f"http://127.0.0.1:{self.prometheus.port}/api/v1/query?{asked}")
        return json.loads(text)["data"]["result"] if text else []

    def value(self, query: str) -> float | None:
        found = self.measured(query)
        return float(found[0]["value"][1]) if len(found) == 1 else None


@contextmanager
def production(folder: Path, flush: str = "300ms") -> Iterator[Production]:
    """The path, every part of it answering. `flush`: how long rows are gathered for an INSERT."""
    with ExitStack() as ending, ClickHouse(folder / "ledger") as clickhouse:
        path = Production(folder, clickhouse, flush)
        for each in path.processes:
            ending.callback(each.end)
            each.start()
        for each in path.processes:
            each.ready()
        yield path


def ended(application: subprocess.Popen[str], within_s: float = 60) -> dict[str, Any]:
    """What the application said when its telemetry was out."""
    said, complained = application.communicate(timeout=within_s)
    assert application.returncode == 0, complained[-3000:]
    return dict(json.loads(said.splitlines()[-1]))


def billed(chaos: Chaos) -> Decimal:
    """US dollars of all that the provider answered."""
    prices = [price for _, price in bill(chaos.log)]
    assert None not in prices
    return sum((price for price in prices if price is not None), Decimal(0))


def arrived(path: Production, service: str, calls: int, within_s: float = 60.0) -> None:
    """Wait until the ledger has so many calls of `service`."""
    count = f"SELECT count() AS n FROM tollspan_calls WHERE service = '{service}'"
    until(lambda: path.clickhouse.one(count) >= calls, f"{calls} calls of {service}", within_s)
