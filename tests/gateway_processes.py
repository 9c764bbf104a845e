"""Real gateways as processes of their own: a LiteLLM proxy and Portkey's, each on a free port of 127.0.0.1.

Both start without waiting, so that several come up at the same time; `ready()` waits. Nothing of them
leaves this machine, and they get none of the user's keys.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from needs import ROOT, demo_python, missing

from tollspan.launcher._litellm import _free_port, end_process_group, private_environment

READY_WITHIN_S = 90.0
LITELLM_KEY = "sk-gateway"
"""The key that every LiteLLM here asks for."""

PORTKEY_FILES = ROOT / ".ci" / "portkey"


@dataclass
class Gateway:
    """A gateway that was started; `url` has no slash at its end."""

    url: str
    log: Path
    process: subprocess.Popen[bytes]
    health: str
    """Path that answers 200 when it is up."""

    def ready(self) -> Gateway:
        """Wait until it answers; fails when it has ended or takes too long."""
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                with direct.open(self.url + self.health, timeout=2) as answer:
                    if answer.status == 200:
                        return self
            except (OSError, urllib.error.HTTPError):
                time.sleep(0.05)
        pytest.fail(f"{self.url} did not start:\n{self.log.read_text(errors='replace')[-3000:]}")


@contextmanager
def _started(
    command: Sequence[str], environ: Mapping[str, str], folder: Path, port: int, health: str
) -> Iterator[Gateway]:
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            env=dict(environ),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Gateway(f"http://127.0.0.1:{port}", log, process, health)
    finally:
        end_process_group(process)


# --- LiteLLM --------------------------------------------------------------------------------------


def deployment(
    group: str, name: str, model: str, base_url: str, key: str = "k", **more: Any
) -> dict[str, Any]:
    """A row of LiteLLM's `model_list`: `model` as LiteLLM names it (`openai/gpt-4o`), at `base_url`."""
    asked = {"model": model, "api_base": base_url, "api_key": key, **more}
    return {"model_name": group, "litellm_params": asked, "model_info": {"id": name}}


@dataclass
class LiteLLMConfig:
    """What stands in the proxy's configuration file."""

    models: Sequence[Mapping[str, Any]]
    router: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    """More of `litellm_settings`."""
    guardrails: Sequence[Mapping[str, Any]] = ()
    general: Mapping[str, Any] = field(default_factory=dict)
    """`general_settings`."""

    def as_file(self) -> str:
        """JSON, which is YAML."""
        return json.dumps(
            {
                "model_list": list(self.models),
                "litellm_settings": {
                    "telemetry": False,
                    "turn_off_message_logging": True,
                    # Only requests that ask for the cache use it.
                    "cache": True,
                    "cache_params": {"type": "local", "mode": "default_off"},
                    **self.settings,
                },
                # No test shall feel the failures of the one before it.
                "router_settings": {
                    "num_retries": 1,
                    "retry_after": 0,
                    "disable_cooldowns": True,
                    **self.router,
                },
                "guardrails": list(self.guardrails),
                "general_settings": dict(self.general),
            }
        )


def needs_complete_spans() -> None:
    """Skip where LiteLLM's own spans lack the events that count its requests.

    It hangs them on the server span of this package, which its images have and its extra `proxy`
    does not; without it FastAPI makes that span, and the events come when it has ended.
    """
    places = demo_python().parent.parent / "lib"
    if not any(places.glob("python*/site-packages/opentelemetry/instrumentation/fastapi")):
        missing("litellm-spans", "no opentelemetry-instrumentation-fastapi beside LiteLLM")


@contextmanager
def litellm(
    config: LiteLLMConfig,
    folder: Path,
    *,
    otlp: str | None = None,
    through: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Iterator[Gateway]:
    """A LiteLLM proxy.

    Args:
        otlp: base URL of OTLP/HTTP; given, the proxy's own OTel V2 spans go there.
        through: a command that starts the proxy, such as `opentelemetry-instrument`, by its name
            beside the proxy's Python.
        environ: more of its environment.
    """
    places = demo_python().parent
    port = _free_port()
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "litellm.yaml"
    if otlp is not None:
        config = replace(config, settings={**config.settings, "callbacks": ["otel"]})
    file.write_text(config.as_file())
    own = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_MASTER_KEY": LITELLM_KEY,
        "LITELLM_LOG": "ERROR",
        "DISABLE_ADMIN_UI": "True",
    }
    if otlp is not None:
        own |= {
            "LITELLM_OTEL_V2": "true",
            "OTEL_EXPORTER": "otlp_http",
            "OTEL_ENDPOINT": otlp,
            "OTEL_SERVICE_NAME": "litellm",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
    start = [str(places / through[0]), *through[1:]] if through else []
    command = [*start, str(places / "litellm"), "--config", str(file)]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    environ = {**private_environment(), **own, **(environ or {})}
    with _started(command, environ, folder, port, "/health/liveliness") as gateway:
        yield gateway


# --- Portkey --------------------------------------------------------------------------------------


def portkey_folder() -> Path:
    """Where `.ci/portkey/make` has put the gateway."""
    version = json.loads((PORTKEY_FILES / "package.json").read_text())["version"]
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(cache) / "tollspan" / f"portkey-{version}"
    if shutil.which("node") is None:
        missing("portkey", "no node on the PATH")
    if not (folder / "node_modules").is_dir():
        missing("portkey", "not in the cache; `.ci/portkey/make` puts it there")
    return folder


@contextmanager
def portkey(folder: Path) -> Iterator[Gateway]:
    """Portkey's gateway. What it does is said by each request, in the header `x-portkey-config`."""
    port = _free_port()
    package = portkey_folder() / "node_modules" / "@portkey-ai" / "gateway"
    command = ["node", "--require", str(PORTKEY_FILES / "loopback.cjs")]
    command += [str(package / "build" / "start-server.js"), f"--port={port}", "--headless"]
    environ = {**private_environment(), "NODE_ENV": "production"}
    with _started(command, environ, folder, port, "/") as gateway:
        yield gateway


def portkey_headers(**config: Any) -> dict[str, str]:
    """The request header that carries `config`: https://portkey.ai/docs/product/ai-gateway/configs"""
    return {"x-portkey-config": json.dumps(config)}


def target(model: str | None, base_url: str, key: str = "k", **more: Any) -> dict[str, Any]:
    """One target of a Portkey configuration: an OpenAI wire at `base_url`."""
    found: dict[str, Any] = {"provider": "openai", "custom_host": base_url, "api_key": key, **more}
    return found if model is None else {**found, "override_params": {"model": model}}
