"""What `tollspan COMMAND --help` says beside the options: what the command is for, and examples.

Every example is parsed by the tests as it is printed.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Mapping

__all__ = ["EXAMPLES", "explain"]

Examples = tuple[tuple[str, str], ...]
"""Commands as they are typed, each with what it does."""

EXAMPLES: Mapping[str, Examples] = {
    "demo": (
        ("tollspan demo", "stays up, for the page in the browser"),
        ("tollspan demo --once --json", "the sums beside the truth, then the end"),
    ),
    "up": (
        ("tollspan up", "page on http://127.0.0.1:4319"),
        ("tollspan up --port 0 --grpc-port 0 --http-port 0", "beside another one"),
    ),
    "run": (
        ("tollspan run -- python app.py", "calls go to `tollspan up`"),
        ("tollspan run --print -- python app.py", "what each call costs, here and now"),
        ("tollspan run -- uvicorn app:app --workers 2", "workers too"),
        ("tollspan run -- python -m pytest", "what the tests of an application spend"),
    ),
    "top": (
        ("tollspan top --by tenant", "who spends most, of the last day"),
        ("tollspan top --once --window 7d --sort p95", "the slowest endpoints of a week"),
    ),
    "calls": (
        ("tollspan calls -f", "calls as they come in"),
        ("tollspan calls -n 50 --tenant acme --status error", "what failed for one tenant"),
        ("tollspan calls --json --window 1h", "a JSON object a line"),
    ),
    "usage": (
        ("tollspan usage stats --by tenant,model --last 7d", "who spent it on what"),
        ("tollspan usage sessions --sort cost", "the dearest conversations"),
        ("tollspan usage export --format csv -o calls.csv", "every call in a file"),
    ),
    "budgets": (
        ("tollspan budgets", "what is left of each"),
        ("tollspan budgets check budgets.toml", "is the file right?"),
    ),
    "health": (("tollspan health --watch", "a line for each change"),),
    "prices": (
        ("tollspan prices gpt-4o-mini", "every rate, and who says so"),
        ("tollspan prices gpt-4o --provider azure", "of another than its maker"),
    ),
    "reprice": (
        ("tollspan reprice --since 2026-01-31 --dry-run", "only show the difference"),
        ("tollspan reprice --since 2026-01-31 --model gpt-4o", "asks before it writes"),
    ),
    "points": (
        ("tollspan points --last 24h", "where counts of tokens differ, by model and gateway"),
    ),
    "reconcile": (
        ("tollspan reconcile openai-costs.json --tolerance 1%", "exit code 1 beyond one percent"),
    ),
    "wire": (
        ("tollspan wire list --since 1h --status 4xx", "what was refused"),
        ("tollspan wire replay --port 8080", "serve it again, as a base_url"),
    ),
    "import": (
        ("tollspan import records calls.jsonl", "calls that were written down"),
        ("tollspan import litellm spend.json --dry-run", "only say what is wrong with it"),
    ),
    "doctor": (
        ("tollspan doctor", "exit code 1 if something is bad"),
        ("TOLLSPAN_DOCTOR=- tollspan run -- python app.py", "of one program, at its exit"),
    ),
    "api": (("tollspan api --clickhouse http://clickhouse:8123/tollspan", ""),),
}

_WIDTH = 78


def explain(parsers: Mapping[str, argparse.ArgumentParser], about: Mapping[str, str]) -> None:
    """Give each command in `parsers` a description, by default its line in `about`, and examples."""
    for name, parser in parsers.items():
        said = parser.description or about.get(name, "")
        parser.description = textwrap.fill(said[:1].upper() + said[1:], _WIDTH)
        parts = [textwrap.fill(parser.epilog, _WIDTH)] if parser.epilog else []
        if examples := EXAMPLES.get(name):
            parts.append("\n".join(["examples:", *map(_line, examples)]))
        parser.epilog = "\n\n".join(parts)
        parser.formatter_class = argparse.RawDescriptionHelpFormatter


def _line(example: tuple[str, str]) -> str:
    typed, does = example
    return f"  {typed}\n      {does}" if does else f"  {typed}"
