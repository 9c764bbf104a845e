"""No answer waits for the other side to acknowledge the first half of it."""

from __future__ import annotations

import asyncio
import re
import socket
import urllib.request

import pytest

from tollspan.collector.http_servers import bound
from tollspan.local.api import PAGE
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


def test_a_browser_learns_of_all_modules_with_the_page() -> None:
    with LocalStack() as stack, urllib.request.urlopen(stack.page_url) as answer:
        said = answer.headers["link"]

    told = set(re.findall(r"</(\w+\.js)>; rel=modulepreload", said))
    there = {file.name for file in PAGE.glob("*.js")}
    assert told == there - {"theme.js"} and len(told) > 50
