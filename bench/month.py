"""How far off `MONTH END` is, over months that are known to their end: `python -m bench.month`.

Each kind of month is made of calls an hour with costs of a long tail, after four weeks of the same or from
nothing. It is asked for on several days, and compared with what the month cost: the median of how far off
the middle is, its mean (above 0: too high), how many months end inside the range, and how wide that is, all
as parts of what the month cost. `plain` is the mean without the pause before the first call.
Results go to `bench/results/month.json`; the same on every machine.
"""

from __future__ import annotations

import json
import math
import random
import statistics
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

from tollspan.local.usage_pace import DAY_S, MOST_DAYS, WEEK_S, off, pace_s

RESULT = Path(__file__).parent / "results" / "month.json"
MONTHS = 200
BEFORE, MONTH, ASKED_H = 28 * 24, 30 * 24, 13
"""Hours: of the ledger before the month, of the month, and of the day at which somebody asks."""
ON = (1, 2, 4, 9, 16, 23, 28)
"""Whole days of the month that have passed."""
KINDS = {
    "even": "4 calls an hour, day and night",
    "office": "as even, most of them in the hours of an office, few on Saturday and Sunday",
    "sparse": "a call a day, as an office",
    "spike": "as office, 25 times as much for six hours of the month",
    "growth": "as office, a tenth more each week",
    "joins": "as office, 60 % more from a day of the month on",
    "leaves": "as office, 40 % less from a day of the month on",
}


def hours(kind: str, rand: random.Random) -> list[tuple[int, float]]:
    """Calls of each hour, and what they cost, of the time before and of the month."""
    change = BEFORE + rand.randrange(MONTH)
    first_weekday = rand.randrange(7)
    made = []
    for hour in range(BEFORE + MONTH):
        rate = 0.04 if kind == "sparse" else 4.0
        if kind != "even":
            rate *= 1.6 if 8 <= hour % 24 < 18 else 0.5
            rate *= 1.0 if (hour // 24 + first_weekday) % 7 < 5 else 0.25
        if kind == "spike" and change <= hour < change + 6:
            rate *= 25
        if kind == "growth":
            rate *= 1.1 ** ((hour - BEFORE) / 168)
        if hour >= change:
            rate *= {"joins": 1.6, "leaves": 0.6}.get(kind, 1.0)
        number = _poisson(rate, rand)
        made.append((number, sum(rand.lognormvariate(0.0, 1.0) for _ in range(number))))
    return made


def _poisson(rate: float, rand: random.Random) -> int:
    number, left = 0, rand.expovariate(rate)
    while left < 1:
        number, left = number + 1, left + rand.expovariate(rate)
    return number


def _spent(part: list[tuple[int, float]]) -> float:
    return math.fsum(usd for _, usd in part)


def asked(run: list[tuple[int, float]], begin: int, now: int) -> dict[str, float | None] | None:
    """Where the month is said to end, of a ledger that begins at `begin`; None before its first call."""
    seen = max(begin, min(BEFORE, now - 336))
    first = next((hour for hour in range(seen, now) if run[hour][0]), None)
    if first is None:
        return None
    since_s, left_s = (now - first) * 3600, (len(run) - now) * 3600
    week = run[max(begin, now - 168) : now]
    calls = sum(number for number, _ in week)
    over_s = pace_s(since_s, calls)
    days = [
        Decimal(_spent(run[now - 24 * (age + 1) : now - 24 * age]))
        for age in range(min(MOST_DAYS, since_s // DAY_S))
    ]
    around = off(days, left_s, over_s)
    rest = _spent(week) * left_s / float(over_s)
    return {
        "rest": rest,
        "plain": _spent(week) * left_s / min(WEEK_S, max(DAY_S, since_s)),
        "off": None if around is None else float(around),
    }


def measured(runs: list[list[tuple[int, float]]], is_new: bool, on: int) -> dict[str, Any]:
    """How far off the ends of `runs` are that are asked for after `on` days."""
    middle, plain, inside, wide = [], [], [], []
    for run in runs:
        begin, now = (BEFORE if is_new else 0), BEFORE + 24 * on + ASKED_H
        found = asked(run, begin, now)
        whole = _spent(run[BEFORE:])
        if found is None or not whole:
            continue
        rest = _spent(run[now:])
        assert found["rest"] is not None and found["plain"] is not None
        middle.append((found["rest"] - rest) / whole)
        plain.append((found["plain"] - rest) / whole)
        if (around := found["off"]) is not None:
            inside.append(max(0.0, found["rest"] - around) <= rest <= found["rest"] + around)
            wide.append(2 * around / whole)
    return {
        "months": len(middle),
        "median_off": round(statistics.median(map(abs, middle)), 3),
        "mean": round(statistics.fmean(middle), 3),
        "plain_mean": round(statistics.fmean(plain), 3),
        "with_range": len(inside),
        "inside": round(statistics.fmean(inside), 2) if inside else None,
        "wide": round(statistics.median(wide), 3) if wide else None,
    }


def main() -> int:
    made: dict[str, Any] = {"months_each": MONTHS, "kinds": KINDS, "asked": {}}
    print(f"{'':8}{'ledger':>8}{'day':>5}{'off':>7}{'mean':>8}{'plain':>8}{'inside':>8}{'wide':>7}")
    for kind in KINDS:
        runs = [hours(kind, random.Random(f"{kind} {number}")) for number in range(MONTHS)]
        for ledger in ("old", "new"):
            for on in ON:
                found = measured(runs, ledger == "new", on)
                made["asked"][f"{kind} | {ledger} ledger | day {on + 1}"] = found
                inside, wide = (
                    "–" if found[name] is None else f"{found[name]:.0%}"
                    for name in ("inside", "wide")
                )
                print(
                    f"{kind:8}{ledger:>8}{on + 1:>5}{found['median_off']:>7.1%}{found['mean']:>+8.1%}"
                    f"{found['plain_mean']:>+8.1%}{inside:>8}{wide:>7}"
                )
    RESULT.write_text(json.dumps(made, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
