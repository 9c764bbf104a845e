"""Why the local stack does not start: one sentence each, which also says what to do."""

from __future__ import annotations

__all__ = ["PortTaken", "Refused", "TokenNeeded", "Unusable"]

OPTIONS = {
    "TOLLSPAN_UI_PORT": "--port",
    "TOLLSPAN_GRPC_PORT": "--grpc-port",
    "TOLLSPAN_HTTP_PORT": "--http-port",
    "TOLLSPAN_ADMIN_PORT": "--admin-port",
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
