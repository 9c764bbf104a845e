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


SCENARIOS = {"chat": "a call", "stream": "a chunk of a stream"}


def bench() -> str:
    """The last kept benchmark, as a Markdown table with the command that made it."""
    found = json.loads((ROOT / "bench/results/calls.json").read_text())
    rows = ["| SDK | added to | tollspan, everything on | peer | ratio |", "|---|---|---|---|---|"]
    for sdk in found["sdks"].values():
        (package, own), *others = sdk["versions"].items()
        peer = " ".join(others[0]) if others else "its own callback"
        for scenario, what in SCENARIOS.items():
            row = sdk[scenario]
            rows.append(
                f"| {package} {own} | {what} | {row['tollspan_added_us']} µs "
                f"| {row['peer_added_us']} µs, {peer} "
                f"| {row['ratio']} ({min(row['ratios'])} to {max(row['ratios'])}) |"
            )
    machine = found["machine"]
    made = (
        f"`import tollspan.auto` adds {found['import']['added_ms']} ms to the "
        f"{found['import']['sdk_ms']} ms of importing the openai SDK; a call made in that very moment "
        f"waits {found['import']['first_call_ms']} ms for what is loaded beside it, the next one does "
        "not. "
        f"CPU of all threads; `make bench`, {machine['measured']}, Python {machine['python']}; "
        "medians, each SDK's subjects in turn in one run, content off; in brackets the lowest and the "
        "highest ratio of a round: where they are far apart, the SDK's own call scatters by more than "
        "either adds."
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


HOW_WE_KNOW = {
    "ran": "ran it: captures are replayed in the tests",
    "source": "read its source",
    "documents": "its documents only",
    "": "by inference",
}


def gateways() -> str:
    """Every row of the rule table, as a Markdown table."""
    from tollspan.processors.gateways import RULES, UNKNOWN

    rows = [
        "| gateway | known by | tells | hides | switch on | how we know |",
        "|---|---|---|---|---|---|",
    ]
    for rule in (*RULES, UNKNOWN):
        if not rule.tells:  # a second row for the same gateway
            continue
        signs = [f"`{name}`" for name in sorted(rule.headers)]
        signs += [f"host `{host}`" for host in sorted(rule.hosts)]
        if rule.known is not None:
            signs.append("models or facts in the body")
        if rule is UNKNOWN:
            signs.append("see below")
        cells = (rule.tells, rule.hides, rule.switch_on, HOW_WE_KNOW[rule.level])
        rows.append(f"| {rule.name} | {', '.join(signs)} | {' | '.join(cells)} |")
    return "\n".join(rows)


TABLES = {
    "attributes": attributes,
    "bench": bench,
    "entry_points": entry_points,
    "extras": extras,
    "gateways": gateways,
    "providers": providers,
    "settings": settings,
}
PAGES = [
    "README.md",
    "docs/attributes.md",
    "docs/gateways.md",
    "docs/settings.md",
    "pyproject.toml",
]


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
