"""A captured exchange is shown from its trace: by the server that can read the folder, as text only."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import browser
import needs
import pytest
from browser import expect
from exchanges import made, stored
from spans import TRACE, attempt, hop, owner, span

from tollspan import config, semconv
from tollspan.local import LocalStack

EVIL = "<img src=x onerror=alert(1)>"
EXCHANGE = made(
    0,
    text=json.dumps({"say": EVIL}),
    body={"messages": [{"content": "[redacted:email]"}]},
    end={"masked": {"request": {"email": 1}}},
)


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with LocalStack() as running:
        tried = attempt(2, 1)
        tried.attributes[semconv.WIRE_ID] = EXCHANGE.id
        proof = span(5, 1, {semconv.HOP_REDACTION: "proved", semconv.WIRE_ID: EXCHANGE.id})
        running.writer.offer([owner(1), tried, hop(3, 1, 0, "proxy", "litellm"), proof])
        assert running.flush()
        yield running


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOLLSPAN_WIRE", str(tmp_path / "wire"))
    config.reload()
    return stored(tmp_path / "wire", EXCHANGE)


def get(stack: LocalStack, path: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(f"{stack.page_url}{path}") as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.mark.usefixtures("folder")
def test_the_api_gives_an_exchange_by_its_id(stack: LocalStack) -> None:
    status, found = get(stack, f"/api/wire/{EXCHANGE.id}")

    assert status == 200
    assert found["response"]["status"] == 200
    assert found["chunks"][0]["text"] == json.dumps({"say": EVIL})


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "wire_id",
    [
        *("..", "../secret", "..%2f..%2fetc%2fpasswd", "x", EXCHANGE.id + ".jsonl.gz"),
        *(EXCHANGE.id[:-1], EXCHANGE.id.upper().replace("T", "t"), "\0", "%00", "ü"),
    ],
)
def test_what_is_no_id_reads_no_file(stack: LocalStack, wire_id: str) -> None:
    status, found = get(stack, f"/api/wire/{quote(wire_id, safe='%')}")

    assert status in (400, 404)
    assert set(found) == {"error"}


def test_an_exchange_that_is_not_here_says_what_to_do(stack: LocalStack, folder: Path) -> None:
    missing = "20200101T000000000000-000000000000"
    assert get(stack, f"/api/wire/{missing}")[0] == 404
    assert "TOLLSPAN_WIRE" in get(stack, f"/api/wire/{missing}")[1]["error"]
    (folder / f"{missing}.jsonl.gz").write_bytes(b"not packed")
    status, found = get(stack, f"/api/wire/{missing}")
    assert (status, str(folder) in found["error"]) == (404, False)


def test_the_proof_stands_on_the_hop(stack: LocalStack) -> None:
    _, trace = get(stack, f"/api/traces/{TRACE}")
    said = {one["name"]: one["attributes"].get(semconv.HOP_REDACTION) for one in trace["spans"]}

    assert said["hop litellm"] == "proved"
    assert said["POST"] is None


@pytest.mark.usefixtures("folder")
def test_the_page_shows_it_as_text(stack: LocalStack) -> None:
    if why := browser.absent():
        needs.missing("browser", why)
    address = f"{stack.page_url}/#/trace/{TRACE}?span={2:016x}"
    with browser.chromium() as running, browser.opened(running, address) as watched:
        page = watched.page
        page.get_by_role("button", name="Show the captured exchange").click()
        shown = page.locator("pre.exchange")
        expect(shown).to_have_count(2)
        assert "[redacted:email]" in shown.nth(0).inner_text()
        assert EVIL in shown.nth(1).inner_text()
        assert page.locator("pre.exchange img").count() == 0
        assert watched.problems == []
