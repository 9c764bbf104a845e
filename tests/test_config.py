"""Settings: every variable declared once, bad values named in a sentence, secrets never shown."""

from __future__ import annotations

import logging
import re
from dataclasses import FrozenInstanceError, fields

import pytest
from needs import ROOT

from tollspan import config
from tollspan.config import ConfigError, Settings


def test_every_setting_has_its_variable_and_its_meaning() -> None:
    for each in fields(Settings):
        assert each.metadata["env"].startswith("TOLLSPAN_")
        assert each.metadata["doc"].endswith(".")


def test_values_are_parsed_by_the_type_of_their_default() -> None:
    found = config.reload(
        {
            "TOLLSPAN_METRICS": "off",
            "TOLLSPAN_UI_PORT": "0",
            "TOLLSPAN_PROPAGATE_TO": "litellm.internal, 10.0.0.0/8",
            "TOLLSPAN_TAGS": "team=growth,app = web",
            "TOLLSPAN_TENANT": " acme ",
        }
    )

    assert found.metrics is False
    assert found.ui_port == 0
    assert found.propagate_to == ("litellm.internal", "10.0.0.0/8")
    assert found.tags == (("team", "growth"), ("app", "web"))
    assert found.tenant == "acme"


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        (
            "TOLLSPAN_METRICS",
            "maybe",
            "TOLLSPAN_METRICS='maybe' is not a yes or no: write true or false",
        ),
        (
            "TOLLSPAN_UI_PORT",
            "http",
            "TOLLSPAN_UI_PORT='http' is not a port: write a number from 0 to 65535",
        ),
        ("TOLLSPAN_UI_PORT", "65536", "TOLLSPAN_UI_PORT='65536' is not a port"),
        (
            "TOLLSPAN_TAGS",
            "growth",
            "TOLLSPAN_TAGS is not a list of pairs: write key=value,key=value",
        ),
        ("TOLLSPAN_DATA_MODE", "prod", "TOLLSPAN_DATA_MODE='prod' is unknown: write one of real"),
    ],
)
def test_a_bad_value_is_a_sentence_for_commands_and_a_default_for_applications(
    variable: str, value: str, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ConfigError, match=sentence.split(":")[0].replace("(", r"\(")):
        config.reload({variable: value}, strict=True)
    with caplog.at_level(logging.WARNING):
        lenient = config.reload({variable: value, "TOLLSPAN_TENANT": "acme"})

    assert sentence in caplog.text
    assert lenient == config.reload({"TOLLSPAN_TENANT": "acme"})


def test_settings_are_known_by_name_equal_by_value_and_stay_as_they_are() -> None:
    found = Settings(tenant="acme")

    assert found.tenant == "acme"
    assert found.ui_port == Settings().ui_port
    assert found == Settings(tenant="acme")
    assert found != Settings()
    assert len({found, Settings(tenant="acme"), Settings()}) == 2
    with pytest.raises(TypeError, match="there is no setting tenent"):
        Settings(tenent="acme")
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'tenant'"):
        found.tenant = "other"
    with pytest.raises(FrozenInstanceError, match="cannot delete field 'tenant'"):
        del found.tenant
    assert found.tenant == "acme"


def test_secrets_are_not_in_the_repr() -> None:
    shown = repr(config.reload({"TOLLSPAN_HASH_KEY": "hunter2", "TOLLSPAN_TOKEN": "hunter3"}))

    assert "hunter" not in shown


def test_a_variable_that_is_nearly_one_of_ours_is_not_passed_over() -> None:
    given = {
        "TOLLSPAN_STAGE_MEMRY_MB": "9",
        "TOLLSPAN_CLICKHOUSE_PASWORD": "hunter2",
        "TOLLSPAN_STAGE_MEMORY_MB": "9",
        "TOLLSPN_TOKEN": "not ours to judge",
    }

    assert config.misspelt(given) == [
        "TOLLSPAN_CLICKHOUSE_PASWORD is no setting: did you mean TOLLSPAN_CLICKHOUSE_PASSWORD?",
        "TOLLSPAN_STAGE_MEMRY_MB is no setting: did you mean TOLLSPAN_STAGE_MEMORY_MB?",
    ]


def test_what_the_collectors_beside_us_read_is_no_misspelling() -> None:
    """All of them may stand in one environment file."""
    files = [file for file in (ROOT / "collector-config").rglob("*") if file.is_file()]
    text = "".join(file.read_text("utf-8", "replace") for file in [*files, ROOT / ".env.example"])
    theirs = set(re.findall(r"TOLLSPAN_[A-Z0-9_]*[A-Z0-9]", text))

    assert "TOLLSPAN_STAGE_1" in theirs
    assert config.misspelt(dict.fromkeys(theirs, "x")) == []
