"""One captured HTTP exchange, for the page: `/api/wire/{id}`, from the folder of this machine."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tollspan import wirefile

__all__ = ["wire_route"]

NO_STORE = {"cache-control": "no-store"}


def wire_route() -> Route:
    """What an attempt's `tollspan.wire.id` leads to, as it was stored; 404 where this process has no
    such file. Nothing that is no id becomes a path."""

    async def exchange(request: Request) -> Response:
        wire_id = request.path_params["wire_id"]
        if wirefile.ID.fullmatch(wire_id) is None:
            return _sentence(400, "a wire id is a time, a dash and 12 hex digits")
        place = wirefile.folder() or wirefile.folder("1")
        assert place is not None
        try:
            found = await run_in_threadpool(wirefile.load, place, wire_id)
        except wirefile.Unreadable as error:
            return _sentence(404, _told(error, wire_id))
        return JSONResponse(found.as_json(), headers=NO_STORE)

    return Route("/api/wire/{wire_id}", exchange)


def _told(error: wirefile.Unreadable, wire_id: str) -> str:
    """Without the folder's name, which is nobody's business in a browser."""
    if "there is no" in str(error):
        return (
            "this exchange is not in the folder that the server reads: start `tollspan up` with the "
            "TOLLSPAN_WIRE of the application, unless it was removed as old"
        )
    return f"the file of {wire_id} is no captured exchange"


def _sentence(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status, headers=NO_STORE)
