"""Which price a call asks for, and under which names it may stand in a list."""

from __future__ import annotations

from typing import NamedTuple

from .models import book_provider, makers_own, split, undated, unplaced

__all__ = ["Asked", "Candidate", "candidates", "same_but_for_place"]


_UNKNOWN = "unknown"
"""The provider on the path of a call that names none: see `hops`."""


class Asked(NamedTuple):
    """Which price is asked for: everything that decides it but the moment."""

    provider: str
    served: str | None
    """Model that a gateway says was served, as `provider/model` or bare."""
    answered: str | None
    """Model that the answer names; None where a gateway is known to write an alias there."""
    requested: str | None
    tier: str | None
    place: str | None = None
    """Where it worked, if that is dearer: see `places.place_of`."""
    host: str | None = None
    """Address that was asked; a price file may have prices for one."""


Candidate = tuple[str, str, str | None]
"""Provider, model, doubt."""


def candidates(asked: Asked) -> list[Candidate]:
    """What to look up, best first."""
    found: list[Candidate] = []

    def add(model: str | None, doubt: str | None) -> None:
        if not model:
            return
        found.append((asked.provider, model, doubt))
        provider, bare = split(model)
        if provider is not None:
            found.append((provider, bare, doubt))
        elif asked.provider == _UNKNOWN and (maker := makers_own(model)) is not None:
            found.append((maker, model, "unknown_provider"))

    if asked.served is not None:
        provider, bare = split(asked.served)
        found.append((provider or asked.provider, bare, None))
        if provider is None:
            add(asked.served, None)
    doubt = None
    if asked.answered and asked.requested and book_provider(asked.provider) == "aws":
        # Claude's body names the model alone; what was asked for says where, which has its price.
        if same_but_for_place(asked):
            add(asked.requested, None)
        elif unplaced(asked.answered) == asked.answered:
            doubt = "unknown_region"
    add(asked.answered, doubt)
    if asked.answered and (bare := undated(asked.answered)) != asked.answered:
        add(bare, doubt)
    if asked.served is not None:
        return found
    if not asked.answered:
        # On Azure the request names a deployment, which may be called like any model.
        azure = book_provider(asked.provider) == "azure"
        add(asked.requested, "deployment_name" if azure else None)
    elif asked.requested:
        named = undated(asked.answered).lower() in asked.requested.lower()
        add(asked.requested, None if named else "other_model")
    return found


def same_but_for_place(asked: Asked) -> bool:
    if book_provider(asked.provider) != "aws" or asked.requested == asked.answered:
        return False
    requested, answered = str(asked.requested), str(asked.answered)
    return undated(unplaced(requested)) == undated(unplaced(answered))
