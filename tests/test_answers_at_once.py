"""No answer waits for the other side to acknowledge the first half of it."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tollspan.collector.http_servers import bound
from tollspan.local.server import LocalStack


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_what_is_written_to_a_connection_is_sent_at_once(host: str) -> None:
    told: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken = writer.get_extra_info("socket")
        told.set_result(taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    with bound(host, 0) as listening:
        async with await asyncio.start_server(answer, sock=listening):
            _, writer = await asyncio.open_connection(host, listening.getsockname()[1])
            assert await told
            writer.close()
            await writer.wait_closed()


def test_the_local_stack_listens_on_such_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[socket.socket] = []

    def remembered(host: str, port: int) -> socket.socket:
        made.append(bound(host, port))
        return made[-1]

    monkeypatch.setattr("tollspan.local.server.bound", remembered)
    with LocalStack(clickhouse_port=0) as stack:
        ports = {each.getsockname()[1] for each in made}
        assert {stack.ui_port, stack.http_port, stack.clickhouse_port} == ports
