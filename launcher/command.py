"""The `tollspan` command. Bad input is one sentence and exit code 2, never a traceback."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tollspan import __version__
from tollspan.config import ConfigError, reload, settings
from tollspan.local.command import add_options

from . import import_records, stage
from .api import add_options as add_api_options
from .budgets import add_options as add_budgets_options
from .calls import add_options as add_calls_options
from .health import add_options as add_health_options
from .manual import explain
from .points import add_options as add_points_options
from .reconcile import add_options as add_reconcile_options
from .reprice import add_options as add_reprice_options
from .top import add_options as add_top_options
from .usage import add_options as add_usage_options
from .wire import add_options as add_wire_options

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the return value is the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(given)
    try:
        # The doctor lists what is wrong with the settings; everything else refuses to start.
        reload(strict=options.command != "doctor")
        return int(options.act(options))
    except _refusals() as error:
        return _refuse(str(error))
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "tollspan":
            raise
        extra = options.extra or "local"  # which has everything that commands need
        return _refuse(
            f"`tollspan {options.command}` needs the module {error.name!r}: "
            f"pip install 'tollspan[{extra}]'"
        )
    except BrokenPipeError:  # `tollspan prices gpt-5 | head`
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        return 130


_REFUSALS = (
    ("tollspan.launcher.run", "CannotRun"),
    ("tollspan.launcher._litellm", "GatewayFailed"),
    ("tollspan.launcher.asking", "NotAnswered"),
    ("tollspan.processors.pricefile", "PriceFileError"),
    ("tollspan.limits.backends_file", "BackendFileError"),
    ("tollspan.local.refused", "Refused"),
    ("tollspan.collector.destination", "BadDestination"),
    ("tollspan.collector.clickhouse", "ClickHouseError"),
    ("tollspan.collector.receiver", "Refusal"),
    ("tollspan.wirefile", "Unreadable"),
)
"""Errors whose message is a sentence for whoever typed the command."""


def _refusals() -> tuple[type[Exception], ...]:
    """Those that can have been raised: what was never imported raised none."""
    raised = [
        getattr(sys.modules[module], name) for module, name in _REFUSALS if module in sys.modules
    ]
    return ConfigError, *raised


def _refuse(sentence: str) -> int:
    from .screen import harmless  # it may quote a file, or a server

    print("\n".join(map(harmless, f"tollspan: {sentence}".split("\n"))), file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tollspan",
        description="What LLM calls cost, who caused them, and which way they went.",
        epilog="`tollspan COMMAND --help` has examples. Start with `tollspan demo`, or with "
        "`tollspan up` and `tollspan run -- python app.py`; `tollspan run --print -- python app.py` "
        "needs nothing else.",
    )
    parser.add_argument("--version", action="version", version=f"tollspan {__version__}")
    parser.set_defaults(extra="")
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)

    demo = commands.add_parser(
        "demo", help="see it at work: sample traffic, its costs and its routes"
    )
    demo.add_argument("--once", action="store_true", help="end by itself instead of staying up")
    demo.add_argument("--json", action="store_true", help="print the summary as one JSON object")
    demo.set_defaults(act=_demo, extra="demo")

    up = commands.add_parser("up", help="collector, ledger and page in one process on this machine")
    add_options(up)
    up.set_defaults(act=_up, extra="local")

    top = commands.add_parser("top", help="who spends most, live in the terminal")
    add_top_options(top)
    top.set_defaults(act=_top)

    calls = commands.add_parser("calls", help="recent calls in the terminal, or as they come in")
    add_calls_options(calls)
    calls.set_defaults(act=_calls)

    used = commands.add_parser("usage", help="what calls spent, took and did; files of all of them")
    add_usage_options(used)
    used.set_defaults(act=_usage)

    served = commands.add_parser("api", help="the usage API over a production ClickHouse")
    add_api_options(served)
    served.set_defaults(act=_api, extra="local")

    limits = commands.add_parser("budgets", help="what is spent of each budget, and when it resets")
    add_budgets_options(limits)
    limits.set_defaults(act=_budgets)

    backends = commands.add_parser("health", help="which backends are up, by probes and by calls")
    add_health_options(backends)
    backends.set_defaults(act=_health)

    staged = commands.add_parser(
        "stage",
        help="price and join spans between two collectors",
        description=stage.DESCRIPTION,
        epilog=stage.EPILOG,
    )
    stage.add_options(staged)
    staged.set_defaults(act=_stage, extra="collector")

    run = commands.add_parser(
        "run",
        help="start a program with everything patched",
        usage="tollspan run [--print] -- PROGRAM ...",
    )
    run.add_argument(
        "--print",
        action="store_true",
        dest="prints",
        help="a line on standard error for each call, with its cost, and the sum at exit",
    )
    run.add_argument("program", nargs=argparse.REMAINDER, help="e.g. -- python app.py")
    run.set_defaults(act=_run)

    prices = commands.add_parser("prices", help="what a model costs, and who says so")
    prices.add_argument("model", metavar="MODEL", help="e.g. gpt-4o-mini, or openai/gpt-4o-mini")
    prices.add_argument("--provider", metavar="P", default="", help="e.g. azure.ai.openai")
    prices.set_defaults(act=_prices)

    repriced = commands.add_parser(
        "reprice", help="price history again; shows the difference first"
    )
    add_reprice_options(repriced)
    repriced.set_defaults(act=_reprice, extra="collector")

    pointed = commands.add_parser(
        "points", help="tokens as asked, sent on, reported by the provider and reported back"
    )
    add_points_options(pointed)
    pointed.set_defaults(act=_points)

    reconciled = commands.add_parser(
        "reconcile", help="a provider's bill against the ledger, each difference explained"
    )
    add_reconcile_options(reconciled)
    reconciled.set_defaults(act=_reconcile, extra="local")

    wired = commands.add_parser(
        "wire", help="captured HTTP exchanges: list, show, inspect, replay, tap, prove"
    )
    add_wire_options(wired)

    imported = commands.add_parser(
        "import",
        help="records and gateways' events from files into the ledger",
        description=import_records.DESCRIPTION,
    )
    import_records.add_options(imported)
    imported.set_defaults(act=import_records.import_records)

    doctor = commands.add_parser("doctor", help="what is patched, exported, doubled, lost")
    doctor.add_argument("--json", action="store_true", help="print one JSON object")
    doctor.set_defaults(act=_doctor)
    explain(commands.choices, {each.dest: each.help or "" for each in commands._choices_actions})
    return parser


def _check_price_file() -> None:
    """An application survives a price file that cannot be used; a command refuses it."""
    if path := settings().prices:
        from tollspan.processors import pricefile

        pricefile.load(path)


def _demo(options: argparse.Namespace) -> int:
    _check_price_file()
    from .demo import demo

    return int(demo(once=options.once, json=options.json) or 0)


def _up(options: argparse.Namespace) -> int:
    _check_price_file()
    from tollspan.local.command import serve

    with _measured():
        return serve(options)


@contextmanager
def _measured() -> Iterator[None]:
    """Metrics of this process itself (its probes) go where `OTEL_METRICS_EXPORTER` says, if it does."""
    from . import exporters

    asked = exporters.names("metrics", default="none")
    if not asked:
        yield
        return
    from opentelemetry import metrics

    try:
        provider = exporters.meter_provider(asked)
    except LookupError as error:
        raise ConfigError(f"OTEL_METRICS_EXPORTER cannot be used: {error.args[0]}") from error
    metrics.set_meter_provider(provider)
    try:
        yield
    finally:
        provider.shutdown(exporters.EXIT_MS)


def _reprice(options: argparse.Namespace) -> int:
    _check_price_file()
    from .reprice import reprice

    return reprice(options)


def _points(options: argparse.Namespace) -> int:
    from .points import points

    return points(options)


def _reconcile(options: argparse.Namespace) -> int:
    _check_price_file()
    from .reconcile import reconcile

    return reconcile(options)


def _stage(options: argparse.Namespace) -> int:
    _check_price_file()
    return stage.stage(options)


def _top(options: argparse.Namespace) -> int:
    from .top import top

    return top(options)


def _calls(options: argparse.Namespace) -> int:
    from .calls import calls

    return calls(options)


def _api(options: argparse.Namespace) -> int:
    from .api import api

    return api(options)


def _usage(options: argparse.Namespace) -> int:
    from .usage import usage

    return usage(options)


def _budgets(options: argparse.Namespace) -> int:
    from .budgets import budgets

    return budgets(options)


def _health(options: argparse.Namespace) -> int:
    from .health import health

    return health(options)


def _run(options: argparse.Namespace) -> int:
    _check_price_file()
    from .run import run

    program = options.program
    return run(program[1:] if program[:1] == ["--"] else program, prints=options.prints)


def _prices(options: argparse.Namespace) -> int:
    from .price_list import price_list

    return price_list(options.model, options.provider)


def _doctor(options: argparse.Namespace) -> int:
    from . import doctor

    found = doctor.examination()
    print(doctor.as_json(found) if options.json else doctor.as_table(found))
    return 1 if any(check.state == doctor.BAD for check in found.checks) else 0


if __name__ == "__main__":
    sys.exit(main())
