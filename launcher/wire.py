"""`tollspan wire`: captured HTTP exchanges listed, shown, looked through, served again, compared."""

from __future__ import annotations

import argparse
import json
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tollspan import wirefile
from tollspan.wirefile import Exchange, Unreadable

from .asking import UNITS, WINDOW
from .screen import harmless
from .wire_har import archive
from .wire_shown import lines, print_list

if TYPE_CHECKING:
    from tollspan.chaos._listening import Listening

__all__ = ["add_options"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what can be done with captures."""
    acts = parser.add_subparsers(dest="act_on", metavar="what", required=True)

    listed = acts.add_parser("list", help="the captured exchanges, the oldest first")
    _add_choice(listed)
    listed.add_argument("--json", action="store_true", help="print a JSON object a line")
    listed.set_defaults(act=_list)

    shown = acts.add_parser("show", help="one exchange as it was stored")
    _add_folder(shown)
    shown.add_argument("id", metavar="ID", help="of the exchange, or as much of it as is unique")
    shown.add_argument("--json", action="store_true", help="print it as one JSON object")
    shown.add_argument("--har", action="store_true", help="print it as an HTTP archive")
    shown.set_defaults(act=_show)

    looked = acts.add_parser("inspect", help="what is wrong with them")
    _add_choice(looked)
    looked.add_argument(
        "--detect-issues", action="store_true", help="look for every kind of trouble (the default)"
    )
    looked.add_argument("--json", action="store_true", help="print a JSON object a line")
    looked.set_defaults(act=_inspect)

    again = acts.add_parser("replay", help="serve them back from a local server")
    _add_choice(again)
    again.add_argument("--fast", action="store_true", help="without the pauses of then")
    again.add_argument("--port", type=int, default=0, help="where to listen (a free port)")
    again.set_defaults(act=_replay)

    tapped = acts.add_parser("tap", help="capture what passes between a proxy and its upstream")
    tapped.add_argument(
        "--to", required=True, metavar="URL", help="the upstream: https://api.openai.com"
    )
    tapped.add_argument("--port", type=int, default=0, help="where to listen (a free port)")
    _add_folder(tapped)
    tapped.set_defaults(act=_tap)

    proof = acts.add_parser("prove", help="whether a proxy sent on what should be masked")
    proof.add_argument(
        "--sent", required=True, metavar="FOLDER", help="captures of the application"
    )
    proof.add_argument(
        "--received", required=True, metavar="FOLDER", help="captures behind the proxy"
    )
    proof.add_argument("--json", action="store_true", help="print a JSON object a line")
    proof.add_argument(
        "--tell", action="store_true", help="also send it to the collector, as spans"
    )
    proof.set_defaults(act=_prove)


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--folder",
        default="",
        metavar="F",
        help="of the captures (TOLLSPAN_WIRE, or the state home's)",
    )


def _add_choice(parser: argparse.ArgumentParser) -> None:
    _add_folder(parser)
    parser.add_argument("--id", action="append", default=[], metavar="ID", help="only these")
    parser.add_argument("--trace", default="", metavar="ID", help="only of this trace")
    parser.add_argument(
        "--call", default="", metavar="ID", help="only of this request id or span id"
    )
    parser.add_argument("--provider", default="", metavar="P", help="only of this provider")
    parser.add_argument("--status", default="", metavar="S", help="only 429, or 4xx, or none")
    parser.add_argument("--since", default="", metavar="TIME", help="only of the last 15m, 24h, 7d")


# --- which ----------------------------------------------------------------------------------------


def place(options: argparse.Namespace) -> Path:
    """The folder that is meant.

    Raises:
        Unreadable: there is none.
    """
    found = Path(options.folder).expanduser() if options.folder else wirefile.folder()
    found = found or wirefile.folder("1")
    assert found is not None
    if not found.exists():
        raise Unreadable(
            f"there are no captures at {found}: set TOLLSPAN_WIRE where the application runs, "
            "or name their folder with --folder"
        )
    return found


def chosen(options: argparse.Namespace) -> Iterator[Exchange]:
    """The exchanges that the options choose, the oldest first.

    Raises:
        Unreadable: an option is not what it should be, or there is no folder.
    """
    since, folder = _since(options.since), place(options)
    return (each for each in wirefile.exchanges(folder) if _is_chosen(each, options, since))


def _is_chosen(each: Exchange, options: argparse.Namespace, since: str) -> bool:
    status = str((each.response or {}).get("status") or "none")
    head = each.head
    return (
        (not options.id or each.id in options.id)
        and (not options.trace or head.get("trace_id") == options.trace.lower())
        and (not options.call or options.call in (head.get("request_id"), head.get("span_id")))
        and (not options.provider or head.get("provider") == options.provider)
        and (not options.status or options.status in (status, f"{status[0]}xx"))
        and (not since or each.id >= since)
    )


def _since(text: str) -> str:
    """The beginning of ids from then on."""
    if not text:
        return ""
    found = WINDOW.fullmatch(text)
    if found is None:
        raise Unreadable(f"--since {text!r} is no length of time: write 15m, 24h or 7d")
    try:
        begin = datetime.now(UTC) - timedelta(**{UNITS[found[2]]: int(found[1])})
    except OverflowError:
        return ""
    return begin.strftime("%Y%m%dT%H%M%S")


def one(folder: Path, wire_id: str) -> Exchange:
    """The exchange whose id begins so.

    Raises:
        Unreadable: there is none, or there are several.
    """
    if wirefile.ID.fullmatch(wire_id):
        return wirefile.load(folder, wire_id)
    found = [each for each in wirefile.listed(folder) if each.startswith(wire_id)]
    if len(found) != 1:
        many = f"{len(found)} exchanges begin" if found else "no exchange begins"
        raise Unreadable(f"{many} with {wire_id!r}: `tollspan wire list` has the ids")
    return wirefile.load(folder, found[0])


# --- what is done with them -- -----------------------------------------------------------------------


def _list(options: argparse.Namespace) -> int:
    print_list(chosen(options), as_json=options.json)
    return 0


def _show(options: argparse.Namespace) -> int:
    exchange = one(place(options), options.id)
    if options.har:
        print(json.dumps(archive([exchange]), indent=1))
    elif options.json:
        print(json.dumps(exchange.as_json(), indent=1))
    else:
        print("\n".join(lines(exchange)))
    return 0


def _inspect(options: argparse.Namespace) -> int:
    from .wire_issues import issues

    exchanges = list(chosen(options))
    found = issues(exchanges)
    for issue in found:
        if options.json:
            print(json.dumps(issue._asdict()))
        else:
            print(f"{issue.id}  {issue.name}: {harmless(issue.text)}")
    if not options.json:
        count = f"{len(found)} issues" if len(found) != 1 else "1 issue"
        print(f"{count} in {len(exchanges)} exchange{'s' * (len(exchanges) != 1)}")
    return 1 if found else 0


def _replay(options: argparse.Namespace) -> int:
    from tollspan.chaos import Replay

    exchanges = list(chosen(options))
    if not exchanges:
        raise Unreadable("no captured exchange is chosen: `tollspan wire list` shows what there is")
    stop = _stopped()
    with _listening(
        options.port, lambda: Replay(exchanges, fast=options.fast, port=options.port)
    ) as replay:
        addresses = {
            "url": replay.url,
            "openai_base_url": replay.openai_base_url,
            "anthropic_base_url": replay.anthropic_base_url,
            "exchanges": len(exchanges),
        }
        print(json.dumps(addresses), flush=True)
        stop.wait()
    return 0


def _tap(options: argparse.Namespace) -> int:
    from tollspan.chaos import Tap

    folder = Path(options.folder).expanduser() if options.folder else wirefile.folder()
    folder = folder or wirefile.folder("1")
    assert folder is not None
    stop = _stopped()
    with _listening(options.port, lambda: Tap(options.to, folder, port=options.port)) as tap:
        addresses = {
            "url": tap.url,
            "openai_base_url": tap.openai_base_url,
            "anthropic_base_url": tap.anthropic_base_url,
            "to": options.to,
            "folder": str(folder),
        }
        print(json.dumps(addresses), flush=True)
        stop.wait()
    writer = tap.writer
    if writer.failed or writer.dropped:
        told = f"{writer.failed} failed, {writer.dropped} dropped: {writer.last_error}"
        raise Unreadable(f"not all exchanges were written: {told}")
    return 0


def _stopped() -> threading.Event:
    """Set when the command is to end."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


_L = TypeVar("_L", bound="Listening")


def _listening(port: int, make: Callable[[], _L]) -> _L:
    try:
        return make().start()
    except (OSError, OverflowError) as error:
        raise Unreadable(f"port {port} cannot be used: {error}") from error


def _prove(options: argparse.Namespace) -> int:
    from .wire_prove import LEAKED, prove, tell

    sides = [list(wirefile.exchanges(_folder(side))) for side in (options.sent, options.received)]
    proofs = prove(*sides)
    for proof in proofs:
        print(json.dumps(proof.as_json()) if options.json else harmless(proof.sentence()))
    if not options.json:
        counts = {
            state: sum(p.state == state for p in proofs)
            for state in ("proved", "leaked", "unknown")
        }
        print(", ".join(f"{count} {state}" for state, count in counts.items()))
    if options.tell:
        tell(proofs)
    return 1 if any(proof.state == LEAKED for proof in proofs) else 0


def _folder(text: str) -> Path:
    found = Path(text).expanduser()
    if not found.exists():
        raise Unreadable(f"there are no captures at {found}")
    return found
