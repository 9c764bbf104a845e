"""Models that an SDK makes anew for each answer are made once here.

google-genai's and mistralai's generated code reads every answer through a pydantic model built for it
and thrown away: five milliseconds each time, several times for one answer, and the tests of providers
send thousands. What is read, and which errors come of it, stays the same.
https://docs.pydantic.dev/latest/concepts/models/#dynamic-model-creation
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["made_once"]


def made_once(serializers: str) -> None:
    """Keep what `create_model` makes in the module named `serializers`, by name and type."""
    module: Any = import_module(serializers)
    make = module.create_model
    kept: dict[str, Any] = {}

    def create_model(name: str, **fields: Any) -> Any:
        # By text: types are equal that list what they unite in another order, and are read otherwise.
        # Where it tells a function by its address, the model keeps the function.
        key = f"{name} {fields!r}"
        if key not in kept:
            kept[key] = make(name, **fields)
        return kept[key]

    module.create_model = create_model
