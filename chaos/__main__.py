"""`python -m tollspan.chaos`: the provider as a process of its own, until Ctrl-C.

Prints its addresses as one JSON object on a line of stdout, then answers. `GET /__chaos__/log`
returns what it answered.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Callable, Sequence

from .server import Chaos
from .steps import Step, disconnect, error_in_stream, hang, ok, slow, status

_NAMED: dict[str, Callable[[], Step]] = {
    "disconnect": lambda: disconnect(after_chunks=2),
    "error_in_stream": lambda: error_in_stream(after_chunks=2),
    "hang": hang,
    "ok": ok,
    "slow": lambda: slow(2.0),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 after Ctrl-C or SIGTERM, 2 when the arguments or the port are of no use."""
    parser = argparse.ArgumentParser(prog="python -m tollspan.chaos", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0: a free one")
    parser.add_argument("--seed", type=int, default=0, help="seed of --mix")
    parser.add_argument(
        "--mix",
        default="",
        help="what happens how often, e.g. ok=8,429=1,disconnect=1: HTTP statuses and "
        + ", ".join(sorted(_NAMED)),
    )
    given = parser.parse_args(arguments)
    chaos = Chaos(host=given.host, port=given.port)
    try:
        if given.mix:
            chaos.mix(_weighted(given.mix), seed=given.seed)
        chaos.start()
    except (OSError, OverflowError, ValueError) as error:
        print(f"tollspan.chaos cannot start on {given.host}:{given.port}: {error}", file=sys.stderr)
        return 2
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with chaos:
        addresses = {
            "url": chaos.url,
            "openai_base_url": chaos.openai_base_url,
            "anthropic_base_url": chaos.anthropic_base_url,
        }
        print(json.dumps(addresses), flush=True)
        stop.wait()
    return 0


def _weighted(text: str) -> list[tuple[float, Step]]:
    found = []
    for part in text.split(","):
        name, _, weight = part.strip().partition("=")
        if name in _NAMED:
            step = _NAMED[name]()
        elif name.isdigit() and 400 <= int(name) <= 599:
            step = status(int(name))
        else:
            raise ValueError(f"--mix knows no {name!r}")
        found.append((float(weight or 1), step))
    return found


if __name__ == "__main__":
    raise SystemExit(main())
