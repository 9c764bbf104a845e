"""Every SDK that can be watched: one table, from which entry points, tests and the README derive.

A row knows of an SDK only what must be known before it is imported. How its calls are read stands
in the module of the row, which is imported when the application imports the SDK.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ._spec import Provider

__all__ = ["SDKS", "Sdk", "installed_versions"]


class Sdk(NamedTuple):
    """One SDK, and the module that declares how it is watched."""

    name: str
    """In `instrument(providers=[...])`, of its module here, and after `tollspan_` of its entry point."""
    package: str
    """Import name that all of its patched modules are below; its import brings the watching in."""
    requires: Sequence[str]
    """Supported versions, as PEP 508 requirements (`openai >= 1.40`): the oldest that is tested."""
    title: str
    """What people call it, for the README."""
    covers: str
    """What of it is watched, for the README."""
    also: Sequence[str] = ()
    """More packages whose import brings the watching in: a namespace package is not seen to be
    imported, only what is in it."""
    module: str = ""
    """Declares `PROVIDER`, by absolute name; by default the module `name` of this package."""

    def provider(self) -> Provider:
        """How its calls are read. Imports the declaring module, never the SDK."""
        declared: Provider = import_module(self.module or f"{__package__}.{self.name}").PROVIDER
        return declared

    def missing(self, installed: Mapping[str, str] | None = None) -> str | None:
        """The first requirement that is not met, in words; None where all are.

        Args:
            installed: as `installed_versions` gives it, for who asks of many.
        """
        found = installed_versions() if installed is None else installed
        for each in self.requires:
            name, _, floor = (part.strip() for part in each.partition(">="))
            version = found.get(_normal(name)) or self._version(name)
            if version is None:
                return f"{name} is not installed"
            if floor and _numbers(version) < _numbers(floor):
                return f"{name} {version} is older than {floor}, the oldest that is supported"
        return None

    def _version(self, name: str) -> str | None:
        """For what is installed in another way: an egg, a zip file."""
        if find_spec(self.package.partition(".")[0]) is None:
            return None  # the next line takes 10 ms to import
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version(name)
        except PackageNotFoundError:
            return None


def installed_versions() -> dict[str, str]:
    """Version of each installed distribution by its normal name, read off the names of folders.

    `importlib.metadata.version` reads and parses a file for each, which for all SDKs takes longer
    than importing the engine.
    """
    found: dict[str, str] = {}
    for folder in reversed(sys.path):  # what comes first is what is imported
        with suppress(OSError):
            for name in os.listdir(folder or "."):
                if name.endswith(".dist-info"):
                    distribution, _, version = name.removesuffix(".dist-info").partition("-")
                    found[_normal(distribution)] = version
    return found


def _normal(name: str) -> str:
    plain = name.lower().replace("_", "-").replace(".", "-")
    return re.sub("-+", "-", plain) if "--" in plain else plain


def _numbers(version: str) -> list[int]:
    """The release of `version`: `1.40.0rc1` is 1, 40, 0."""
    return [int(part) for part in re.findall(r"\d+", re.match(r"[\d.]*", version)[0])]  # type: ignore[index]


_ROWS = (
    Sdk(
        "openai",
        package="openai",
        requires=("openai >= 1.40",),
        title="OpenAI, Azure OpenAI, and every host that the openai SDK is pointed at",
        covers="chat, responses (background and fetched ones too), realtime, batches, embeddings, "
        "completions, images, audio, moderations",
    ),
    Sdk(
        "anthropic",
        package="anthropic",
        # Before 0.45 `.stream()` threw away the stream that `request` returned and read its body
        # itself.
        requires=("anthropic >= 0.45",),
        title="Anthropic, also on Bedrock, Vertex and Foundry",
        covers="messages, beta messages, batches, the tool runner, count_tokens (never billed)",
    ),
    Sdk(
        "mistralai",
        package="mistralai",
        # 1.0 does not go with the pydantic that the price book needs.
        requires=("mistralai >= 1.1",),
        title="Mistral AI, also on Azure and Google Cloud",
        covers="chat, fim, agents, conversations, responses, embeddings, OCR, audio, classifiers",
        also=(
            "mistralai.client",
            "mistralai.azure.client",
            "mistralai.gcp.client",
            "mistralai_azure",
            "mistralai_gcp",
        ),
    ),
    Sdk(
        "google_genai",
        package="google.genai",
        # The client that is watched is there since 1.4, but 1.4 left a stream's end unheard and 1.16
        # dropped the tools of async callers.
        requires=("google-genai >= 1.20",),
        title="Google Gen AI, on the Gemini API and Vertex AI",
        covers="generate_content and its streams, chats, embeddings, images, videos (no price), "
        "Interactions, Live sessions; count_tokens (never billed)",
    ),
    Sdk(
        "cohere",
        package="cohere",
        requires=("cohere >= 5.0",),
        title="Cohere, also on Bedrock, SageMaker and Oracle's cloud",
        covers="chat, generate, embed, rerank, classify, parse, transcriptions; both API versions",
    ),
    Sdk(
        "vertexai",
        package="vertexai",
        # The oldest that was tried; the methods that are watched are older.
        requires=("google-cloud-aiplatform >= 1.91",),
        title="Vertex AI's older SDK, over gRPC and REST",
        covers="GenerativeModel: generate_content, its streams, chats; text embeddings",
    ),
    Sdk(
        "groq",
        package="groq",
        requires=("groq >= 0.9",),
        title="Groq",
        covers="chat, compound models, embeddings, audio",
    ),
    Sdk(
        "together",
        package="together",
        # Before 2.0 the SDK had a client of its own, over requests and aiohttp.
        requires=("together >= 2.0",),
        title="Together AI",
        covers="chat, completions, embeddings, rerank, images, audio",
    ),
    Sdk(
        "ollama",
        package="ollama",
        # Before 0.4 answers were plain dicts, made by other methods.
        requires=("ollama >= 0.4",),
        title="Ollama, local and its cloud",
        covers="chat, generate, embed, embeddings",
    ),
    Sdk(
        "bedrock",
        package="botocore",
        # The first with Converse, and with data for bedrock-runtime that is of use.
        requires=("botocore >= 1.34.116",),
        title="Amazon Bedrock, through boto3 and aioboto3",
        covers="Converse, InvokeModel (Claude, Nova, Titan, Llama, Mistral, Cohere bodies), their "
        "streams, guardrails, CountTokens (never billed)",
    ),
    Sdk(
        "huggingface_hub",
        package="huggingface_hub",
        requires=("huggingface_hub >= 0.31",),
        title="Hugging Face InferenceClient",
        covers="chat, text generation, embeddings, images, video, speech, with the served provider",
    ),
    Sdk(
        "xai_sdk",
        package="xai_sdk",
        requires=("xai-sdk >= 1.4",),
        title="xAI, over gRPC",
        covers="chat, structured and deferred answers, images, videos, with the cost it states",
    ),
    Sdk(
        "azure_ai_inference",
        package="azure.ai.inference",
        # Before 1.0.0b8 streams dropped the chunk that has their usage.
        requires=("azure-ai-inference >= 1.0.0b8",),
        title="Azure AI inference",
        covers="chat, embeddings, image embeddings",
    ),
    Sdk(
        "portkey_ai",
        package="portkey_ai",
        # Before 1.9 it did not bring its own openai SDK with it.
        requires=("portkey-ai >= 1.9",),
        title="Portkey",
        covers="chat, responses, embeddings, images, audio, saved prompts",
    ),
    Sdk(
        "tensorzero",
        package="tensorzero",
        # With 2025.7 a cancelled call was not seen.
        requires=("tensorzero >= 2025.12",),
        title="TensorZero",
        covers="inference of functions and models, plain and streamed, embedded or over HTTP",
    ),
    Sdk(
        "litellm",
        package="litellm",
        requires=("litellm >= 1.80",),
        title="LiteLLM as a library",
        covers="completion, text completion, embedding, responses, messages, images, audio, "
        "moderation, rerank; the Router of each",
    ),
)

SDKS: Mapping[str, Sdk] = {each.name: each for each in _ROWS}
