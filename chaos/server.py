"""The provider itself: a server on this machine that answers by script and remembers what it said."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections import deque
from collections.abc import Mapping, Sequence

from ._http import Server
from ._listening import Listening
from .answers import Answer, without_secrets
from .steps import Step, ok

__all__ = ["Chaos"]


class Chaos(Listening):
    """A local provider: OpenAI's chat completions, responses, completions, embeddings and
    moderations, Anthropic's messages.

    A context manager; or `start()` and `close()`. Answers many connections at once. Requests take
    the next step of the script for their model, else of the general script, else of `mix`, else
    `default`. Counting tokens takes no step.

    Args:
        host, port: where to listen; port 0 is a free one.
        default: the step when the script is over; a good answer unless given.

    Raises:
        OSError: the port is taken.
    """

    def __init__(
        self, *, host: str = "127.0.0.1", port: int = 0, default: Step | None = None
    ) -> None:
        super().__init__(host, port)
        self._default = default or ok()
        self._mix: tuple[Sequence[tuple[float, Step]], random.Random] | None = None
        self._scripts: dict[str | None, deque[Step]] = {}
        self._log: list[Answer] = []
        self._open = 0
        self._changed = threading.Condition()
        self.token = uuid.uuid4().hex[:8]
        """Part of every id that this server gives, so that two servers never give the same."""

    def _listen(self) -> Server:
        return Server(self._host, self._port, self)

    # --- script -----------------------------------------------------------------------------------
    def script(self, *steps: Step | Sequence[Step], model: str | None = None) -> None:
        """Append steps, for all requests or for those that ask for `model`; one step a request."""
        flat: list[Step] = []
        for step in steps:
            flat += [step] if isinstance(step, Step) else step
        with self._changed:
            self._scripts.setdefault(model, deque()).extend(flat)

    def mix(self, weighted: Sequence[tuple[float, Step]], *, seed: int = 0) -> None:
        """When the script is over, draw steps by weight; the same seed draws the same ones.

        Raises:
            ValueError: no weight is above zero, or one is below.
        """
        weights = [weight for weight, _ in weighted]
        if not weights or min(weights) < 0 or sum(weights) <= 0:
            raise ValueError(f"{weights=}: none may be negative, one must be above zero")
        with self._changed:
            self._mix = (tuple(weighted), random.Random(seed))

    def next_step(self, model: str | None) -> Step:
        """Take the step for a request that asks for `model`."""
        with self._changed:
            for queue in (self._scripts.get(model), self._scripts.get(None)):
                if queue:
                    return queue.popleft()
            if self._mix is None:
                return self._default
            weighted, draw = self._mix
            weights = [weight for weight, _ in weighted]
            return draw.choices([step for _, step in weighted], weights)[0]

    @property
    def steps_left(self) -> int:
        """Steps of the scripts that no request has taken."""
        with self._changed:
            return sum(len(queue) for queue in self._scripts.values())

    # --- log --------------------------------------------------------------------------------------
    @property
    def log(self) -> list[Answer]:
        """What was answered, in the order in which requests came; a copy of the list."""
        with self._changed:
            return list(self._log)

    def opened(
        self, path: str, api: str, model: str | None, stream: bool, headers: Mapping[str, str]
    ) -> Answer:
        """Log a request that has come; `closed` must follow."""
        with self._changed:
            self._open += 1
            answer = Answer(
                n=len(self._log) + 1,
                started_s=time.time(),
                path=path,
                api=api,
                model_asked=model,
                stream=stream,
                headers=without_secrets(headers),
            )
            self._log.append(answer)
            return answer

    def closed(self) -> None:
        """A request that was opened is done with."""
        with self._changed:
            self._open -= 1
            self._changed.notify_all()

    def wait(self, timeout_s: float = 5.0) -> bool:
        """Until no request is being answered: the log then says what a client that left has cost.

        Returns whether that came about within `timeout_s`.
        """
        with self._changed:
            return self._changed.wait_for(lambda: self._open == 0, timeout_s)

    def reset(self) -> None:
        """Forget the script, the mix and the log."""
        with self._changed:
            self._scripts.clear()
            self._mix = None
            self._log = []
