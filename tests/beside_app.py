"""An application that somebody else watches too: asks models, and prints what was told of each call.

    python beside_app.py NAME ours|theirs     who is switched on first
    python beside_app.py NAME alone           without us, within a request each

Not a test: tests run it in a process of its own, because instrumentors change SDKs for good.
Prints a JSON list: `{"asked", "truth_usd", "truth_input_tokens", "otlp", "spans", "tokens_counted"}`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import threading
from base64 import b64encode
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

os.environ |= {
    "ANTHROPIC_API_KEY": "test",
    "CREWAI_DISABLE_TELEMETRY": "true",
    "LANGFUSE_TRACING_ENVIRONMENT": "test",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "OPENAI_AGENTS_DISABLE_TRACING": "0" if "alone" in sys.argv else "1",
    "OPENAI_API_KEY": "test",
    "OTEL_SDK_DISABLED": "false",
    "TOLLSPAN_RAISE": "1",
}

from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import tollspan
from tollspan.chaos import Chaos, ok

MESSAGES = [{"role": "user", "content": "hi"}]
GPT, CLAUDE = "gpt-4o", "claude-sonnet-4-5"
PRICES = {GPT: Decimal("0.0035"), CLAUDE: Decimal("0.0045")}
"""Of 1,000 tokens in and 100 out."""

exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
provider: Any = TracerProvider()
meter_provider = MeterProvider([reader])
Questions = list[tuple[str, str, Callable[[], Any]]]
"""Name, model, and what asks."""


def ours() -> None:
    tollspan.instrument(tracer_provider=provider, meter_provider=meter_provider)


# --- other instrumentations -----------------------------------------------------------------------


def openinference() -> None:
    from openinference.instrumentation.anthropic import AnthropicInstrumentor
    from openinference.instrumentation.openai import OpenAIInstrumentor

    OpenAIInstrumentor().instrument(tracer_provider=provider)
    AnthropicInstrumentor().instrument(tracer_provider=provider)


def openllmetry() -> None:
    from opentelemetry.instrumentation.anthropic import AnthropicInstrumentor
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor

    OpenAIInstrumentor().instrument(tracer_provider=provider)
    AnthropicInstrumentor().instrument(tracer_provider=provider)


def official() -> None:
    from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor

    OpenAIInstrumentor().instrument(tracer_provider=provider)


def openlit() -> None:
    import openlit as package

    with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as prices:
        prices.write("{}")
    others = ("agno", "crewai", "dspy", "langchain", "litellm", "llama_index", "pydantic_ai")
    package.init(
        disable_metrics=True,
        disable_events=True,
        capture_message_content=False,
        pricing_json=prices.name,
        disabled_instrumentors=[*others, "httpx", "requests", "urllib", "urllib3"],
    )


def logfire() -> None:
    import logfire as package

    package.instrument_openai()
    package.instrument_anthropic()


def langfuse() -> None:
    """With a server that takes what it sends: where nobody answers, each flush tries for seconds."""
    import langfuse as package

    server = ThreadingHTTPServer(("127.0.0.1", 0), _Taking)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    package.Langfuse(
        public_key="pk",
        secret_key="sk",
        base_url=f"http://127.0.0.1:{server.server_port}",
        tracer_provider=provider,
        tracing_enabled=True,
    )


class _Taking(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


def openinference_litellm() -> None:
    from openinference.instrumentation.litellm import LiteLLMInstrumentor
    from openinference.instrumentation.openai import OpenAIInstrumentor

    LiteLLMInstrumentor().instrument(tracer_provider=provider)
    OpenAIInstrumentor().instrument(tracer_provider=provider)


def openinference_langchain() -> None:
    from openinference.instrumentation.langchain import LangChainInstrumentor

    LangChainInstrumentor().instrument(tracer_provider=provider)


def openllmetry_langchain() -> None:
    from opentelemetry.instrumentation.langchain import LangchainInstrumentor

    LangchainInstrumentor().instrument(tracer_provider=provider)


def openinference_agents() -> None:
    from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor

    OpenAIAgentsInstrumentor().instrument(tracer_provider=provider)


def openinference_llama_index() -> None:
    from openinference.instrumentation.llama_index import LlamaIndexInstrumentor

    LlamaIndexInstrumentor().instrument(tracer_provider=provider)


def nobody() -> None:
    """The framework watches itself, or nobody does."""


# --- applications ---------------------------------------------------------------------------------


def sdks(chaos: Chaos) -> Questions:
    import anthropic
    import openai

    made: Any = openai.OpenAI
    if sys.argv[1] == "langfuse":
        from langfuse.openai import OpenAI as made
    client = made(base_url=chaos.openai_base_url)
    claude = anthropic.Anthropic(base_url=chaos.anthropic_base_url)
    chat, messages = client.chat.completions.create, claude.messages.create
    streamed = {"stream": True, "stream_options": {"include_usage": True}}
    asked = {"model": CLAUDE, "max_tokens": 99, "messages": MESSAGES}

    async def of_async() -> None:
        asking = openai.AsyncOpenAI(base_url=chaos.openai_base_url)
        await asking.chat.completions.create(model=GPT, messages=MESSAGES)  # type: ignore[arg-type]

    return [
        ("chat", GPT, lambda: chat(model=GPT, messages=MESSAGES)),
        ("chat stream", GPT, lambda: list(chat(model=GPT, messages=MESSAGES, **streamed))),
        ("chat async", GPT, lambda: asyncio.run(of_async())),
        ("responses", GPT, lambda: client.responses.create(model=GPT, input="hi")),
        ("messages", CLAUDE, lambda: messages(**asked)),
        ("messages stream", CLAUDE, lambda: list(messages(**asked, stream=True))),
    ]


def litellm(chaos: Chaos) -> Questions:
    import litellm as library

    at = {"model": f"openai/{GPT}", "api_base": chaos.openai_base_url, "messages": MESSAGES}
    streamed = {"stream": True, "stream_options": {"include_usage": True}}
    return [
        ("completion", GPT, lambda: library.completion(**at)),
        ("completion stream", GPT, lambda: list(library.completion(**at, **streamed))),
        ("acompletion", GPT, lambda: asyncio.run(library.acompletion(**at))),
    ]


def langchain(chaos: Chaos) -> Questions:
    from langchain_anthropic import ChatAnthropic
    from langchain_openai import ChatOpenAI

    gpt: Any = ChatOpenAI(model=GPT, base_url=chaos.openai_base_url)
    claude: Any = ChatAnthropic(model=CLAUDE, base_url=chaos.anthropic_base_url)
    return [
        ("invoke", GPT, lambda: gpt.invoke("hi")),
        ("ainvoke", GPT, lambda: asyncio.run(gpt.ainvoke("hi"))),
        ("stream", GPT, lambda: list(gpt.stream("hi", stream_usage=True))),
        ("claude", CLAUDE, lambda: claude.invoke("hi")),
        ("claude stream", CLAUDE, lambda: list(claude.stream("hi"))),
    ]


def langgraph(chaos: Chaos) -> Questions:
    from langchain_openai import ChatOpenAI
    from langgraph.graph import END, START, StateGraph

    model = ChatOpenAI(model=GPT, base_url=chaos.openai_base_url)

    async def node(state: dict[str, Any]) -> dict[str, Any]:
        return {"said": (await model.ainvoke("hi")).content}

    graph: Any = StateGraph(dict)
    graph.add_node("one", node)
    graph.add_edge(START, "one")
    graph.add_edge("one", END)
    return [("graph", GPT, lambda: asyncio.run(graph.compile().ainvoke({})))]


def pydantic_ai(chaos: Chaos) -> Questions:
    from pydantic_ai import Agent, InstrumentationSettings
    from pydantic_ai.capabilities import Instrumentation
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    model = OpenAIChatModel(
        GPT, provider=OpenAIProvider(base_url=chaos.openai_base_url, api_key="k")
    )
    watched = Instrumentation(settings=InstrumentationSettings(tracer_provider=provider))
    agent = Agent(model, capabilities=[watched])
    return [("agent", GPT, lambda: agent.run_sync("hi"))]


def openai_agents(chaos: Chaos) -> Questions:
    import agents
    import openai

    client = openai.AsyncOpenAI(base_url=chaos.openai_base_url)
    agents.set_default_openai_client(client)
    agent = agents.Agent(name="a", model=GPT)
    return [("agent", GPT, lambda: agents.Runner.run_sync(agent, "hi"))]


def llama_index(chaos: Chaos) -> Questions:
    from llama_index.llms.openai import OpenAI

    model = OpenAI(model=GPT, api_base=chaos.openai_base_url)
    return [("complete", GPT, lambda: model.complete("hi"))]


def crewai(chaos: Chaos) -> Questions:
    from crewai import LLM

    model = LLM(model=f"openai/{GPT}", base_url=chaos.openai_base_url)
    return [("call", GPT, lambda: model.call("hi"))]


def dspy(chaos: Chaos) -> Questions:
    import dspy as library

    model = library.LM(
        f"openai/{GPT}", api_base=chaos.openai_base_url, api_key="k", cache=False, engine="litellm"
    )
    return [("lm", GPT, lambda: model("hi"))]


APPS: dict[str, tuple[Callable[[], None], Callable[[Chaos], Questions]]] = {
    "openinference": (openinference, sdks),
    "openllmetry": (openllmetry, sdks),
    "official": (official, sdks),
    "openlit": (openlit, sdks),
    "logfire": (logfire, sdks),
    "langfuse": (langfuse, sdks),
    "litellm+openinference": (openinference_litellm, litellm),
    "langchain+openinference": (openinference_langchain, langchain),
    "langchain+openllmetry": (openllmetry_langchain, langchain),
    "langchain+openinference+sdk": (
        lambda: (openinference_langchain(), openinference())[0],
        langchain,
    ),
    "langchain+openinference+openllmetry": (
        lambda: (openinference_langchain(), openllmetry_langchain())[0],
        langchain,
    ),
    "langgraph+openinference": (openinference_langchain, langgraph),
    "pydantic-ai": (nobody, pydantic_ai),
    "openai-agents+openinference": (openinference_agents, openai_agents),
    "llama-index+openinference": (openinference_llama_index, llama_index),
    "crewai": (nobody, crewai),
    "dspy": (nobody, dspy),
}


def told() -> list[dict[str, Any]]:
    provider.force_flush()
    spans = exporter.get_finished_spans()
    exporter.clear()
    return [
        {
            "scope": span.instrumentation_scope.name if span.instrumentation_scope else "",
            "name": span.name,
            "span_id": f"{span.context.span_id:016x}" if span.context else "",
            "attributes": {
                name: value
                for name, value in (span.attributes or {}).items()
                if isinstance(value, (str, int, float)) and len(str(value)) < 200
            },
        }
        for span in spans
    ]


def of_a_request() -> AbstractContextManager[Any]:
    """A span around a question, as a web framework's instrumentation makes it."""
    return trace.get_tracer("app", tracer_provider=provider).start_as_current_span(
        "POST /ask", kind=trace.SpanKind.SERVER
    )


def otlp() -> str:
    """What was told as it travels to a collector, in base64."""
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    provider.force_flush()
    return b64encode(encode_spans(exporter.get_finished_spans()).SerializeToString()).decode()


def tokens_counted() -> float:
    """Input tokens in our metric so far."""
    found = 0.0
    data = reader.get_metrics_data()
    for resource in data.resource_metrics if data is not None else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                if metric.name == "gen_ai.client.token.usage":
                    for point in metric.data.data_points:
                        if (point.attributes or {}).get("gen_ai.token.type") == "input":
                            found += getattr(point, "sum", 0)
    return found


def main() -> None:
    global provider
    theirs, app = APPS[sys.argv[1]]
    if sys.argv[1] == "logfire":
        import logfire as package

        package.configure(
            send_to_logfire=False,
            console=False,
            additional_span_processors=[SimpleSpanProcessor(exporter)],
        )
        provider = None
    else:
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        trace.set_tracer_provider(provider)
    switches = {"ours": (ours, theirs), "theirs": (theirs, ours), "alone": (theirs,)}
    for switch in switches[sys.argv[2]]:
        switch()
    if provider is None:
        provider = trace.get_tracer_provider()
    alone = sys.argv[2] == "alone"
    found = []
    with Chaos(default=ok(input_tokens=1000, output_tokens=100)) as chaos:
        for name, model, ask in app(chaos):
            before, counted = len(chaos.log), tokens_counted()
            with of_a_request() if alone else nullcontext():
                ask()
            answers = len(chaos.log) - before
            found.append(
                {
                    "asked": name,
                    "truth_usd": float(PRICES[model] * answers),
                    "truth_input_tokens": 1000 * answers,
                    "otlp": otlp() if alone else "",
                    "spans": told(),
                    "tokens_counted": tokens_counted() - counted,
                }
            )
    print("\n" + json.dumps(found))


if __name__ == "__main__":
    main()
