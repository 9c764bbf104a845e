"""`tollspan top` and `tollspan calls` ask with the token, and count real money alone."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from test_terminal import made, said, sentence

from tollspan import config, semconv
from tollspan.local import LocalStack

TOKEN = "s3cret"


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with LocalStack(token=TOKEN) as running:
        yield running


@pytest.fixture(autouse=True)
def at_the_stack(stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLLSPAN_UI_PORT", str(stack.ui_port))
    config.reload()


def test_a_token_is_shown_where_one_is_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "set TOLLSPAN_TOKEN to the same value" in sentence(capsys, "calls")
    monkeypatch.setenv("TOLLSPAN_TOKEN", TOKEN)
    assert said(capsys, "calls", "--json", "--endpoint", "nowhere") == ""


def test_money_that_is_not_real_stays_out_of_top_unless_nothing_is_real(
    stack: LocalStack, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOLLSPAN_TOKEN", TOKEN)
    stack.writer.offer([made(1, **{semconv.DATA_MODE: "test"})]).result(30)
    alone = json.loads(said(capsys, "top", "--json"))
    stack.writer.offer([made(2, **{semconv.DATA_MODE: "real"}), made(3)]).result(30)
    beside = json.loads(said(capsys, "top", "--json"))
    everything = json.loads(said(capsys, "top", "--json", "--data-mode", "all"))
    assert alone["unreal"] and alone["total"]["calls"] == 1
    assert not beside.get("unreal") and beside["total"]["cost_usd"] == "0.005"
    assert everything["total"]["calls"] == 3
