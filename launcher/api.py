"""`tollspan api`: the usage API over a production ClickHouse."""

from __future__ import annotations

import argparse

from tollspan.config import ConfigError, settings

__all__ = ["add_options", "api"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `tollspan api`; each goes before its variable."""
    parser.add_argument("--host", default="", help="address to bind (TOLLSPAN_HOST, 127.0.0.1)")
    parser.add_argument(
        "--port", type=_port, metavar="PORT", help="where (TOLLSPAN_UI_PORT, 4319); 0: a free one"
    )
    parser.add_argument(
        "--clickhouse", default="", metavar="URL", help="the ledger (TOLLSPAN_CLICKHOUSE_URL)"
    )


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) < 65536:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a port: write a number from 0 to 65535")


def api(options: argparse.Namespace) -> int:
    """Serve until it is told to end; exit code 0.

    Raises:
        ConfigError: nobody says where the ledger is, or it is of an earlier tollspan.
        ClickHouseError: it does not answer.
    """
    from tollspan.collector.clickhouse import ClickHouse
    from tollspan.local.api_only import serve
    from tollspan.local.migrations import newest
    from tollspan.local.remote import ClickHouseLedger

    from .log_lines import log_lines

    found = settings()
    url = options.clickhouse or found.clickhouse_url
    if not url:
        raise ConfigError(
            "TOLLSPAN_CLICKHOUSE_URL is not set: write http://clickhouse:8123/tollspan, or use "
            "--clickhouse; `tollspan up` serves the ledger of this machine"
        )
    clickhouse = ClickHouse(url, found.clickhouse_user, found.clickhouse_password)
    ledger = ClickHouseLedger(clickhouse)
    # With the limits that go with every question: an account may read and still not state those.
    (row,) = clickhouse.rows("SELECT max(version) AS version FROM tollspan_schema", {})
    if int(row["version"]) < newest():
        raise ConfigError(
            f"the ledger at {url} is of version {row['version']}, and this tollspan reads "
            f"{newest()}: bring it up to date first (docs/ledger.md)"
        )
    with log_lines():
        serve(
            ledger,
            host=options.host or found.host,
            port=found.ui_port if options.port is None else options.port,
            token=found.token,
            a_minute=found.api_per_minute,
        )
    return 0
