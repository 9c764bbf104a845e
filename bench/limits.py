"""What holding a call to a budget costs it: allowed, and refused.

python -m bench.limits [--check]

In one process, CPU time, the least of several rounds. `allowed`: everything that the hooks do before
a call leaves and when it has ended, its count shared through a file with a lock as in production,
its filters asked, its upper estimate made from the price book; with one budget, with three of which
one is meant, with two that both are meant, and for a conversation of 20 messages. `refused`: from the hook's being asked to the
exception in the caller's hands. `refused_call`: all of a refused call from the openai SDK's
`request` on, its span made and ended. Results go to `bench/results/limits.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import TracerProvider

from tollspan import calls, semconv
from tollspan.limits.budgets import Keeper
from tollspan.limits.budgets_exceeded import BudgetExceeded
from tollspan.limits.budgets_file import Budget
from tollspan.processors.asking_price import asking_price

RESULTS = Path(__file__).parent / "results"
GOALS_US = {
    "allowed": 10.0,
    "allowed_two_meant": 10.0,
    "allowed_20_messages": 10.0,
    "refused": 30.0,
}
"""Most microseconds of CPU."""
ROUNDS, CALLS = 30, 1000


class _Sending:
    """A request as the openai SDK's clients show it."""

    def __init__(self, messages: int) -> None:
        texts = [
            "Summarise what the customer asked for in two sentences, and name the product."
        ] * 3
        self.body: dict[str, Any] = {
            "model": "gpt-4o-mini",
            "max_tokens": 300,
            "messages": [{"role": "user", "content": " ".join(texts)}] * messages,
        }

    def send(self, body: Any) -> bool:
        return False


def _call(messages: int = 1) -> calls.OpenCall:
    span = TracerProvider().get_tracer("bench").start_span("chat")
    made = calls.OpenCall(span, time.time_ns())
    made.sending = _Sending(messages)
    made.attributes = {
        semconv.OPERATION: "chat",
        semconv.PROVIDER: "openai",
        semconv.REQUEST_MODEL: "gpt-4o-mini",
        semconv.REQUEST_MAX_TOKENS: 300,
        semconv.DATA_MODE: "real",
        semconv.TENANT: "acme",
        semconv.ENDPOINT_TAG: "checkout.summary",
        semconv.TAG_PREFIX + "team": "growth",
        semconv.STATUS: "success",
        semconv.COST_ROLE: "owner",
        semconv.COST_GRADE: "derived",
        semconv.COST_AMOUNT: 0.000189,
    }
    return made


def _least_us(act: Callable[[], None]) -> float:
    found = []
    for _ in range(ROUNDS):
        began = time.process_time_ns()
        for _ in range(CALLS):
            act()
        found.append((time.process_time_ns() - began) / CALLS / 1000)
    return min(found)


@contextmanager
def _kept(*budgets: Budget) -> Iterator[Keeper]:
    with tempfile.TemporaryDirectory() as folder:
        keeper = Keeper(budgets, folder=Path(folder))
        try:
            yield keeper
        finally:
            keeper.stop()


def allowed(messages: int, *budgets: Budget) -> float:
    call = _call(messages)
    with _kept(*budgets) as keeper:

        def once() -> None:
            keeper.before(call)
            keeper.after(call)

        return _least_us(once)


def refused() -> float:
    call = _call()
    with _kept(Budget("growth", Decimal("0.000001"), {"tag.team": "growth"}, action="refuse")) as k:
        k.before(call)
        k.after(call)

        def once() -> None:
            try:
                k.before(call)
            except BudgetExceeded:
                return
            raise SystemExit("it was not refused")

        return _least_us(once)


def refused_call() -> float:
    """A call of the real SDK from its watched method on: opened, asked about, refused, its span
    ended."""
    import openai
    from openai._models import FinalRequestOptions
    from openai.types.chat import ChatCompletion

    from tollspan import instrumentation
    from tollspan.processors.spans import adopt_provider

    client = openai.OpenAI(api_key="k", max_retries=0, base_url="http://127.0.0.1:9")
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
    options = FinalRequestOptions.construct(
        method="post", url="/chat/completions", json_data={**body, "max_tokens": 9}
    )

    def once() -> None:
        try:
            client.request(ChatCompletion, options)
        except BudgetExceeded:
            return
        raise SystemExit("it was not refused")

    provider = TracerProvider()
    undo = adopt_provider(provider)
    instrumentation.instrument(provider, ["openai"])
    try:
        with _kept(Budget("all", Decimal("0.000001"), action="refuse")) as keeper:
            paid = _call()
            keeper.before(paid)
            keeper.after(paid)
            return _least_us(once)
    finally:
        instrumentation.uninstrument()
        undo()


def measured() -> dict[str, float]:
    """Microseconds of CPU by what was measured."""
    calls.price = asking_price
    everything = Budget("all", Decimal(10**6), action="refuse")
    growth = Budget("growth", Decimal(500), {"tag.team": "growth"}, action="refuse")
    others = [
        Budget(name, Decimal(500), {"tenant": name}, action="refuse")
        for name in ("globex", "hooli")
    ]
    found = {
        "allowed": allowed(1, growth),
        "allowed_one_of_three": allowed(1, growth, *others),
        "allowed_two_meant": allowed(1, everything, growth),
        "allowed_20_messages": allowed(20, growth),
        "refused": refused(),
        "refused_call": refused_call(),
    }
    return {name: round(each, 2) for name, each in found.items()}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.limits")
    parser.add_argument("--check", action="store_true", help="exit code 1 where a goal is missed")
    options = parser.parse_args()
    found = measured()
    met = {name: found[name] < most for name, most in GOALS_US.items()}
    told = {
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
        "unit": "us of CPU",
        "us": found,
        "goals_us": GOALS_US,
        "met": met,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "limits.json").write_text(json.dumps(told, indent=1) + "\n")
    print(json.dumps(told, indent=1))
    return 1 if options.check and not all(met.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
