"""An export's bytes as a table or as JSON: encodings, separators, and what is no export at all.

Strict: what cannot be read is refused with its line; nothing is guessed at the cost of an amount.
"""

from __future__ import annotations

import csv
import io
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from .reconcile_lines import BadExport, Place, number

__all__ = [
    "MOST_BYTES",
    "Row",
    "Table",
    "documents",
    "flat",
    "plain",
    "table",
    "text_of",
    "unpacked",
]

MOST_BYTES = 256 * 2**20
"""Of one export, unpacked."""

SEPARATORS = ",;\t|"
PREFACE = 40
"""Lines before the headings, as Google's console writes them, at most."""

MARKS = (
    (b"PAR1", "is Parquet: export CSV, or convert it"),
    (b"PK\x03\x04", "is a zip archive or a workbook: unpack it, or save the sheet as CSV"),
    (b"%PDF", "is a PDF: take the CSV or JSON of the same bill"),
    (b"<", "is HTML or XML: the download was a page, perhaps one that asks to sign in"),
)
BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
COMMA = re.compile(r"-?\d{1,3}(?:\.\d{3})*,\d+|-?\d+,\d+")


def unpacked(data: bytes, name: str) -> bytes:
    """`data`, out of gzip where it is in it.

    Raises:
        BadExport: it is empty, too large, or of a kind that is not read.
    """
    if data[:2] == b"\x1f\x8b":
        packed = zlib.decompressobj(wbits=31)
        try:
            data = packed.decompress(data, MOST_BYTES + 1)
        except zlib.error as error:
            raise BadExport(f"{name}: its gzip is broken ({error})") from error
        if not packed.eof and len(data) <= MOST_BYTES:
            raise BadExport(f"{name}: its gzip ends too early")
    if len(data) > MOST_BYTES:
        raise BadExport(f"{name} is larger than {MOST_BYTES >> 20} MiB: give it in parts")
    if not data.strip():
        raise BadExport(f"{name} is empty")
    for mark, what in MARKS:
        if data.lstrip()[: len(mark)] == mark:
            raise BadExport(f"{name} {what}")
    return data


def text_of(data: bytes, name: str) -> str:
    """The text.

    Raises:
        BadExport: it is not UTF-8, nor UTF-16 that says so.
    """
    encoding = next((one for mark, one in BOMS if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadExport(f"{name}, line {line}: is not {encoding.upper()}: save it so") from error


@dataclass(frozen=True, slots=True)
class Row:
    """One row. Columns are asked for by their plain names, see `plain`."""

    cells: Sequence[str]
    columns: dict[str, int]
    at: Place
    comma: bool

    def __contains__(self, column: str) -> bool:
        return column in self.columns

    def text(self, *columns: str) -> str:
        """The first of `columns` that is there and not empty."""
        for column in columns:
            at = self.columns.get(column)
            if at is not None and (found := self.cells[at].strip()):
                return found
        return ""

    def number(self, *columns: str) -> Decimal | None:
        """Likewise, as a number; None where all are empty.

        Raises:
            BadExport: it is no number.
        """
        for column in columns:
            if written := self.text(column):
                return number(written, self.place(column), comma=self.comma)
        return None

    def place(self, column: str = "") -> Place:
        return self.at.below(f", column {column}") if column else self.at


@dataclass(slots=True)
class Table:
    """A table with headings; `columns` has them as `plain` makes them."""

    name: str
    columns: dict[str, int]
    comma: bool = False
    preface: dict[str, str] = field(default_factory=dict)
    """Pairs in the lines before the headings, names as `plain` makes them."""
    _rows: list[tuple[int, list[str]]] = field(default_factory=list)

    def __iter__(self) -> Iterator[Row]:
        for line, cells in self._rows:
            yield Row(cells, self.columns, Place(self.name, f"line {line}"), self.comma)

    def __len__(self) -> int:
        return len(self._rows)


def table(text: str, name: str, known: Sequence[frozenset[str]]) -> Table:
    """The table in `text`, whose headings hold all of one set of `known`.

    Raises:
        BadExport: there is no such line, or a row does not fit it.
    """
    separator = _separator(text)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    made: Table | None = None
    preface: dict[str, str] = {}
    first: list[str] = []
    try:
        for cells in rows:
            if not any(cell.strip() for cell in cells):
                continue
            if made is None:
                first = first or cells
                made = _headed(cells, name, known)
                if made is None:
                    if rows.line_num > PREFACE:
                        break
                    preface[plain(cells[0])] = cells[1].strip() if cells[1:] else ""
                continue
            if len(cells) != len(made.columns):
                if any(cell.strip().lower() in ("total", "totals") for cell in cells):
                    continue
                raise Place(name, f"line {rows.line_num}").bad(
                    f"has {len(cells)} fields where the headings are {len(made.columns)}"
                )
            made._rows.append((rows.line_num, cells))
    except csv.Error as error:
        raise Place(name, f"line {rows.line_num}").bad(f"is no CSV ({error})") from error
    if made is None:
        shown = ", ".join(cell.strip() for cell in first[:8])[:200]
        raise BadExport(
            f"{name}: these columns are of no export that is known: {shown!r}; "
            "known are usage and cost exports of OpenAI, Anthropic, Azure, AWS and Google, and FOCUS"
        )
    made.preface = preface
    if separator == ";":
        made.comma = any(COMMA.fullmatch(cell.strip()) for _, cells in made._rows for cell in cells)
    return made


def _separator(text: str) -> str:
    """The separator of the first lines: the one that there is most of outside of quotes."""
    head = re.sub(r'"[^"]*"', "", text[:20_000])
    return max(SEPARATORS, key=head.count)


def plain(heading: str) -> str:
    """A heading without what differs between exports of one kind: `lineItem/UsageType` and
    `line_item_usage_type`, `sku.description` and `SKU description`."""
    return re.sub(r"[\W_]+", "", heading.lower())


def _headed(cells: Sequence[str], name: str, known: Sequence[frozenset[str]]) -> Table | None:
    names = [plain(cell) for cell in cells]
    wanted = [each for each in known if each <= set(names)]
    if not wanted:
        return None
    for column in sorted(frozenset.union(*wanted)):
        if names.count(column) > 1:
            raise BadExport(f"{name}: two columns are called {column!r}")
    columns: dict[str, int] = {}
    for at, column in enumerate(names):
        columns[column if column and column not in columns else f"\0{at}"] = at
    return Table(name, columns)


def flat(found: Mapping[str, Any], place: Place) -> Row:
    """An object of JSON as a row: `{"sku": {"description": …}}` has the column `skudescription`.

    Lists stay JSON.
    """
    cells: dict[str, str] = {}
    waiting: list[tuple[str, Any]] = [("", found)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, Mapping):
            waiting += [(path + plain(str(key)), each) for key, each in value.items()]
        elif value is not None:
            listed = isinstance(value, list)
            cells[path] = json.dumps(value, default=str) if listed else str(value)
    columns = {column: at for at, column in enumerate(cells)}
    return Row([*cells.values()], columns, place, False)


def documents(text: str, name: str) -> list[Any]:
    """The JSON in `text`: one document, several pages in a list, or one a line. Numbers with a point
    are `Decimal`.

    Raises:
        BadExport: it is no JSON.
    """
    try:
        found = _json(text)
    except json.JSONDecodeError as error:
        if error.msg != "Extra data":
            raise _broken(error, name, error.lineno) from error
        return list(_lines(text, name))
    except (ValueError, RecursionError) as error:
        raise BadExport(f"{name} is no JSON that can be read ({error})") from error
    return found if isinstance(found, list) else [found]


def _lines(text: str, name: str) -> Iterator[Any]:
    for number_, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            yield _json(line)
        except json.JSONDecodeError as error:
            raise _broken(error, name, number_) from error
        except (ValueError, RecursionError) as error:
            raise Place(name, f"line {number_}").bad(f"is no JSON ({error})") from error


def _json(text: str) -> Any:
    return json.loads(text, parse_float=Decimal, parse_constant=_refuse, parse_int=_int)


def _int(digits: str) -> int:
    if len(digits) > 30:
        raise ValueError("a number is longer than 30 digits")
    return int(digits)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number")


def _broken(error: json.JSONDecodeError, name: str, line: int) -> BadExport:
    return Place(name, f"line {line}, column {error.colno}").bad(f"is no JSON: {error.msg}")
