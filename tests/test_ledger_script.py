"""ledger.sh makes a ledger, brings it up to date, and leaves alone what it should not touch."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from needs import ROOT, missing

SCRIPT = ROOT / "collector-config" / "compose" / "ledger.sh"

ENGINE = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
import chdb
connection = chdb.connect(sys.argv[1])
class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        said = self.rfile.read(int(self.headers["content-length"])).decode()
        body = str(connection.query(said, "TSV").data()).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
server = HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""
CLIENT = """#!/bin/bash
# A clickhouse-client over the embedded engine: --query TEXT, --queries-file FILE.
set -e
declare -A said
while [ $# -gt 0 ]; do said[$1]=$2; shift 2; done
[ "${{said[--host]}} ${{said[--database]}}" = "clickhouse tollspan" ]
file=${{said[--queries-file]}}
[ -z "$file" ] || basename "$file" >> {log}
curl --silent --fail --data-binary "${{file:+@}}${{file:-${{said[--query]}}}}" http://127.0.0.1:{port}/
"""


class Server:
    """ledger.sh with a clickhouse-client that is the embedded engine, and files of one's own in `sql`."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.sql = folder / "sql"
        self.sql.mkdir()
        self.log, self._client = folder / "log", folder / "clickhouse-client"
        self._client.write_text(CLIENT.format(log=self.log, port=port))
        self._client.chmod(self._client.stat().st_mode | stat.S_IEXEC)
        self._environ = {
            **os.environ,
            "CLICKHOUSE_HOST": "clickhouse",
            "CLICKHOUSE_USER": "tollspan",
            "CLICKHOUSE_PASSWORD": "x",
            "CLICKHOUSE_DATABASE": "tollspan",
            "PATH": f"{folder}:{os.environ['PATH']}",
        }

    def updated(self, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", str(SCRIPT), str(self.sql)],
            env={**self._environ, **variables},
            check=False,
            capture_output=True,
            text=True,
        )

    def applied(self) -> list[str]:
        """Names of the files that it ran."""
        self.log.write_text("")
        done = self.updated()
        assert done.returncode == 0, done.stderr
        return self.log.read_text().split()

    def says(self, answers: dict[str, str]) -> None:
        """Be a server that says these things to statements with these words, and nothing else."""
        lines = [
            f'case "$*" in *"{asked}"*) printf "{said}\\n";; esac'
            for asked, said in answers.items()
        ]
        self._client.write_text("\n".join(["#!/bin/bash", f'echo "$*" >> {self.log}', *lines, ""]))

    def asked(self, query: str) -> str:
        command = [self._client, "--host", "clickhouse", "--database", "tollspan", "--query", query]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    if shutil.which("curl") is None:
        missing("curl", "no curl on the PATH")
    command = [sys.executable, "-c", ENGINE, str(tmp_path / "ch")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as engine:
        assert engine.stdout is not None
        yield Server(tmp_path, int(engine.stdout.readline()))
        engine.terminate()


SCHEMA = "CREATE TABLE tollspan_schema (version UInt32, name String) ENGINE = Log;\n"


@pytest.mark.slow
def test_numbered_files_of_the_ledger_run_once_and_the_others_always(server: Server) -> None:
    (server.sql / "0001_first.sql").write_text(SCHEMA)
    (server.sql / "landing.sql").write_text(
        "CREATE TABLE IF NOT EXISTS landing (a Int8) ENGINE = Null"
    )

    assert server.applied() == ["0001_first.sql", "landing.sql"]
    (server.sql / "0009_later.sql").write_text("CREATE TABLE later (a Int8) ENGINE = Log")
    assert server.applied() == ["0009_later.sql", "landing.sql"]


def test_a_ledger_of_a_newer_tollspan_is_left_as_it_is(tmp_path: Path) -> None:
    """Its views would get an older text."""
    server = Server(tmp_path)
    server.says({"EXISTS TABLE tollspan_schema": "1", "SELECT DISTINCT version": "1\\n12"})
    for name in ("0001_first.sql", "landing.sql"):
        (server.sql / name).write_text("SELECT 1")
    done = server.updated()

    assert done.returncode == 2
    assert done.stderr == (
        "ledger.sh: tollspan is of a newer tollspan (version 12, here 1): use the files of that one\n"
    )
    assert "landing" not in server.log.read_text()


def test_a_server_that_does_not_answer_ends_it_with_what_the_client_said(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.says({"EXISTS": "\"; echo 'Code: 210. Connection refused' >&2; exit 210; echo \""})
    (server.sql / "0001_first.sql").write_text("SELECT 1")
    done = server.updated()

    assert (done.returncode, done.stderr) == (210, "Code: 210. Connection refused\n")
    assert "0001" not in server.log.read_text()


def test_the_ledger_without_files_or_a_server_to_go_to_is_one_sentence(tmp_path: Path) -> None:
    server = Server(tmp_path)
    done = server.updated()
    assert (done.returncode, done.stderr) == (
        2,
        f"ledger.sh: {server.sql} has no numbered SQL files: ledger.sh FOLDER\n",
    )
    done = server.updated(CLICKHOUSE_HOST="")
    assert (done.returncode, done.stderr) == (2, "ledger.sh: CLICKHOUSE_HOST is not set\n")


@pytest.mark.slow
def test_views_that_are_there_get_the_text_of_today(server: Server) -> None:
    """Of landing.sql and refresh.sql as a later tollspan has them."""
    (server.sql / "0001_first.sql").write_text(
        SCHEMA + "CREATE TABLE kept (a Int8, b Int8) ENGINE = Log;\n"
        "CREATE TABLE came (a Int8) ENGINE = Null;\n"
    )
    for columns in ("a, 1 AS b", "a,\n-- a comment; with a semicolon\n       2 AS b"):
        for file, refreshed in (("landing", ""), ("refresh", " REFRESH EVERY 1 YEAR APPEND")):
            (server.sql / f"{file}.sql").write_text(
                f"CREATE MATERIALIZED VIEW IF NOT EXISTS of_{file}{refreshed} TO kept AS\n"
                f"SELECT {columns} FROM came;\n"
            )
        server.applied()
        server.asked("INSERT INTO came VALUES (7)")

    assert server.asked("SELECT groupArray(b) FROM kept") == "[1,2]"
    assert "2 AS b" in server.asked("SHOW CREATE TABLE of_refresh")
