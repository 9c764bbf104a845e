"""The life of a server that stands in for a provider, and where SDKs find it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from ._http import Server

__all__ = ["Listening"]


class Listening(ABC):
    """A context manager, or `start()` and `close()`. Port 0 is a free one.

    Raises (at `start`):
        OSError: the port is taken.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._server: Server | None = None

    @abstractmethod
    def _listen(self) -> Server:
        """The server, at `self._host` and `self._port`."""

    def start(self) -> Self:
        """Listen. A second start does nothing."""
        if self._server is None:
            self._server = self._listen()
        return self

    def close(self) -> None:
        """Break all connections off and stop listening. A second close does nothing."""
        server, self._server = self._server, None
        if server is not None:
            self._port = server.port  # the addresses stay known, e.g. for a message
            server.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def port(self) -> int:
        return self._port if self._server is None else self._server.port

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`, without a slash at its end."""
        return f"http://{self._host}:{self.port}"

    @property
    def openai_base_url(self) -> str:
        """For the openai SDK, and everything that speaks its wire."""
        return f"{self.url}/v1"

    @property
    def anthropic_base_url(self) -> str:
        """For the anthropic SDK."""
        return self.url
