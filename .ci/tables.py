"""Writes the generated tables of docs and pyproject.toml from the code; `--check` fails where they differ.

python .ci/tables.py [--check]
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import fields
from pathlib import Path

from tollspan import semconv
from tollspan.config import Settings
from tollspan.instrumentation import PROVIDERS

ROOT = Path(__file__).resolve().parent.parent


def attributes() -> str:
    """Every attribute that tollspan writes or reads, as a Markdown table."""
    rows = ["| attribute | type | meaning |", "|---|---|---|"]
    for each in semconv.ATTRIBUTES.values():
        unit = f" ({each.unit})" if each.unit else ""
        rows.append(f"| `{each.name}` | {each.type}{unit} | {each.doc} |")
    return "\n".join(rows)


def settings() -> str:
    """Every environment variable of ours, as a Markdown table."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for each in fields(Settings):
        default = each.default
        shown = ",".join(default) if isinstance(default, tuple) else str(default)
        if isinstance(default, bool):
            shown = shown.lower()
        rows.append(
            f"| `{each.metadata['env']}` | {f'`{shown}`' if shown else ''} | {each.metadata['doc']} |"
        )
    return "\n".join(rows)


def bench() -> str:
    """The last kept benchmark, as a Markdown table with the command that made it."""
    found = json.loads((ROOT / "bench/results/calls.json").read_text())
    rows = [
        "| added by | tollspan, everything on | official instrumentation with metrics | ratio |",
        "|---|---|---|---|",
    ]
    for scenario, what in (("chat", "a chat call"), ("stream", "a chunk of a stream")):
        row = found[scenario]
        rows.append(
            f"| {what}, CPU | {row['tollspan_added_us']} µs | {row['official_added_us']} µs "
            f"| {row['ratio']} |"
        )
    rows.append(f"| `import tollspan.auto`, over the SDK | {found['import']['added_ms']} ms | | |")
    machine = found["machine"]
    peer = "opentelemetry-instrumentation-genai-openai"
    made = (
        f"`make bench`, {machine['measured']}, Python {machine['python']}, "
        f"openai {machine['openai']}, {peer} {machine[peer]}; "
        "medians, all in one run, content off."
    )
    rows += ["", made]
    return "\n".join(rows)


def providers() -> str:
    """Every SDK that is watched, as a Markdown table."""
    rows = ["| SDK | versions | watched |", "|---|---|---|"]
    for sdk in PROVIDERS.values():
        versions = ", ".join(f"`{each}`" for each in sdk.requires)
        rows.append(f"| {sdk.title} | {versions} | {sdk.covers} |")
    return "\n".join(rows)


def entry_points() -> str:
    """An instrumentor for each SDK, so that each can be switched off by its name."""
    return "\n".join(
        f'tollspan_{name} = "tollspan.instrumentation.{name}:Instrumentor"' for name in PROVIDERS
    )


def extras() -> str:
    """An extra for each SDK: installs no more than the SDK, at a version that is watched."""
    return "\n".join(
        f"{name.replace('_', '-')} = {json.dumps([each.replace(' ', '') for each in sdk.requires])}"
        for name, sdk in PROVIDERS.items()
    )


TABLES = {
    "attributes": attributes,
    "bench": bench,
    "entry_points": entry_points,
    "extras": extras,
    "providers": providers,
    "settings": settings,
}
PAGES = ["README.md", "docs/attributes.md", "docs/settings.md", "pyproject.toml"]


def filled(text: str) -> str:
    """`text` with what stands between `table NAME` and `end` made anew, both in comments of
    Markdown (`<!-- end -->`) or of TOML (`# end`)."""

    def table(match: re.Match[str]) -> str:
        return f"{match[1]}{TABLES[match[2]]()}\n{match[3]}"

    return re.sub(
        r"((?:<!--|#) table (\w+)(?: -->)?\n).*?((?:<!--|#) end\b)", table, text, flags=re.DOTALL
    )


def main() -> int:
    stale = []
    for page in PAGES:
        path = ROOT / page
        text = path.read_text()
        if (new := filled(text)) != text:
            stale.append(page)
            if "--check" not in sys.argv:
                path.write_text(new)
    if stale and "--check" in sys.argv:
        print(f"stale tables in {', '.join(stale)}: run python .ci/tables.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
