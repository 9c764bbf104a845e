"""The ledger keeps what it was given: through locks, damage, upgrades, hostile values."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tollspan.local.ledger import Ledger, LedgerError, Unusable
from tollspan.local.migrations import statements

TIME = "2026-05-28 20:26:41.000000001"


def row(call_id: str, **more: Any) -> dict[str, Any]:
    return {"call_id": call_id, "time": TIME, "role": "owner", "version": 1, **more}


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    made = Ledger(tmp_path_factory.mktemp("ledger"))
    yield made
    made.close()


def in_another_process(folder: Path, then: str = "") -> str:
    """What opening `folder` elsewhere says: `open`, or the sentence."""
    code = f"""
import sys
from pathlib import Path
from tollspan.local.ledger import Ledger, Unusable
try:
    ledger = Ledger(Path(sys.argv[1]))
except Unusable as error:
    print(error)
else:
    print("open")
    {then or "pass"}
    ledger.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == "", "the engine's own words are kept from people"
    return done.stdout.strip()


def test_the_highest_version_stands_whatever_the_order(ledger: Ledger) -> None:
    for version in (5, 9, 2):
        ledger.insert("llm_calls", [row("a" * 32, version=version, tenant=f"v{version}")])

    found = ledger.query(
        "SELECT tenant FROM tollspan_calls WHERE call_id = {id:String}", {"id": "a" * 32}
    )
    assert found == [{"tenant": "v9"}]


def test_money_is_exact_to_the_last_of_twelve_digits(ledger: Ledger) -> None:
    amounts = ["0.000000000001", "999999.999999999999", "0.1", "0.2"]
    rows = [row(f"{n:032x}", cost_usd=each, session="money") for n, each in enumerate(amounts)]
    ledger.insert("llm_calls", rows)

    (found,) = ledger.query(
        "SELECT sum(cost_usd) AS usd FROM tollspan_calls WHERE session = 'money'"
    )
    assert found["usd"] == "1000000.3"


def test_a_batch_that_does_not_fit_adds_nothing_and_the_next_does(ledger: Ledger) -> None:
    good, bad = row("b" * 32, session="batch"), row("c" * 32, session="batch", version="many")
    for _ in range(2):
        with pytest.raises(LedgerError):
            ledger.insert("llm_calls", [good, bad])
    count = "SELECT count() AS n FROM llm_calls WHERE session = 'batch'"

    assert ledger.query(count) == [{"n": 0}]
    ledger.insert("llm_calls", [good])
    assert ledger.query(count) == [{"n": 1}]


@given(st.text(max_size=60), st.lists(st.text(max_size=20), min_size=1, max_size=4))
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_parameters_come_through_as_they_are(ledger: Ledger, text: str, texts: list[str]) -> None:
    (found,) = ledger.query(
        "SELECT {a:String} AS a, {b:Array(String)} AS b", {"a": text, "b": texts}
    )

    assert (found["a"], found["b"]) == (text, texts)


def test_readers_and_the_writer_do_not_mix_up_their_answers(ledger: Ledger) -> None:
    wrong: list[object] = []

    def ask(thread: int) -> None:
        for number in range(40):
            said = f"{thread}-{number}"
            (found,) = ledger.query("SELECT {a:String} AS a", {"a": said})
            if found["a"] != said:
                wrong.append(found)

    threads = [threading.Thread(target=ask, args=(each,)) for each in range(6)]
    for each in threads:
        each.start()
    for number in range(20):
        ledger.insert("llm_calls", [row(f"{number + 500:032x}", session="mixed")])
    for each in threads:
        each.join()

    assert wrong == []
    (found,) = ledger.query("SELECT count() AS n FROM tollspan_calls WHERE session = 'mixed'")
    assert found["n"] == 20


def test_a_folder_that_another_process_holds_is_said_so(ledger: Ledger) -> None:
    said = in_another_process(ledger.folder)

    assert "held by process" in said
    assert "TOLLSPAN_DATA_DIR" in said
    assert "\n" not in said


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A ledger with one call in it, closed."""
    made = tmp_path / "data"
    insert = f'ledger.insert("llm_calls", [{row("d" * 32, tenant="acme")!r}])'
    assert in_another_process(made, insert) == "open"
    return made


def test_rows_are_there_after_reopening(folder: Path) -> None:
    print_it = 'print(ledger.query("SELECT tenant FROM tollspan_calls"))'

    assert in_another_process(folder, print_it).splitlines() == ["open", "[{'tenant': 'acme'}]"]


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and file.name not in ("status", "tollspan.lock", "uuid")
    }


@pytest.mark.parametrize("name", ["data.bin", "columns.txt", "checksums.txt", "llm_calls.sql"])
def test_a_damaged_folder_is_said_so_and_nothing_in_it_is_touched(folder: Path, name: str) -> None:
    for file in folder.rglob(name):
        file.write_bytes(b"\0 garbage " * 3)
    before = files(folder)
    said = in_another_process(folder)

    assert "damaged" in said
    assert "TOLLSPAN_DATA_DIR" in said
    assert "\n" not in said
    assert files(folder) == before


def test_a_new_folder_is_for_its_owner_alone(tmp_path: Path) -> None:
    assert in_another_process(tmp_path / "state" / "ledger") == "open"
    assert (tmp_path / "state" / "ledger").stat().st_mode & 0o077 == 0


def test_a_folder_of_something_else_is_not_used(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("hello")

    assert "cannot be used" in in_another_process(file)
    assert file.read_text() == "hello"


def test_a_ledger_of_a_newer_tollspan_is_not_opened(folder: Path) -> None:
    newer = (
        "ledger._writer.query(\"INSERT INTO tollspan_schema (version, name) VALUES (999, 'x')\")"
    )
    assert in_another_process(folder, newer) == "open"

    said = in_another_process(folder)
    assert "newer tollspan" in said
    assert "999" in said


def test_statements_are_split_at_semicolons_that_end_a_line() -> None:
    assert statements("-- a; b;\nSELECT ';'\n;\nSELECT 2;\n") == ["SELECT ';'", "SELECT 2"]


def test_unusable_is_raised_before_anything_is_made(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(Unusable):
        Ledger(file / "below")
