"""Why a server cannot listen is told as it is: the port is taken, is not for this user, or the address
is somebody else's."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

import pytest

from tollspan.collector.http_servers import bound
from tollspan.local.refused import CannotListen, PortTaken, cannot_listen
from tollspan.local.server import LocalStack


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.name.invalid", "ü" * 70])
def test_an_address_that_is_not_ours_is_not_a_port_in_use(host: str, tmp_path: Path) -> None:
    with pytest.raises(CannotListen) as said:
        LocalStack(tmp_path / "data", host=host, token="s3cret").start()

    assert str(said.value).startswith(f"{host} is not an address of this machine (")
    assert "TOLLSPAN_HOST or --host" in str(said.value)
    assert not (tmp_path / "data").exists()


def test_every_door_says_which_option_is_its_own(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match="TOLLSPAN_CLICKHOUSE_PORT or --clickhouse-port"):
            LocalStack(tmp_path / "data", clickhouse_port=port).start()


def test_a_port_below_1024_needs_rights() -> None:
    said = cannot_listen("127.0.0.1", 80, "TOLLSPAN_UI_PORT", PermissionError(errno.EACCES, "no"))

    assert isinstance(said, CannotListen)
    assert str(said) == (
        "Port 80 is for privileged users: choose one above 1023 with TOLLSPAN_UI_PORT or --port."
    )


def test_what_only_gRPC_knows_is_a_port_in_use() -> None:
    assert isinstance(cannot_listen("127.0.0.1", 4317, "TOLLSPAN_GRPC_PORT"), PortTaken)


def test_a_name_that_cannot_be_asked_for_is_an_error_of_the_system() -> None:
    with pytest.raises(OSError):
        bound("ü" * 70, 0)
