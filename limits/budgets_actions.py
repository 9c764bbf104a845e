"""What an application does about a budget, as its `action` says in a few words.

    refuse                                          at the limit, calls are refused
    queue 30s                                       at the limit, they wait so long, then are refused
    degrade model=gpt-5-nano max_tokens=256 tools=no  from the soft limit on, they are cheaper ones
    degrade model=gpt-5-nano, refuse                several, separated by commas
    warn                                            told, and nothing else

Any other text is for people: it stands in alerts, and the application only tells.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import NamedTuple

from tollspan.calls import Less

__all__ = ["Action", "ActionError", "read"]

WORDS = ("warn", "degrade", "queue", "refuse")
LONGEST_S = 3600
_QUEUE = re.compile(r"queue ([0-9]{1,4})s")
_MOST_TOKENS = 10**7


class ActionError(ValueError):
    """Words that cannot be followed. The message is what to write instead."""


class Action(NamedTuple):
    """What is done: `degrade` from the soft limit on, the others at the limit itself."""

    degrade: Less | None = None
    queue_s: int = 0
    """Seconds that a call waits for room before it is refused."""
    refuse: bool = False

    @property
    def stops(self) -> bool:
        """Whether a call may be kept from leaving."""
        return self.refuse or self.queue_s > 0


def read(text: str) -> Action:
    """The action that `text` asks for; text for people is one that does nothing.

    Raises:
        ActionError: it begins like one of ours and is none.
    """
    first = re.split(r"[\s,]", text.strip(), maxsplit=1)[0].lower()
    if first not in WORDS:
        near = get_close_matches(first, WORDS, 1, cutoff=0.8)
        if near:
            raise ActionError(near[0])
        return Action()
    found = Action()
    for part in (" ".join(each.split()) for each in text.split(",")):
        word = part.partition(" ")[0].lower()
        if word == "degrade":
            found = found._replace(degrade=_degrade(part))
        elif word == "queue":
            found = found._replace(queue_s=_queue(part))
        elif part.lower() == "refuse":
            found = found._replace(refuse=True)
        elif part.lower() != "warn":
            raise ActionError(
                "warn, refuse, queue 30s or degrade model=… max_tokens=… tools=no, "
                "or several of them with commas between"
            )
    return found


def _queue(part: str) -> int:
    found = _QUEUE.fullmatch(part.lower())
    if found is None or not 0 < int(found[1]) <= LONGEST_S:
        raise ActionError(f"queue with seconds from 1 to {LONGEST_S}, as in queue 30s")
    return int(found[1])


def _degrade(part: str) -> Less:
    found = Less()
    for pair in part.split(" ")[1:]:
        key, _, value = pair.partition("=")
        if key == "model" and value:
            found = found._replace(model=value)
        elif key == "max_tokens" and value.isascii() and value.isdigit() and len(value) < 9:
            found = found._replace(max_tokens=min(max(int(value), 1), _MOST_TOKENS))
        elif (key, value) == ("tools", "no"):
            found = found._replace(no_tools=True)
        else:
            raise ActionError("degrade with model=…, max_tokens=256 or tools=no, or several")
    if found == Less():
        raise ActionError("degrade with model=…, max_tokens=256 or tools=no, or several")
    return found
