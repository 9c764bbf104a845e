"""Why the local stack does not start: one sentence each, which also says what to do."""

from __future__ import annotations

import errno

__all__ = ["CannotListen", "PortTaken", "Refused", "TokenNeeded", "Unusable", "cannot_listen"]

OPTIONS = {
    "TOLLSPAN_UI_PORT": "--port",
    "TOLLSPAN_GRPC_PORT": "--grpc-port",
    "TOLLSPAN_HTTP_PORT": "--http-port",
    "TOLLSPAN_ADMIN_PORT": "--admin-port",
    "TOLLSPAN_CLICKHOUSE_PORT": "--clickhouse-port",
}


class Refused(RuntimeError):
    """The stack cannot start. Nothing on disk was changed."""


class Unusable(Refused):
    """The data directory cannot be opened: held, damaged, of a newer tollspan, or no directory."""


class TokenNeeded(Refused):
    """Other machines would reach the servers, and nothing would ask who they are."""


class PortTaken(Refused):
    """Somebody else listens on `port`; `variable` is what to change."""

    def __init__(self, port: int, variable: str) -> None:
        option = OPTIONS[variable]
        super().__init__(
            f"Port {port} is in use: choose another with {variable} or {option} "
            f"({option} 0 takes a free one)."
        )
        self.port = port
        self.variable = variable


class CannotListen(Refused):
    """The address is not one of this machine, or the port is not for this user."""


def cannot_listen(
    host: str, port: int, variable: str, error: BaseException | None = None
) -> Refused:
    """Why nothing can listen at `host:port`: `error` is what the system said, `variable` names the port."""
    number = getattr(error, "errno", None)
    if number == errno.EACCES:
        option = OPTIONS[variable]
        return CannotListen(
            f"Port {port} is for privileged users: choose one above 1023 with {variable} or {option}."
        )
    if isinstance(error, OSError) and number != errno.EADDRINUSE:
        return CannotListen(
            f"{host} is not an address of this machine ({error.strerror or error}): "
            "correct TOLLSPAN_HOST or --host (127.0.0.1: this machine alone, 0.0.0.0: every address)."
        )
    return PortTaken(port, variable)
