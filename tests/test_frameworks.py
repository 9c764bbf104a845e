"""Frameworks reach the SDKs below: one owner for each answer, the framework's own spans restate it.

Runs where the frameworks are installed (`.venv-beside`), in a process each.
"""

from __future__ import annotations

import pytest
from besides import asked

from tollspan import semconv

FRAMEWORKS = {
    "langchain+openinference": ("langchain_openai", "openinference.instrumentation.langchain"),
    "langchain+openllmetry": ("langchain_openai", "opentelemetry.instrumentation.langchain"),
    "langchain+openinference+sdk": (
        "langchain_openai",
        "openinference.instrumentation.langchain",
        "openinference.instrumentation.openai",
    ),
    "langchain+openinference+openllmetry": (
        "langchain_openai",
        "openinference.instrumentation.langchain",
        "opentelemetry.instrumentation.langchain",
    ),
    "langgraph+openinference": ("langgraph", "openinference.instrumentation.langchain"),
    "pydantic-ai": ("pydantic_ai",),
    "openai-agents+openinference": ("agents", "openinference.instrumentation.openai_agents"),
    "llama-index+openinference": (
        "llama_index.llms.openai",
        "openinference.instrumentation.llama_index",
    ),
    "crewai": ("crewai",),
    "dspy": ("dspy", "litellm"),
}
TELL_USAGE = {
    "langchain+openinference",
    "langchain+openllmetry",
    "langgraph+openinference",
    "pydantic-ai",
    "llama-index+openinference",
}


@pytest.mark.slow
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_one_owner_per_answer_and_the_framework_restates(framework: str) -> None:
    for call in asked(framework, "ours", *FRAMEWORKS[framework]):
        said = [span["attributes"] for span in call["spans"]]
        (owner,) = [each for each in said if semconv.COST_AMOUNT in each]
        assert owner[semconv.COST_AMOUNT] == pytest.approx(call["truth_usd"]), call
        tokens = sum(each.get(semconv.INPUT_TOKENS, 0) for each in said)
        assert tokens == call["truth_input_tokens"], call
        assert call["tokens_counted"] == call["truth_input_tokens"], "our metric"
        if framework in TELL_USAGE:
            theirs = [
                span["attributes"]
                for span in call["spans"]
                if span["scope"] not in (semconv.SCOPE, "com.anthropic.sdk.python")
                and span["attributes"].get(semconv.COST_ROLE) == "restated"
            ]
            assert theirs, call
            assert theirs[0][semconv.RESTATED_INPUT_TOKENS] == 1000
