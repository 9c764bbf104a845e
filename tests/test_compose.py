"""docker-compose.yml agrees with everything that it mounts, starts and names."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from importlib import resources
from itertools import chain
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
import yaml
from needs import ROOT
from pipeline_processes import otelcol, prometheus

from tollspan import config
from tollspan.chaos import Chaos
from tollspan.collector import allocator

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ENV_EXAMPLE = (ROOT / ".env.example").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
SECRET = re.compile(r"\$\{(\w+)(:[?-][^}]*)?\}")
COLLECTORS = ["agent", "gateway", "after-stage", "to-kafka", "from-kafka"]
STAGES = ["stage-1", "stage-2"]
ONE_SHOT = ["ledger", "kafka-topics"]

PORTS = {
    "clickhouse": {8123, 9000},
    "grafana": {3000},
    "kafka": {9092, 9093},
    "litellm": {4000},
    "prometheus": {9090},
    "provider": {8000},
}
"""Where images of others listen, as their command or their documentation says."""


def environment(service: str) -> dict[str, str]:
    return {name: str(value) for name, value in SERVICES[service].get("environment", {}).items()}


def mounts(service: str) -> Iterator[tuple[str, str]]:
    """Source and target of each mount."""
    for mount in SERVICES[service].get("volumes", []):
        source, target, *_ = mount.split(":")
        yield source, target


def mounted(service: str, target: str) -> Path:
    """The file of this repository that the service sees at `target`."""
    for source, place in mounts(service):
        if source.startswith("./") and (target + "/").startswith(place + "/"):
            return ROOT / source / target.removeprefix(place).lstrip("/")
    raise AssertionError(f"{service}: nothing is mounted at {target}")


def configs(service: str) -> list[Path]:
    """The files that a collector is started with."""
    command = SERVICES[service]["command"]
    return [mounted(service, each.removeprefix("--config=")) for each in command]


# --- the file ---------------------------------------------------------------------------------------


def test_it_is_a_compose_file() -> None:
    folder = resources.files("check_jsonschema") / "builtin_schemas" / "vendor"
    schema = json.loads((folder / "compose-spec.json").read_text())
    jsonschema.validate(COMPOSE, schema)
    wrong = {**COMPOSE, "services": {"a": {"imagee": "x"}}}

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema)


def test_every_mounted_file_exists_and_nothing_is_written_to_it() -> None:
    for said in SERVICES.values():
        for mount in said.get("volumes", []):
            if mount.startswith("./"):
                assert (ROOT / mount.split(":")[0]).exists(), mount
                assert mount.endswith(":ro"), mount


def test_volumes_are_declared_and_used() -> None:
    used = {source for service in SERVICES for source, _ in mounts(service) if source[0] != "."}

    assert used == COMPOSE["volumes"].keys()


def test_images_are_pinned() -> None:
    version = yaml.safe_load((ROOT / "collector-config" / "builder.yaml").read_text())["dist"]
    for service, said in SERVICES.items():
        name, _, tag = said["image"].rpartition(":")
        assert ("opentelemetry-collector" in name) == (service in COLLECTORS)
        if "build" in said:
            assert tag == "local"
            continue
        assert re.fullmatch(r"v?\d+\.\d+\.\d+[.\w-]*", tag), f"{service}: {name}:{tag}"
        if service in COLLECTORS:
            assert tag == version["version"], "the tests run another collector than the file"


def test_only_otlp_and_grafana_are_published_and_on_loopback() -> None:
    published = {service: said["ports"] for service, said in SERVICES.items() if "ports" in said}

    assert published.keys() == {"agent", "grafana", "to-kafka"}
    for port in chain.from_iterable(published.values()):
        assert port.startswith("127.0.0.1:"), port
    assert {port.rpartition(":")[2] for port in published["agent"]} == {"4317", "4318"}


def test_what_runs_on_is_watched() -> None:
    for service, said in SERVICES.items():
        if service in (*ONE_SHOT, *COLLECTORS, *STAGES, "shop"):
            continue
        assert said["healthcheck"]["test"][0] == "CMD", service
    assert "/readyz" in DOCKERFILE  # the stages' own
    scraped = (ROOT / "collector-config/compose/prometheus.yml").read_text()
    for service in (*STAGES, "agent", "gateway", "after-stage"):
        assert f'"{service}:' in scraped


def test_profiles_are_named() -> None:
    profiles = {name: said["profiles"] for name, said in SERVICES.items() if "profiles" in said}

    assert {each for names in profiles.values() for each in names} == {"demo", "kafka"}
    for service, said in SERVICES.items():
        for needed in said.get("depends_on", {}):
            inside = profiles.get(needed)
            assert inside is None or inside == profiles.get(service), f"{service} needs {needed}"


# --- secrets and settings ---------------------------------------------------------------------------


def test_secrets_come_from_the_env_file() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    asked = {match[1] for match in SECRET.finditer(text)}
    asked |= {each["environment"] for each in COMPOSE["secrets"].values()}
    offered = set(re.findall(r"^(\w+)=", ENV_EXAMPLE, re.MULTILINE))

    assert asked == offered
    assert not re.search(r"^\w+=.+", ENV_EXAMPLE, re.MULTILINE), "an example is not a secret"
    optional = {match[1] for match in SECRET.finditer(text) if (match[2] or "").startswith(":-")}
    assert optional == {"TOLLSPAN_WEBHOOK_URL"}
    for service, said in SERVICES.items():
        for name, value in said.get("environment", {}).items():
            if "PASSWORD" in name or name == "TOLLSPAN_TOKEN":
                assert SECRET.fullmatch(str(value)), f"{service}: {name} is written into the file"


@pytest.mark.parametrize("service", STAGES)
def test_a_stage_gets_settings_that_there_are(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {each.metadata["env"] for each in fields(config.Settings)}
    given = {name: SECRET.sub("secret", value) for name, value in environment(service).items()}

    assert given.keys() <= known
    settings = config.reload(given, strict=True)
    assert settings.stage_name == service
    # Ports are not set: those of the Dockerfile and of the gateway are the defaults.
    exposed = re.search(r"^EXPOSE (.*)$", DOCKERFILE, re.MULTILINE)
    assert exposed is not None
    wanted = (settings.grpc_port, settings.http_port, settings.admin_port)
    assert tuple(map(int, exposed[1].split())) == wanted
    assert f"TOLLSPAN_ADMIN_PORT', {settings.admin_port})" in DOCKERFILE


@pytest.mark.parametrize("service", COLLECTORS)
def test_a_collector_gets_variables_that_its_files_name(service: str) -> None:
    text = "".join(file.read_text() for file in configs(service))
    named = set(re.findall(r"\$\{env:(\w+)", text))
    needed = set(re.findall(r"\$\{env:(\w+)\}", text))

    assert environment(service).keys() <= named
    assert needed <= environment(service).keys()


@pytest.mark.slow
@pytest.mark.parametrize("service", COLLECTORS)
def test_a_collector_takes_its_files_and_variables(service: str, tmp_path: Path) -> None:
    """Also that they listen off loopback, where others reach them."""
    command = [str(otelcol()), "validate"]
    for file in configs(service):
        command += ["--config", str(file)]
    given = {name: SECRET.sub("secret", value) for name, value in environment(service).items()}
    environ = {**os.environ, "TOLLSPAN_QUEUE_DIR": str(tmp_path), **given}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


# --- who talks to whom ------------------------------------------------------------------------------


def listening(service: str) -> set[int]:
    """Ports of a service, from its settings."""
    if service in PORTS:
        return PORTS[service]
    if service in STAGES:
        return {4317, 4318, 4320}
    given = environment(service).values()
    own = {int(value.split(":")[1]) for value in given if value.startswith("0.0.0.0:")}
    return own | {8888}  # telemetry, TOLLSPAN_TELEMETRY_PORT


def addresses() -> Iterator[tuple[str, str, int]]:
    """Every `service:port` in settings and in mounted files: where it stands, service, port."""
    pattern = re.compile(rf"\b({'|'.join(sorted(SERVICES, key=len, reverse=True))}):(\d{{2,5}})\b")
    texts = {f"environment of {name}": json.dumps(environment(name)) for name in SERVICES}
    for name in SERVICES:
        for source, _ in mounts(name):
            if (ROOT / source).is_file():
                texts[source] = (ROOT / source).read_text()
    for where, text in texts.items():
        for service, port in pattern.findall(text):
            yield where, service, int(port)


def test_everybody_is_asked_where_they_listen() -> None:
    found = list(addresses())
    wrong = [each for each in found if each[2] not in listening(each[1])]

    assert wrong == []
    assert {service for _, service, _ in found} >= {*STAGES, "gateway", "after-stage", "clickhouse"}


def test_grafana_finds_its_datasources_and_boards() -> None:
    found = yaml.safe_load((ROOT / "grafana/provisioning/datasources/tollspan.yml").read_text())
    ledger, metrics = found["datasources"]
    said = ledger["jsonData"]

    assert said["host"] in SERVICES and said["port"] in PORTS[said["host"]]
    assert said["defaultDatabase"] == environment("clickhouse")["CLICKHOUSE_DB"]
    assert ledger["secureJsonData"]["password"].lstrip("$") in environment("grafana")
    assert metrics["url"] == "http://prometheus:9090"
    boards = yaml.safe_load((ROOT / "grafana/provisioning/dashboards/tollspan.yml").read_text())
    (provider,) = boards["providers"]
    assert list(mounted("grafana", provider["options"]["path"]).glob("*.json"))


def test_readers_may_only_read_and_have_the_passwords_that_are_given() -> None:
    users = ElementTree.parse(mounted("clickhouse", "/etc/clickhouse-server/users.d/tollspan.xml"))
    readers = {each.tag: each for each in users.getroot().find("users") or []}
    stage = environment("stage-1")["TOLLSPAN_CLICKHOUSE_USER"]

    assert readers.keys() == {stage, "grafana_reader"}
    for reader in readers.values():
        password = reader.find("password")
        assert password is not None
        assert password.attrib["from_env"] in environment("clickhouse")
        assert [each.text for each in reader.iter("query")] == [
            "GRANT SELECT ON tollspan.*",
            "GRANT SHOW ON tollspan.*",
        ]
    assert [each.text for each in users.getroot().iter("readonly")] == ["1"]


@pytest.mark.slow
def test_prometheus_takes_its_configuration(tmp_path: Path) -> None:
    prometheus()
    text = mounted("prometheus", "/etc/prometheus/prometheus.yml").read_text()
    rules = mounted("prometheus", "/etc/prometheus/rules/tollspan.yml")
    secret = tmp_path / "token"
    secret.write_text("x")
    for inside, here in (
        ("/etc/prometheus/rules/tollspan.yml", str(rules)),
        ("/run/secrets/tollspan_token", str(secret)),
    ):
        assert inside in text
        text = text.replace(inside, here)
    file = tmp_path / "prometheus.yml"
    file.write_text(text)
    done = subprocess.run(
        ["promtool", "check", "config", file], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr


# --- the ledger's tables ----------------------------------------------------------------------------


def test_the_ledger_gets_all_files_there_are_and_what_its_script_asks_for() -> None:
    script = mounted("ledger", "/ledger/ledger.sh").read_text()
    assert set(re.findall(r"CLICKHOUSE_[A-Z]+", script)) == environment("ledger").keys()
    others = {file.name for file in mounted("ledger", "/ledger/sql").glob("[a-z]*.sql")}

    assert {"landing.sql"} <= others
    for name in others:
        assert name in script, f"{name} is not applied on a server"


# --- the image and the demo -------------------------------------------------------------------------


def test_the_image_is_built_from_what_the_wheel_is_made_of() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    ignored = (ROOT / ".dockerignore").read_text().split("\n")
    let_in = {line[1:] for line in ignored if line.startswith("!")}
    folders = set(project["tool"]["setuptools"]["package-dir"].values())

    assert ignored[1] == "*"
    assert {each for each in folders if each.rpartition("/")[0] not in let_in} <= let_in
    assert {
        "pyproject.toml",
        project["project"]["readme"],
        *project["project"]["license-files"],
    } <= let_in
    assert (
        set(re.findall(r"\[(\w+)\]\"", DOCKERFILE))
        <= project["project"]["optional-dependencies"].keys()
    )


def test_the_stage_runs_as_nobody_and_keeps_its_memory() -> None:
    stage = DOCKERFILE.split("AS stage")[1].split("FROM ")[0]
    user = re.findall(r"^USER (\S+)$", stage, re.MULTILINE)

    assert user == ["10001"]
    assert f"MALLOC_TRIM_THRESHOLD_={allocator._KEPT}" in stage
    assert f"MALLOC_MMAP_THRESHOLD_={allocator._MAPPED}" in stage
    assert f"MALLOC_TOP_PAD_={allocator._PAD}" in stage
    assert {SERVICES[each]["build"]["target"] for each in STAGES} == {"stage"}


def test_the_shop_asks_the_provider_for_models_that_the_proxy_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Chaos() as chaos:
        for name in ("SHOP_PROVIDER", "SHOP_GATEWAY"):
            assert name in environment("shop")
            monkeypatch.setenv(name, chaos.openai_base_url)
        shop = runpy.run_path(str(mounted("shop", "/app/shop.py")))
        rand = __import__("random").Random(1)
        for _ in range(12):
            shop["visit"](rand)
        asked = {answer.model_asked for answer in chaos.log}
    served = yaml.safe_load(mounted("litellm", "/etc/litellm.yaml").read_text())["model_list"]

    assert asked == {"gpt-4o-mini", *(each["model_name"] for each in served)}
    for each in served:
        assert each["litellm_params"]["api_base"] == environment("shop")["SHOP_PROVIDER"]
