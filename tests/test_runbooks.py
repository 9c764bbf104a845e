"""Whoever is woken by an alert finds what it means and what to do."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from needs import ROOT


def anchor(heading: str) -> str:
    """What GitHub calls the place of a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


PAGE = (ROOT / "docs/alerts.md").read_text()
SECTIONS = {
    anchor(heading): text
    for heading, text in re.findall(r"^### (.+)\n((?:(?!##).*\n)*)", PAGE, re.MULTILINE)
}


def rules(file: str) -> dict[str, dict[str, Any]]:
    """Rules that alert, by their title."""
    found = yaml.safe_load((ROOT / "grafana/alerting" / file).read_text())
    return {
        title: rule
        for group in found["groups"]
        for rule in group["rules"]
        if (title := rule.get("alert") or rule.get("title"))
    }


RULES = rules("prometheus.yml") | rules("clickhouse.yml")


@pytest.mark.parametrize("title", RULES)
def test_an_alert_leads_to_what_it_means_and_what_to_do(title: str) -> None:
    file, _, place = RULES[title]["annotations"]["runbook"].partition("#")
    said = SECTIONS[place]

    assert (ROOT / file).read_text() == PAGE
    assert place == anchor(title)
    assert said.lstrip().startswith("**Means**:")
    assert "**Do**:" in said or "**Look**:" in said


def test_the_page_speaks_of_no_alert_that_is_gone() -> None:
    assert {anchor(title) for title in RULES} == SECTIONS.keys()


def test_what_it_names_exists() -> None:
    """Settings, metrics of the stage, files, other alerts."""
    from tollspan.collector.counters import COUNTERS, GAUGES

    settings = (ROOT / "docs/settings.md").read_text()
    configs = "".join(file.read_text() for file in (ROOT / "collector-config").rglob("*.y*ml"))
    for name in re.findall(r"\bTOLLSPAN_[A-Z_]+", PAGE):
        assert name in settings or name in configs, name
    for name in re.findall(r"\btollspan_stage_(\w+)", PAGE):
        assert name.removesuffix("_total") in COUNTERS.keys() | GAUGES.keys(), name
    for name in re.findall(r"(?:docs|collector-config|grafana)/[\w/.-]+\.\w+", PAGE):
        assert (ROOT / name).is_file(), name
    for name in re.findall(r"\bTollspan[A-Z]\w+", PAGE):
        assert name in RULES, name
    for reason in COUNTERS["shed_spans"].values + COUNTERS["refused_spans"].values:
        assert f"`{reason}`" in SECTIONS["tollspanstagesheds"], reason
