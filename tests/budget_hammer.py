"""Asks a provider until a budget refuses, from as many processes as are wanted, forked when all is set up.

python budget_hammer.py BASE_URL LOG PROCESSES

Every call that ends adds a line `pid cost` to LOG.
"""

from __future__ import annotations

import os
import signal
import sys

import openai

import tollspan
from tollspan import calls, semconv

PROMPT = "count to ten " * 160
MAX_TOKENS = 400


def hammer(base_url: str, log: int) -> None:
    def note(call: calls.OpenCall) -> None:
        assert calls.price is not None, "averages would be held back"
        cost = call.attributes.get(semconv.COST_AMOUNT)
        if cost is not None:
            os.write(log, f"{os.getpid()} {cost!r}\n".encode())

    calls.on_after(note)
    with openai.OpenAI(base_url=base_url, api_key="k", max_retries=0) as client:
        while True:
            try:
                client.chat.completions.create(
                    model="gpt-4o-mini",
                    messages=[{"role": "user", "content": PROMPT}],
                    max_tokens=MAX_TOKENS,
                )
            except tollspan.BudgetExceeded:
                return


def main(base_url: str, path: str, processes: int) -> int:
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    tollspan.instrument()
    children = []
    for _ in range(processes):
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            hammer(base_url, log)
            tollspan.uninstrument()
            os._exit(0)
        children.append(child)
    print(*children, flush=True)
    return max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
