"""What the documents tell to type exists: commands with their options, names, variables, the README's code.

The pages of docs/operate are run as a whole (`test_walkthroughs`); this reads all the others as well.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import needs
import openai
import pytest

import tollspan
from tollspan.chaos import Chaos
from tollspan.config import Settings
from tollspan.launcher.command import _parser

PAGES = [
    needs.ROOT / "README.md",
    needs.ROOT / "CONTRIBUTING.md",
    *sorted((needs.ROOT / "docs").rglob("*.md")),
]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
COMMAND = re.compile(r"\btollspan(?: +([a-z][a-z|]*))((?: +[^\s`;|&)]+)*)")
NAME = re.compile(r"(?<![\w./-])tollspan\.(\w+)\(")


def code(page: Path) -> Iterator[str]:
    """Lines of code blocks, and code in sentences."""
    text = page.read_text("utf-8")
    for _, block in BLOCK.findall(text):
        yield from block.splitlines()
    yield from INLINE.findall(BLOCK.sub("", text))


def commands() -> dict[str, argparse.ArgumentParser]:
    (found,) = (each for each in _parser()._actions if isinstance(each, argparse._SubParsersAction))
    return dict(found.choices)


def options(parser: argparse.ArgumentParser) -> set[str]:
    """Of a command and of the commands inside it."""
    found: set[str] = set()
    for action in parser._actions:
        found.update(action.option_strings)
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                found |= options(inner)
    return found


def typed(line: str) -> Iterator[tuple[str, list[str]]]:
    """Each `tollspan COMMAND --option …` in a line: the command, and its options."""
    for name, rest in COMMAND.findall(line):
        own = rest.split(" -- ")[0]  # what `tollspan run` runs has options of its own
        yield name, re.findall(r"(?<![\w-])--[a-z][a-z-]*", own)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_that_a_page_names_exists_with_its_options(page: Path) -> None:
    known = commands()
    wrong = [
        f"{name} {' '.join(given)}: {line.strip()[:80]}"
        for line in code(page)
        if re.match(r"\s*(\$ )?tollspan (?!is up: )", line)
        for name, given in typed(line)
        if name not in known or not set(given) <= options(known[name])
    ]
    assert not wrong, wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_function_that_a_page_calls_is_public(page: Path) -> None:
    named = {name for line in code(page) for name in NAME.findall(line)}
    assert named <= set(tollspan.__all__)


def test_every_public_name_is_told_of_in_a_document() -> None:
    told = "\n".join(page.read_text("utf-8") for page in PAGES)
    untold = {
        name
        for name in tollspan.__all__
        if not name.startswith("_") and f"tollspan.{name}" not in told
    }
    assert not untold


def test_the_readmes_variables_are_settings() -> None:
    known = {each.metadata["env"] for each in fields(Settings)}
    named = re.findall(r"TOLLSPAN_[A-Z_]+[A-Z]", (needs.ROOT / "README.md").read_text("utf-8"))
    assert named and set(named) <= known


def test_the_readmes_python_runs_as_it_stands(
    chaos: Chaos, tally: tollspan.tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    text = (needs.ROOT / "README.md").read_text("utf-8")
    blocks = [block for language, block in BLOCK.findall(text) if language == "python"]
    (test,) = (block for block in blocks if "def test_" in block)
    with openai.OpenAI(base_url=chaos.openai_base_url, api_key="k") as real:

        def create(*_: object) -> object:  # `create(...)` stands for any arguments
            return real.chat.completions.create(model="gpt-4o-mini", messages=[])

        completions = SimpleNamespace(create=create)
        space: dict[str, Any] = {
            "client": SimpleNamespace(chat=SimpleNamespace(completions=completions)),
            "answer": create,
            "question": "why?",
            "tollspan": tollspan,
            "openai": openai,
        }
        try:
            for block in blocks:
                if block is not test:
                    exec(block, space)  # noqa: S102
        finally:
            tollspan.uninstrument()
    assert len(chaos.log) == len(tally.calls) == 2
    assert tally.calls[1].endpoint == "checkout.ai_summary"


def test_the_readmes_test_passes(chaos: Chaos, tally: tollspan.tally) -> None:
    text = (needs.ROOT / "README.md").read_text("utf-8")
    (block,) = (block for _, block in BLOCK.findall(text) if "def test_" in block)
    asked = 'client.chat.completions.create(model="gpt-4o-mini", messages=[])'
    assert block.count("    ...\n") == 1
    space: dict[str, Any] = {"openai": openai}
    exec(block.replace("    ...\n", f"    {asked}\n"), space)  # noqa: S102
    space["test_we_survive_a_rate_limit"](chaos, tally)
    assert len(chaos.log) == 2
