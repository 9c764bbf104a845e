"""The sample application of docker-compose.yml: a shop whose pages ask models, one visit a second.

It knows OpenTelemetry as the user of `opentelemetry-instrument` does, and tollspan by `attribute`.
"""

from __future__ import annotations

import os
import random
import time

import openai

import tollspan

PAGES = ("checkout.ai_summary", "search.rerank", "support.chat")
TENANTS = ("acme", "globex", "initech")

direct = openai.OpenAI(base_url=os.environ["SHOP_PROVIDER"], api_key="none")
gateway = openai.OpenAI(base_url=os.environ["SHOP_GATEWAY"], api_key="none")


def visit(rand: random.Random) -> None:
    """One page: a call straight to the provider, or one through the proxy."""
    page, tenant = rand.choice(PAGES), rand.choice(TENANTS)
    client, model = rand.choice([(direct, "gpt-4o-mini"), (gateway, "fast"), (gateway, "good")])
    with tollspan.attribute(endpoint=page, prompt=page, prompt_version="v2", tenant=tenant):
        try:
            client.chat.completions.create(
                model=model, messages=[{"role": "user", "content": f"Sum up {page}"}]
            )
        except openai.APIError as error:
            print(f"{page}: {type(error).__name__}", flush=True)


if __name__ == "__main__":
    rand = random.Random(7)
    while True:
        visit(rand)
        time.sleep(1)
