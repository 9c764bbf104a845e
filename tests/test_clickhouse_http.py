"""Real ClickHouse clients read the ledger of a laptop, and nobody does more than read."""

from __future__ import annotations

import gzip
import struct
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import board_data
import clickhouse_connect
import lz4.block
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pipeline_processes import go_client
from spans import owner, protobuf

from tollspan.local.clickhouse_blocks import compressed
from tollspan.local.clickhouse_sql import Forbidden, reading
from tollspan.local.server import LocalStack

TOKEN = "a secret"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    folder = tmp_path_factory.mktemp("ledger")
    with LocalStack(folder, clickhouse_port=0, token=TOKEN) as stack:
        spans = protobuf(owner(1, trace_id=f"{n:032x}", cost=0.001) for n in range(1, 8))
        headers = {"content-type": "application/x-protobuf", "authorization": f"Bearer {TOKEN}"}
        request = urllib.request.Request(stack.http_endpoint + "/v1/traces", spans, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 200
        yield stack


@pytest.fixture
def client(stack: LocalStack) -> Iterator[Any]:
    with clickhouse_connect.get_client(
        host="127.0.0.1", port=stack.clickhouse_port, password=TOKEN
    ) as client:
        yield client


def ask(
    stack: LocalStack, sql: str, *, headers: dict[str, str] | None = None, **asked: str
) -> tuple[int, str, dict[str, str]]:
    """Status, body and headers of a POST."""
    url = f"{stack.clickhouse_url}/?{urllib.parse.urlencode(asked)}"
    shown = {"x-clickhouse-key": TOKEN} if headers is None else headers
    request = urllib.request.Request(url, sql.encode(), shown)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), dict(error.headers)


# --- real clients ---------------------------------------------------------------------------------


def test_clickhouse_connect_reads_the_ledger(client: Any) -> None:
    rows = client.query("SELECT call_id, cost_usd, tags FROM tollspan_calls ORDER BY call_id")

    assert len(rows.result_rows) == 7
    assert sum(row[1] for row in rows.result_rows) == Decimal("0.007")
    assert isinstance(rows.result_rows[0][2], dict)


def test_clickhouse_connect_reads_many_blocks_and_binds_parameters(client: Any) -> None:
    many = client.query("SELECT number, toString(number) FROM numbers(99000)")
    said = client.query(
        "SELECT {who:String} AS who, {n:UInt8} AS n", {"who": "O'Brien \\\n", "n": 7}
    )

    assert many.result_rows[-1] == (98999, "98999")
    assert said.result_rows == [("O'Brien \\\n", 7)]


def test_an_empty_answer_still_names_its_columns(client: Any) -> None:
    found = client.query("SELECT call_id, cost_usd FROM tollspan_calls WHERE 0")

    assert found.column_names == ("call_id", "cost_usd")
    assert found.result_rows == []


def test_clickhouse_connect_hears_what_is_wrong(client: Any) -> None:
    with pytest.raises(DatabaseError, match=r"code: 60.*nowhere"):
        client.query("SELECT * FROM nowhere")


@pytest.mark.slow
@pytest.mark.parametrize("compress", ["none", "gzip", "lz4"])
def test_clickhouse_go_reads_the_ledger(stack: LocalStack, compress: str) -> None:
    address = f"127.0.0.1:{stack.clickhouse_port}/tollspan"
    secret = urllib.parse.quote(TOKEN)
    said = go_client(f"http://grafana:{secret}@{address}?compress={compress}&max_execution_time=60")

    assert "error" not in said
    assert (said["count"], said["sum"]) == (90000, 90000 * 89999 // 2)
    assert said["money"] == str(Decimal(89999) / 8)
    assert said["bound"] == "O'Brien"
    assert said["columns"] == ["call_id", "cost_usd"]
    assert "[HTTP 403]" in said["refused"]


def test_boards_are_answered_without_a_setting_of_theirs(stack: LocalStack) -> None:
    """A board's statement needs nothing that a reader may not do."""
    now = next(iter(board_data.data_sets().values()))
    for each in board_data.statements():
        if each.where.startswith("tollspan-overview"):
            status, body, _ = ask(stack, board_data.expanded(each.sql, now, {}))
            assert status == 200, f"{each.where}: {body}"


@given(st.binary(max_size=3000))
def test_compressed_blocks_are_lz4_of_the_data(data: bytes) -> None:
    """Read by a real decompressor; that the hash is right, clickhouse-go checks above."""
    packed, read = compressed(data), b""
    while packed:
        method, size, whole = struct.unpack_from("<BII", packed, 16)
        assert method == 0x82
        read += lz4.block.decompress(packed[25 : 16 + size], uncompressed_size=whole)
        packed = packed[16 + size :]

    assert read == data


# --- only reading ---------------------------------------------------------------------------------

FILE = "/etc/hostname"
FORBIDDEN = [
    "INSERT INTO llm_calls (call_id) VALUES ('a')",
    "DROP TABLE llm_calls",
    "ALTER TABLE llm_calls DELETE WHERE 1",
    "CREATE TABLE x (a UInt8) ENGINE = Memory",
    "CREATE TEMPORARY TABLE x (a UInt8)",
    "TRUNCATE TABLE llm_calls",
    "KILL QUERY WHERE 1",
    "SYSTEM SHUTDOWN",
    "SET readonly = 0",
    "USE system",
    "BACKUP TABLE llm_calls TO File('x')",
    "GRANT ALL ON *.* TO default",
    "SELECT 1 SETTINGS readonly = 0",
    "SELECT 1; DROP TABLE llm_calls",
    "SELECT 1 INTO OUTFILE '{tmp}/leak'",
    "SELECT 1 /* */ into/**/outfile '{tmp}/leak'",
    "SELECT 1 PARALLEL WITH DROP TABLE llm_calls",
    f"SELECT file('{FILE}')",
    f"SELECT `file`('{FILE}')",
    f"SELECT \"FILE\"('{FILE}')",
    f"SELECT file/* */('{FILE}')",
    f"SELECT * APPLY file FROM (SELECT '{FILE}')",
    f"SELECT * APPLY (x -> file(x)) FROM (SELECT '{FILE}')",
    f"SELECT arrayMap(x -> file(x), ['{FILE}'])",
    f"SELECT 1 IN (SELECT file('{FILE}'))",
    f"SELECT arrayMap(file, ['{FILE}'])",
    f"SELECT arrayMap(`fi\\x6ce`, ['{FILE}'])",
    f"SELECT arrayMap({{f:Identifier}}, ['{FILE}'])",
    "SELECT * FROM { f : Identifier }",
    f"EXPLAIN SELECT file('{FILE}')",
    f"SELECT * FROM file('{FILE}', LineAsString)",
    f"DESCRIBE file('{FILE}')",
    "SELECT * FROM url('http://127.0.0.1:1/', LineAsString)",
    "SELECT * FROM s3('http://127.0.0.1:1/bucket/x', CSV)",
    "SELECT * FROM remote('127.0.0.1', system.one)",
    "SELECT * FROM executable('id', TSV, 'a String')",
    "SELECT * FROM python('os')",
    "SELECT * FROM Python(os)",
    "SELECT * FROM sqlite('/tmp/x', 't')",
    "SELECT * FROM eval('SELECT 1')",
    "SELECT * FROM loop(numbers(3)) LIMIT 1",
    "WITH x AS (SELECT * FROM url('http://127.0.0.1:1/', CSV)) SELECT * FROM x",
    f"SELECT * FROM `{FILE}`",
    f"SELECT * FROM '{FILE}'",
    f"SELECT * FROM default.`{FILE}`",
    f"SELECT * FROM `{FILE[1:]}`",
    f"SELECT 1 AS `{FILE}` FROM `{FILE}`",
    "SELECT * FROM `../x.csv`",
    f"SELECT dictGet('{FILE}', 'a', 1)",
    f"SELECT arrayMap(DictHas, ['{FILE}'], [1])",
    f"SELECT `dictGetOrDefault`('{FILE}', 'a', 1, 2)",
    f"SELECT dictIsIn('{FILE}', 1, 2)",
    f"SELECT joinGet('{FILE}', 'a', 1)",
    f"SELECT hasColumnInTable('default', '{FILE}', 'a')",
    "EXISTS DICTIONARY x",
    f"EXISTS DICTIONARY `{FILE}`",
    f"EXISTS TABLE `{FILE}`",
    "SHOW CREATE DICTIONARY default.x",
]


@pytest.mark.parametrize("sql", FORBIDDEN)
def test_nothing_but_reading_the_ledger(stack: LocalStack, sql: str, tmp_path: Path) -> None:
    status, body, _ = ask(stack, sql.replace("{tmp}", str(tmp_path)), param_f="file")

    assert status in (400, 403), body
    assert "READONLY" in body or "SYNTAX_ERROR" in body
    assert list(tmp_path.iterdir()) == []
    assert stack.ledger.query("SELECT count() AS n FROM llm_calls FINAL") == [{"n": 7}]


def test_no_function_of_the_engine_looks_for_a_dictionary(stack: LocalStack) -> None:
    """What is none is taken for a file, opened in the engine's own name, and everybody's from then on."""
    sql = "SELECT name FROM system.functions WHERE name ILIKE 'dict%' OR name ILIKE 'joinGet%'"
    names = [row["name"] for row in stack.ledger.query(sql)]
    looking = [name for name in names if name.lower() != "dictionary"]

    assert len(looking) > 20
    for name in looking:
        assert ask(stack, f"SELECT {name}('x', 'a', 1)")[0] == 403, name


def test_a_column_may_be_called_as_a_rate(stack: LocalStack) -> None:
    sql = "SELECT count() AS `calls/day` FROM tollspan_calls ORDER BY `calls/day`"

    assert ask(stack, sql)[:2] == (200, "7\n")


def test_what_only_looks_like_it_is_allowed(stack: LocalStack) -> None:
    sql = "SELECT 'file(x) INTO OUTFILE url(' AS `outfile`, 1 AS url, number FROM numbers(1)"

    assert ask(stack, sql)[:2] == (200, "file(x) INTO OUTFILE url(\t1\t0\n")


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT count() FROM tollspan.tollspan_calls", "7"),
        ("SELECT count(`tollspan`.`tollspan_calls`.call_id) FROM `tollspan`.`tollspan_calls`", "7"),
        (
            "SELECT count() FROM tollspan.tollspan_calls c JOIN tollspan.tollspan_calls d USING call_id",
            "7",
        ),
        ("SHOW TABLES FROM tollspan LIKE 'tollspan_calls'", "tollspan_calls"),
        ("EXISTS TABLE tollspan.tollspan_calls", "1"),
        ("SELECT 'tollspan.x', tollspan.a FROM (SELECT 1 AS a) AS tollspan", "tollspan.x\t1"),
        (
            "SELECT x.tollspan.a FROM (SELECT CAST((tuple(5)), 'Tuple(a Int8)') AS tollspan) AS x",
            "5",
        ),
    ],
)
def test_the_database_may_be_called_as_on_a_server(stack: LocalStack, sql: str, said: str) -> None:
    assert ask(stack, sql)[:2] == (200, f"{said}\n")


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.sampled_from(
            [
                "SELECT",
                "file",
                "`file`",
                "FiLe",
                "(",
                ")",
                "'x'",
                "'it\\'s'",
                "url",
                "INTO",
                "OUTFILE",
            ]
            + ["FROM", "t", ",", "FORMAT", "JSON", "APPLY", "`a\\`b`", "1", "->", "numbers"]
        ),
        max_size=12,
    )
)
def test_no_order_of_words_hides_a_file(words: list[str]) -> None:
    """On text as the engine writes it: a bare `file` never passes, whatever stands around it."""
    text = "SELECT " + " ".join(words)
    bare = any(word.strip("`").lower() == "file" for word in words)
    try:
        reading(text, ["file", "url", "numbers"])
    except Forbidden:
        return
    assert not bare


def test_limits_can_only_be_lowered(stack: LocalStack) -> None:
    many = "SELECT number FROM numbers(100001) FORMAT Null"

    assert ask(stack, many, max_result_rows="100000000")[0] == 500
    assert ask(stack, "SELECT number FROM numbers(11)", max_result_rows="10")[0] == 500
    assert ask(stack, "SELECT number FROM numbers(9)", max_result_rows="10")[0] == 200


def test_settings_that_shape_the_answer_are_taken_and_others_ignored(stack: LocalStack) -> None:
    sql = "SELECT toDateTime(0, 'UTC') AS at FORMAT JSONEachRow"
    wanted = {"date_time_output_format": "iso", "format_schema": "/etc/x", "readonly": "0"}

    assert ask(stack, sql, **wanted)[1] == '{"at":"1970-01-01T00:00:00Z"}\n'


def test_many_slow_questions_wait_for_each_other_and_not_the_page(stack: LocalStack) -> None:
    """More at once than there are threads for the page: each is answered, and the page meanwhile."""
    sql = "SELECT sum(cityHash64(number)) FROM numbers(30000000)"
    headers = {"authorization": f"Bearer {TOKEN}"}
    with ThreadPoolExecutor(50) as threads:
        asked = [threads.submit(ask, stack, sql) for _ in range(50)]
        waiting = []
        for _ in range(5):
            request = urllib.request.Request(stack.page_url + "/api/filters", headers=headers)
            with urllib.request.urlopen(request, timeout=30) as answer:
                assert answer.status == 200
            waiting.append(sum(not each.done() for each in asked))
        codes = {each.result()[0] for each in asked}

    assert waiting[0] > 0, "the page was answered only after all of them"
    assert codes <= {200, 408, 429} and 200 in codes


# --- who may ask ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"x-clickhouse-key": "wrong"}, 403),
        ({"authorization": "Basic !!!"}, 403),
        ({"authorization": "Basic dTphIHNlY3JldA=="}, 200),
        ({"authorization": f"Bearer {TOKEN}"}, 200),
        ({"x-clickhouse-key": TOKEN, "host": "evil.example"}, 403),
        ({"x-clickhouse-key": TOKEN, "origin": "https://evil.example"}, 403),
        ({"x-clickhouse-key": TOKEN, "sec-fetch-site": "cross-site"}, 403),
    ],
)
def test_only_who_shows_the_token_and_is_no_page(
    stack: LocalStack, headers: dict[str, str], status: int
) -> None:
    assert ask(stack, "SELECT 1", headers=headers)[0] == status


# --- hostile bytes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", {}, 400),
        (b"\xff\xfe SELECT", {}, 400),
        (b"SELECT '\x00'", {}, 200),
        (b"SELECT " + b"(" * 5000, {}, 400),
        (b"SELECT 1 -- " + b"x" * 1_100_000, {}, 413),
        (gzip.compress(b"SELECT 7"), {"content-encoding": "gzip"}, 200),
        (gzip.compress(b" " * 300_000_000), {"content-encoding": "gzip"}, 413),
        (b"no gzip", {"content-encoding": "gzip"}, 400),
        (b"SELECT 1", {"content-encoding": "zpaq"}, 400),
    ],
    ids=["empty", "no text", "null byte", "deep", "long", "gzip", "bomb", "no gzip", "unknown"],
)
def test_hostile_bodies_get_an_answer(
    stack: LocalStack, body: bytes, headers: dict[str, str], status: int
) -> None:
    shown = {"x-clickhouse-key": TOKEN, **headers}
    request = urllib.request.Request(f"{stack.clickhouse_url}/", body, shown)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            got = answer.status
    except urllib.error.HTTPError as error:
        got = error.code
        assert "DB::Exception" in error.read().decode()

    assert got == status
    assert ask(stack, "SELECT 1")[:2] == (200, "1\n")
