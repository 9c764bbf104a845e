"""Ping without privileges: ICMP echo over a datagram socket, IPv4 and IPv6.

Linux lets groups of `net.ipv4.ping_group_range` open such sockets, macOS lets everybody:
https://man7.org/linux/man-pages/man7/icmp.7.html. The kernel sets and checks the identifier, on Linux
and for IPv6 the checksum as well, and gives each socket only the answers to its own requests.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from typing import Final

__all__ = ["NotPermitted", "ping"]

_ECHO: Final = {socket.AF_INET: (8, 0), socket.AF_INET6: (128, 129)}
"""Types of request and answer: RFC 792, RFC 4443."""

_HEAD: Final = struct.Struct("!BBHHH")


class NotPermitted(PermissionError):
    """The kernel opens no such socket for us."""


async def ping(family: int, address: tuple[object, ...]) -> None:
    """Send one echo request and wait for its answer, for ever if need be.

    Raises:
        NotPermitted: the kernel does not let us.
        OSError: it cannot be sent, or a host on the way says that it cannot be delivered.
    """
    asking, answering = _ECHO[socket.AddressFamily(family)]
    with _opened(family) as opened:
        opened.setblocking(False)
        loop = asyncio.get_running_loop()
        opened.connect(address)  # of a datagram socket, which waits for nothing
        token = os.urandom(16)
        await loop.sock_sendall(opened, _packet(asking, token))
        while True:
            answer = _without_ip_head(await loop.sock_recv(opened, 2048), family)
            if answer[:1] == bytes((answering,)) and answer[_HEAD.size :] == token:
                return


def _opened(family: int) -> socket.socket:
    protocol = socket.IPPROTO_ICMP if family == socket.AF_INET else socket.IPPROTO_ICMPV6
    try:
        return socket.socket(family, socket.SOCK_DGRAM, protocol)
    except OSError as error:  # EACCES, or EPROTONOSUPPORT where there are no such sockets at all
        raise NotPermitted(str(error)) from error


def _packet(kind: int, payload: bytes) -> bytes:
    blank = _HEAD.pack(kind, 0, 0, 0, 1) + payload
    return _HEAD.pack(kind, 0, _checksum(blank), 0, 1) + payload


def _checksum(data: bytes) -> int:
    """The Internet checksum: https://www.rfc-editor.org/rfc/rfc1071"""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _without_ip_head(packet: bytes, family: int) -> bytes:
    """macOS gives the IPv4 header as well."""
    if family == socket.AF_INET and len(packet) > 20 and packet[0] >> 4 == 4:
        return packet[(packet[0] & 0x0F) * 4 :]
    return packet
