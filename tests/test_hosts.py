"""Whose host it is that a client talks to, and that the name it gets has prices."""

from __future__ import annotations

import pytest

from tollspan import semconv
from tollspan.instrumentation._hosts import provider_at, server
from tollspan.processors.settle import settle

KNOWN = [
    # host, gen_ai.provider.name, a model of the price book there (None: the book has no such seller)
    ("api.openai.com", "openai", "gpt-4o-mini"),
    ("eu.api.openai.com", "openai", "gpt-4o-mini"),
    ("acme.openai.azure.com", "azure.ai.openai", "gpt-4o-mini"),
    ("acme.services.ai.azure.com", "azure.ai.inference", "gpt-4o-mini"),
    ("api.anthropic.com", "anthropic", "claude-sonnet-4-5"),
    ("api.deepseek.com", "deepseek", "deepseek-chat"),
    ("api.cerebras.ai", "cerebras", "gpt-oss-120b"),
    ("api.fireworks.ai", "fireworks", "accounts/fireworks/models/gpt-oss-120b"),
    ("openrouter.ai", "openrouter", "openai/gpt-4o-mini"),
    ("api.perplexity.ai", "perplexity", "sonar"),
    ("api.together.xyz", "together_ai", "openai/gpt-oss-120b"),
    ("api.groq.com", "groq", "llama-3.3-70b-versatile"),
    ("api.x.ai", "x_ai", "grok-4"),
    ("us-east-1.api.x.ai", "x_ai", "grok-4"),
    ("api.mistral.ai", "mistral_ai", "mistral-large-latest"),
    ("api.cohere.com", "cohere", "command-r-plus"),
    ("api.moonshot.ai", "moonshot_ai", "kimi-k2-0711-preview"),
    ("api.z.ai", "zai", "glm-4.6"),
    ("open.bigmodel.cn", "zhipuai", "glm-4-plus"),
    ("api.novita.ai", "novita", "deepseek/deepseek-r1"),
    ("inference.baseten.co", "baseten", "openai/gpt-oss-120b"),
    ("model-abc.api.baseten.co", "baseten", "openai/gpt-oss-120b"),
    ("api.cloudflare.com", "cloudflare", "@cf/openai/gpt-oss-120b"),
    ("dbc-1.cloud.databricks.com", "databricks", "databricks-gpt-oss-120b"),
    ("adb-1.2.azuredatabricks.net", "databricks", "databricks-gpt-oss-120b"),
    ("oai.endpoints.kepler.ai.cloud.ovh.net", "ovhcloud", "gpt-oss-120b"),
    ("acme--x.modal.run", "modal", None),
    ("api.githubcopilot.com", "github_copilot", "gpt-5-mini"),
    ("api.voyageai.com", "voyage", "voyage-3.5"),
    ("generativelanguage.googleapis.com", "gcp.gemini", "gemini-2.5-flash"),
    ("us-east5-aiplatform.googleapis.com", "gcp.vertex_ai", "gemini-2.5-flash"),
    ("bedrock-runtime.eu-west-1.amazonaws.com", "aws.bedrock", "amazon.nova-lite-v1:0"),
    ("bedrock-mantle.us-east-1.api.aws", "aws.bedrock", None),
    ("integrate.api.nvidia.com", "nvidia", None),
    ("api.deepinfra.com", "deepinfra", None),
    ("api.sambanova.ai", "sambanova", None),
    ("api.hyperbolic.xyz", "hyperbolic", None),
    ("models.github.ai", "github", None),
    ("router.huggingface.co", "huggingface", None),
    ("xyz.us-east-1.aws.endpoints.huggingface.cloud", "huggingface", None),
    ("dashscope-intl.aliyuncs.com", "alibaba_cloud", None),
    ("ark.cn-beijing.volces.com", "volcengine", None),
    ("api.lambda.ai", "lambda", None),
    ("api.friendli.ai", "friendli", None),
    ("api.studio.nebius.com", "nebius", None),
    ("api.siliconflow.cn", "siliconflow", None),
    ("us-south.ml.cloud.ibm.com", "ibm.watsonx.ai", None),
    ("ai-gateway.vercel.sh", "vercel", None),
]


@pytest.mark.parametrize(("host", "name", "model"), KNOWN, ids=[host for host, _, _ in KNOWN])
def test_a_known_host_names_its_provider_which_has_prices(
    host: str, name: str, model: str | None
) -> None:
    assert provider_at(host) == provider_at(host.upper() + ".") == name
    if model is not None:
        call = {
            semconv.PROVIDER: name,
            semconv.OPERATION: "chat",
            semconv.STATUS: "success",
            semconv.REQUEST_MODEL: model,
            semconv.RESPONSE_MODEL: model,
            semconv.INPUT_TOKENS: 1000,
            semconv.OUTPUT_TOKENS: 10,
        }
        assert settle(call).attributes[semconv.COST_AMOUNT] > 0


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "127.0.0.1",
        "vllm",
        "llm.corp",
        "api.openai.com.evil.test",
        "openai.azure.com.evil.test",
        "notapi.deepseek.com.test",
        "xapi.x.ai",
        "dashscope.aliyuncs.com.test",
    ],
)
def test_any_other_host_names_nobody(host: str) -> None:
    assert provider_at(host) is None


def test_an_address_has_the_port_of_its_scheme() -> None:
    assert server("http://vllm:8000/v1") == ("vllm", 8000)
    assert server("https://api.deepseek.com/v1") == ("api.deepseek.com", 443)
    assert server("http://vllm/v1") == ("vllm", 80)
