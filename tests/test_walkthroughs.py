"""The walk-throughs of docs/operate run as they are printed."""

from __future__ import annotations

import shutil
from pathlib import Path

import needs
import pytest
from walkthrough import Step, Walk, differences, steps

PAGES = sorted((needs.ROOT / "docs" / "operate").glob("*.md"))
PARTS = ("bash", "curl", "jq")
"""What the pages use beside tollspan."""


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_walk_through_prints_what_it_says(page: Path) -> None:
    for part in PARTS:
        if shutil.which(part) is None:
            needs.missing(part, "walk-throughs are typed into a shell")
    todo = list(steps(page.read_text("utf-8")))
    assert [step for step in todo if step.command], "nothing on the page is run"
    with Walk() as walk:
        for step in todo:
            walk.do(step)


def test_what_stands_for_anything_is_any_text_or_any_lines() -> None:
    assert not differences(["spent $…", "…", "end"], "spent $4\n1\n2\nend\n")
    assert not differences(["spent $…", "…", "end"], "spent $4\nend\n")
    assert differences(["spent $…", "end"], "spent $4\n1\nend\n")
    assert differences(["a.c"], "abc\n")
    assert differences(["spent $4"], "spent $4\nand more\n")


def test_here_documents_and_files_are_read_as_they_stand() -> None:
    page = '```console\n$ cat <<X\n> 1\n> X\n1\n```\n```python\n# a/b.py\nprint("1")\n```\n'

    assert list(steps(page)) == [
        Step(2, "cat <<X\n1\nX", ["1"]),
        Step(8, file="a/b.py", text='# a/b.py\nprint("1")\n'),
    ]


def test_a_page_that_is_wrong_fails() -> None:
    if shutil.which("bash") is None:
        needs.missing("bash", "walk-throughs are typed into a shell")
    with Walk() as walk:
        assert walk.do(Step(1, "export A=7; echo 4319 $A", ["4319 7"])) == "4319 7\n"
        assert walk.do(Step(1, "(sleep 0.2; echo is $A up; sleep 60) &", ["is … up"]))
        walk.do(Step(1, "echo $TOLLSPAN_UI_PORT", ["4319"]))
        with pytest.raises(AssertionError, match="line 3: "):
            walk.do(Step(3, "echo 8", ["7"]))
        with pytest.raises(AssertionError, match="exit code 1"):
            walk.do(Step(4, "false"))
