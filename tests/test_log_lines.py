"""What our servers log is a line for each event that a machine can read, as the collectors' are."""

from __future__ import annotations

import logging
import re

import grpc
import pytest
from sink import Failing, Sink
from spans import owner, protobuf
from stages import running, send, stage

from tollspan.launcher.log_lines import log_lines

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\t(\w+)\t([\w.]+)\t(.*)")
FAILING = Failing(grpc.StatusCode.UNAVAILABLE, details=())


def test_what_others_said_stays_within_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    with log_lines():
        logging.getLogger("tollspan").info("it says: %s", "no\n2026\twarn\x1b[31m\u2028Söhne")
        logging.getLogger("elsewhere").info("not ours to tell")
        logging.getLogger("elsewhere").warning("careful")
    logging.getLogger("tollspan").info("afterwards nobody listens")
    lines = capsys.readouterr().err.split("\n")

    assert [found.groups() for found in map(LINE.fullmatch, lines) if found] == [
        ("info", "tollspan", r"it says: no\n2026\twarn\x1b[31m\u2028Söhne"),
        ("warn", "elsewhere", "careful"),
    ]
    assert len(lines) == 3


@pytest.mark.slow
def test_a_stage_says_when_it_refuses_and_when_it_takes_again() -> None:
    with Sink(failing=FAILING) as sink, running(sink.grpc_url, TOLLSPAN_WINDW_S="9") as made:
        for number in range(3):
            with pytest.raises(grpc.RpcError):
                send(made.grpc, protobuf([owner(number)]))
        sink.failing = None
        send(made.grpc, protobuf([owner(9)]))
        made.end()
        typo, *lines = made.complained.splitlines()

    assert typo.endswith("\tTOLLSPAN_WINDW_S is no setting: did you mean TOLLSPAN_WINDOW_S?")
    kinds = [LINE.fullmatch(line)[1] for line in lines]  # type: ignore[index]
    said = [(kind, line) for kind, line in zip(kinds, lines, strict=True) if "requests" in line]
    assert [kind for kind, _ in said] == ["warn", "info"]  # beside them: whether it is ready
    assert "requests are refused for now: the collector behind the stage says" in said[0][1]
    assert said[1][1].endswith("requests are taken again")


def test_what_comes_and_goes_is_said_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tollspan")
    with Sink() as sink, stage(sink.grpc_url) as made:
        for number in range(6):
            sink.failing = None if number % 2 else FAILING
            try:
                send(f"127.0.0.1:{made.ports.grpc}", protobuf([owner(number)]))
            except grpc.RpcError:
                assert sink.failing
    said = [record.message for record in caplog.records if record.name == "tollspan"]

    assert [each.split(":")[0] for each in said] == [
        "requests are refused for now",
        "requests are taken again",
    ]
