"""Variables and macros of a statement, as Grafana and its ClickHouse plugin 4.20 expand them.

The browser's part first, then the server's, in their order:
https://github.com/grafana/clickhouse-datasource/blob/00dd66beaaa08321f35e6ac47cbaa5f5c156552a/src/data/CHDatasource.ts
(`applyTemplateVariables`), @grafana/scenes formatRegistry.ts and @grafana/data 13.2.3 url.mjs for
`queryparam`, and the plugin's pkg/macros/macros.go. Alert rules see the server's part alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote

__all__ = ["Unexpanded", "browser", "server"]

Values = Mapping[str, str | Sequence[str]]
"""A variable's value: a text, or a list where several can be chosen; All is `["$__all"]`."""

CONDITIONAL = "$__conditionalAll("
VARIABLE = re.compile(r"\$\{(\w+)(?::(\w+))?\}|\$(\w+)")
MACRO = re.compile(
    r"\$__((time|date|dateTime)Filter|timeInterval|timeFrom|timeTo|timeGroup|fromTime|toTime|dt"
    r"|interval_s|(rateC|perSecondC|increaseC|c)olumns|lttb|conditionalAll|adHocFilters)(_ms)?\b"
)
"""The macros that the plugin has; the boards use a few of them."""
UNESCAPED = "@:$,;-_.~"
"""What `encodeURIComponentAsAngularJS` leaves as it is, beside letters and digits."""


class Unexpanded(ValueError):
    """A macro or a variable is left, or a form of a variable that boards may not use."""


def browser(sql: str, values: Values, unescaped: str = UNESCAPED) -> str:
    """`sql` as the browser sends it: without `$__conditionalAll` and without variables.

    `unescaped`: signs of values that are left as they are. Without any, a value that names a macro
    is a value and nothing else; the statement means the same.
    """
    while (at := sql.rfind(CONDITIONAL)) != -1:
        arguments = _arguments(sql[at + len(CONDITIONAL) - 1 :])
        if len(arguments) != 2:
            raise Unexpanded(sql[at : at + 80])
        value = values[arguments[1].strip().lstrip("$")]
        text = value if isinstance(value, str) else ",".join(value)
        condition = "1=1" if text in ("", "$__all") else arguments[0]
        sql = sql.replace(f"{CONDITIONAL}{arguments[0]},{arguments[1]})", condition, 1)
    return VARIABLE.sub(lambda found: _value(found, values, unescaped), sql)


def _arguments(text: str) -> list[str]:
    """Arguments of the macro whose parenthesis opens `text`; like the plugin's, blind to quotes."""
    depth, begin, found = 0, 1, []
    for match in re.finditer(r"[(),]", text):
        sign, at = match[0], match.start()
        depth += (sign == "(") - (sign == ")")
        if (sign == "," and depth == 1) or depth == 0:
            found.append(text[begin:at])
            begin = at + 1
        if depth == 0:
            break
    return found


def _value(found: re.Match[str], values: Values, unescaped: str) -> str:
    name, form = found[1] or found[3], found[2]
    if name not in values:
        return found[0]
    if form != "queryparam":
        raise Unexpanded(f"{found[0]}: variables stand in statements as :queryparam alone")
    value = values[name]
    each = [value] if isinstance(value, str) else value
    return "&".join(f"var-{name}={quote(one, safe=unescaped)}" for one in each)


def server(sql: str, start: int, end: int, interval_s: int) -> str:
    """`sql` as ClickHouse gets it, for the range from `start` to `end` in Unix seconds."""
    first, last = f"toDateTime({start})", f"toDateTime({end})"
    sql = re.sub(r"\$__timeFilter\(([\w.]+)\)", rf"\1 >= {first} AND \1 <= {last}", sql)
    sql = re.sub(
        r"\$__timeInterval\(([\w.]+)\)",
        rf"toStartOfInterval(toDateTime(\1), INTERVAL {interval_s} second)",
        sql,
    )
    for name, text in (("fromTime", first), ("toTime", last), ("interval_s", str(interval_s))):
        sql = re.sub(rf"\$__{name}\b", text, sql)
    if left := MACRO.search(sql):
        raise Unexpanded(left[0])
    return sql
