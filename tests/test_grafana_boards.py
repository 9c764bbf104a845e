"""The committed boards are what their Python says, and Grafana's own models read all of it."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import board_data
import pytest

with warnings.catch_warnings():
    # The classic form is what files can be provisioned in; the SDK would like to see the next one.
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models import dashboard

    from grafana import __main__ as generator
    from grafana.board import Board, Row
    from grafana.panels import number

BOARDS = board_data.boards()


def test_writing_them_again_makes_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert generator.stale() == []
    monkeypatch.setattr(generator, "FOLDER", tmp_path)
    assert len(generator.stale()) == len(BOARDS) + 1, "the check can fail"
    assert generator.main(["--check"]) == 1
    assert generator.main([]) == 0
    for name, text in generator.files().items():
        assert (tmp_path / name).read_text("utf-8") == text
        assert (board_data.ROOT / "grafana" / name).read_text("utf-8") == text


@pytest.mark.parametrize("uid", BOARDS)
def test_grafanas_models_read_and_write_a_board_without_loss(uid: str) -> None:
    read = dashboard.Dashboard.from_json(json.loads(json.dumps(BOARDS[uid])))
    written = json.loads(JSONEncoder().encode(read))
    for each in (*written["links"], *written["annotations"]["list"]):
        assert each.pop("placement") == "inControlsMenu", "which would hide them in a menu"

    assert written == BOARDS[uid]


@pytest.mark.parametrize("uid", BOARDS)
def test_a_board_is_the_classic_form_that_file_provisioning_takes(uid: str) -> None:
    board = BOARDS[uid]

    assert board["schemaVersion"] == 41
    assert board["uid"] == uid and len(uid) <= 40
    assert "id" not in board and "elements" not in board and "__inputs" not in board
    assert board["editable"] is False
    assert "${DS_" not in json.dumps(board)


@pytest.mark.parametrize(
    "wrong",
    [{"options": {"colourMode": "none"}}, {"custom": {"drawstyle": "bars"}, "kind": "timeseries"}],
    ids=["option", "custom"],
)
def test_a_setting_that_grafana_does_not_have_stops_the_generator(wrong: dict[str, Any]) -> None:
    panel = replace(number("A", "b", "SELECT 1"), **wrong)

    with pytest.raises(ValueError, match="no such settings"):
        Board("x", "x", "x", [Row("x", [panel])]).text()


def test_the_sdk_is_the_one_whose_defaults_are_committed() -> None:
    """Its versions carry epochs: without a pin, pip installs the types of Grafana 10.1."""
    assert version("grafana-foundation-sdk").lstrip("v") == "0.0.21"
