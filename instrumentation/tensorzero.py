"""TensorZero's client, to a gateway of its own inside the process or over HTTP.

Both clients are native classes: https://github.com/tensorzero/tensorzero/tree/main/crates/tensorzero-python
What they send cannot be seen, so neither attempts nor the gateway's address are known. Clients of
the openai SDK that `patch_openai_client` points at a gateway are calls of that SDK.
"""

from __future__ import annotations

from typing import Any

from ._spec import Patch, Provider
from ._tensorzero_inference import INFERENCE

__all__ = ["PROVIDER"]

PROVIDER = Provider(
    name="tensorzero",
    patches=(
        Patch("tensorzero.tensorzero", "TensorZeroGateway.inference", INFERENCE),
        Patch("tensorzero.tensorzero", "AsyncTensorZeroGateway.inference", INFERENCE),
    ),
)


def __getattr__(name: str) -> Any:
    """`Instrumentor`, for the entry point, made when it is asked for."""
    if name != "Instrumentor":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._instrumentor import instrumentor

    return instrumentor(__name__)
