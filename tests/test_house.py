"""The rules of the house that code can check: floors, the guard, the settings, the names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = {
    "tollspan": "tollspan",
    "instrumentation": "tollspan.instrumentation",
    "processors": "tollspan.processors",
    "collector": "tollspan.collector",
    "chaos": "tollspan.chaos",
    "limits": "tollspan.limits",
    "local": "tollspan.local",
    "launcher": "tollspan.launcher",
}
FLOOR = {
    "tollspan": 0,
    "tollspan.instrumentation": 1,
    "tollspan.processors": 1,
    "tollspan.collector": 2,
    "tollspan.chaos": 2,
    "tollspan.limits": 1,
    "tollspan.local": 3,
    "tollspan.launcher": 4,
}
FRONT_DOOR = {ROOT / "tollspan" / "__init__.py", ROOT / "tollspan" / "auto.py"}
"""The public names of the import package: they load the floor above on first use, and only they."""


def modules() -> list[Path]:
    return sorted(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py"))


def package_of(file: Path) -> str:
    return FOLDERS[file.relative_to(ROOT).parts[0]]


def room_of(name: str) -> str | None:
    """The package that the dotted `name` belongs to."""
    if name != "tollspan" and not name.startswith("tollspan."):
        return None
    parts = name.split(".")
    longest = ".".join(parts[:2])
    return longest if longest in FLOOR else "tollspan"


def imports(file: Path) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of everything that `file` imports."""
    own = package_of(file)
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = own if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            yield node.lineno, module
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def test_every_folder_of_python_is_a_room_of_the_house() -> None:
    ignored = {"tests", "bench", "docs", "grafana", "collector-config", "build"}
    found = {
        file.relative_to(ROOT).parts[0]
        for file in ROOT.glob("*/*.py")
        if not file.relative_to(ROOT).parts[0].startswith(".")
    }

    assert found - ignored == set(FOLDERS)


@pytest.mark.parametrize("file", modules(), ids=lambda file: str(file.relative_to(ROOT)))
def test_each_package_imports_only_from_floors_below(file: Path) -> None:
    if file in FRONT_DOOR:
        return
    own = package_of(file)
    for line, name in imports(file):
        room = room_of(name)
        if room is not None and room != own:
            assert FLOOR[room] < FLOOR[own], f"{file.name}:{line} imports {name} from {room}"


def catches(file: Path) -> Iterator[int]:
    """Lines where `file` catches Exception or everything without raising it again."""
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.ExceptHandler):
            continue
        kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        names = {kind.id for kind in kinds if isinstance(kind, ast.Name)}
        broad = node.type is None or names & {"Exception", "BaseException"}
        raises_again = any(
            isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node)
        )
        if broad and not raises_again:
            yield node.lineno


def test_only_guard_catches_exception() -> None:
    handed_on = "handed on to the generator"
    found = [
        f"{file.relative_to(ROOT)}:{line}"
        for file in modules()
        if file.name != "guard.py"
        for line in catches(file)
        if handed_on not in file.read_text().splitlines()[line - 1]
    ]

    assert found == []


def reads_environment(file: Path) -> Iterator[int]:
    """Lines where `file` touches the process environment."""
    names = {"environ", "environb", "getenv", "putenv", "unsetenv"}
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Attribute) and node.attr in names:
            if isinstance(node.value, ast.Name) and node.value.id == "os":
                yield node.lineno
        elif (
            isinstance(node, ast.ImportFrom)
            and node.module == "os"
            and names & {alias.name for alias in node.names}
        ):
            yield node.lineno


def test_only_config_reads_the_environment() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{line}"
        for file in modules()
        if file != ROOT / "tollspan" / "config.py"
        for line in reads_environment(file)
    ]

    assert found == []


STANDARD = re.compile(r"^(gen_ai|tollspan)\.[a-z_0-9.]*[a-z0-9]$")
NOT_ATTRIBUTES = re.compile(
    r"^tollspan\.("
    + "|".join(n.split(".")[-1] for n in FLOOR)
    + r"|auto|lock|config|guard|semconv|attribution|calls|client|command|wirefile)\b"
)


def test_attribute_names_come_from_semconv() -> None:
    """A `gen_ai.*` or `tollspan.*` string literal anywhere else is a name typed by hand.

    Reading other people's dialects needs their names: those modules say so with `foreign names`.
    """
    found = []
    for file in modules():
        source = file.read_text()
        if file == ROOT / "tollspan" / "semconv.py" or "foreign names" in source[:2000]:
            continue
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                value = node.value
                if STANDARD.match(value) and not NOT_ATTRIBUTES.match(value):
                    found.append(f"{file.relative_to(ROOT)}:{node.lineno} {value}")

    assert found == []


def test_files_stay_small() -> None:
    long = {
        str(file.relative_to(ROOT)): lines
        for file in modules()
        if (lines := len(file.read_text().splitlines())) > 400
        and file != ROOT / "tollspan" / "semconv.py"  # one list of names, a line each
    }

    assert long == {}


def test_no_module_has_a_name_that_says_nothing() -> None:
    empty = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"}

    assert [str(file) for file in modules() if file.stem.strip("_") in empty] == []
