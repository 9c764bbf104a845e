"""The addresses of the API under which the page asks boards; see `boards.py` for what they answer.

Read with GET: `/api/boards`, `/api/boards/{uid}`. Asked with POST and the body of `Asked.read`:
`/api/boards/{uid}/panels/{id}`, `/api/boards/{uid}/variables/{name}`, `/api/boards/{uid}/annotations`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .boards import Asked, Boards, NoSuchPanel
from .ledger import Ledger
from .queries import BadFilter

__all__ = ["board_routes"]

MOST_BYTES = 400_000
"""Of a body: all values that may be chosen, each letter escaped as JSON may."""
NO_STORE = {"cache-control": "no-store"}


def board_routes(ledger: Ledger) -> list[Route]:
    """Routes of the boards over `ledger`; `BadFilter`, `Busy` and `LedgerError` are the API's."""
    boards = Boards(ledger)

    async def listed(request: Request) -> Response:
        return _json({"boards": boards.listed()})

    async def board(request: Request) -> Response:
        return await _answered(boards.board, request.path_params["uid"])

    async def panel(request: Request) -> Response:
        uid, number = request.path_params["uid"], request.path_params["number"]
        asked = await _asked(request)
        return await _answered(boards.panel, uid, _number(number), asked)

    async def variable(request: Request) -> Response:
        uid, name = request.path_params["uid"], request.path_params["name"]
        return await _answered(_as("options", boards.options), uid, name, await _asked(request))

    async def annotations(request: Request) -> Response:
        uid = request.path_params["uid"]
        marks = _as("annotations", boards.annotations)
        return await _answered(marks, uid, await _asked(request))

    return [
        Route("/api/boards", listed),
        Route("/api/boards/{uid}", board),
        Route("/api/boards/{uid}/panels/{number}", panel, methods=["POST"]),
        Route("/api/boards/{uid}/variables/{name}", variable, methods=["POST"]),
        Route("/api/boards/{uid}/annotations", annotations, methods=["POST"]),
    ]


def _as(name: str, ask: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    return lambda *arguments: {name: ask(*arguments)}


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else -1


async def _asked(request: Request) -> Asked:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise BadFilter("the body is too long: choose fewer values")
    try:
        return Asked.read(json.loads(body))
    except (ValueError, RecursionError) as error:
        if isinstance(error, BadFilter):
            raise
        raise BadFilter("the body is not JSON") from error


async def _answered(ask: Callable[..., Any], *arguments: Any) -> Response:
    try:
        return _json(await run_in_threadpool(ask, *arguments))
    except NoSuchPanel as error:
        return JSONResponse({"error": str(error)}, 404, headers=NO_STORE)


def _json(content: Any) -> Response:
    return JSONResponse(content, headers=NO_STORE)
