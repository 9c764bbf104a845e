"""`tollspan.Client`: records of calls sent to a running tollspan, for processes without OpenTelemetry.

Records wait in a bounded queue; one thread sends them in batches, compressed, and tries again within
bounds. Whatever happens to them on the way, whoever records is never kept waiting and hears of
nothing but a wrong argument; `health()` says what became of them.
"""

from __future__ import annotations

import atexit
import os
import threading
import uuid
import weakref
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from time import monotonic, time_ns
from types import TracebackType
from typing import Any, Self

from . import attribution, semconv, told
from .config import settings
from .delivery import Delivery, Outcome
from .guard import quietly

__all__ = ["Client"]

MOST_WAITING = 10_000
BATCH = 500
EVERY_S = 1.0
MOST_NAMED = 10_000
"""Ids of blocks that are remembered, so that each call in one gets its own."""
FLUSH_S, CLOSE_S = 5.0, 2.0

_OF_CONTEXT = {
    semconv.ENDPOINT_TAG: "endpointTag",
    semconv.PROMPT_NAME: "promptName",
    semconv.PROMPT_VERSION: "promptVersion",
    semconv.TENANT: "tenantId",
    semconv.USER: "userId",
    semconv.SESSION: "sessionId",
    semconv.REQUEST_ID: "externalRequestId",
    semconv.DATA_MODE: "dataMode",
}


class Client:
    """Sends records to `POST /v1/ingest` at `url`, or where the settings have `tollspan up`.

    Args:
        token: its TOLLSPAN_TOKEN; default: the one of the settings.
        service, environment: of every record that does not say otherwise.
        timeout_s: of one request.
        most_waiting: records that may wait; further ones are dropped and counted.

    Safe for threads; a forked child starts with an empty queue of its own. Closed at the exit of the
    process, and at the end of a `with` block.
    """

    def __init__(
        self,
        url: str = "",
        *,
        token: str = "",
        service: str = "",
        environment: str = "",
        timeout_s: float = 2.0,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        found = settings()
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(found.host, found.host)
        self.url = (url or f"http://{host}:{found.ui_port}").rstrip("/")
        self._delivery = Delivery(f"{self.url}/v1/ingest", token or found.token, timeout_s)
        self._everywhere = {"service": service or None, "environment": environment or None}
        self._most = most_waiting
        self._closed = False
        self._begin()
        _clients.add(self)

    def _begin(self) -> None:
        """Everything that belongs to one process alone."""
        self._waiting: deque[dict[str, Any]] = deque()
        self._sending = 0
        self._changed = threading.Condition(threading.Lock())
        self._hurry = False
        self._thread: threading.Thread | None = None
        self._counts: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._named: dict[str, int] = {}
        self._last_error = ""
        self._last_sent = ""

    def record(
        self,
        *,
        provider: str,
        model: str,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        latency_ms: float | None = None,
        operation: str | None = None,
        response_model: str | None = None,
        response_id: str | None = None,
        cache_read_tokens: int | None = None,
        cache_write_tokens: int | None = None,
        reasoning_tokens: int | None = None,
        service_tier: str | None = None,
        finish_reasons: Sequence[str] | None = None,
        time_to_first_chunk_ms: float | None = None,
        cost_usd: float | Decimal | None = None,
        status: str | None = None,
        error_type: str | None = None,
        server_address: str | None = None,
        endpoint: str | None = None,
        prompt: str | None = None,
        prompt_version: str | None = None,
        tenant: str | None = None,
        user: str | None = None,
        session: str | None = None,
        request_id: str | None = None,
        data_mode: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Send one finished call, which ends now and began `latency_ms` ago.

        Arguments are those of `tollspan.record`; what is left out of the attribution comes from the
        context, and `request_id` is made where there is none, so that a retry never counts twice;
        calls in one `attribute(request_id=…)` block become `id`, `id#2`, ….

        Raises:
            ValueError: an argument makes no sense, such as a negative count.
        """
        latency = told.milliseconds("latency_ms", latency_ms)
        first = told.milliseconds("time_to_first_chunk_ms", time_to_first_chunk_ms)
        if latency is not None and first is not None and first > latency:
            raise told.WrongField(
                "time_to_first_chunk_ms",
                f"time_to_first_chunk_ms={first} is more than latency_ms={latency}",
            )
        told.included("input_tokens", input_tokens, cache_read_tokens, cache_write_tokens)
        told.included("output_tokens", output_tokens, reasoning_tokens)
        cost = told.amount("cost_usd", cost_usd)
        made: dict[str, Any] = {
            "provider": told.word("provider", provider, required=True),
            "model": told.word("model", model, required=True),
            "operation": told.word("operation", operation),
            "inputTokens": told.count("input_tokens", input_tokens),
            "outputTokens": told.count("output_tokens", output_tokens),
            "cacheReadTokens": told.count("cache_read_tokens", cache_read_tokens),
            "cacheWriteTokens": told.count("cache_write_tokens", cache_write_tokens),
            "reasoningTokens": told.count("reasoning_tokens", reasoning_tokens),
            "responseModel": told.word("response_model", response_model),
            "responseId": told.word("response_id", response_id),
            "serviceTier": told.word("service_tier", service_tier),
            "finishReasons": told.words("finish_reasons", finish_reasons),
            "latencyMs": latency,
            "timeToFirstTokenMs": first,
            "costUsd": None if cost is None else format(Decimal(repr(cost)), "f"),
            "status": told.status("status", status, error_type),
            "errorType": told.word("error_type", error_type),
            "serverAddress": told.word("server_address", server_address),
        }
        block = attribution.attribute(
            endpoint=endpoint,
            prompt=prompt,
            prompt_version=prompt_version,
            tenant=tenant,
            user=user,
            session=session,
            request_id=request_id,
            data_mode=data_mode,
            tags=tags,
        )
        if not settings().disabled:
            with quietly:
                with block:
                    made |= _attributed(attribution.current())
                made["externalRequestId"] = self._id(made.get("externalRequestId"), request_id)
                made["timestamp"] = (time_ns() - round((latency or 0) * 1e6)) / 1e6
                self._put(self._everywhere | made)

    def _id(self, named: str | None, given: str | None) -> str:
        """The record's own id: as it was given; of calls in one block with an id, each its own."""
        if named is None:
            return uuid.uuid4().hex
        if given is not None:
            return named
        with self._changed:
            number = self._named[named] = self._named.pop(named, 0) + 1
            if len(self._named) > MOST_NAMED:
                del self._named[next(iter(self._named))]
        return named if number == 1 else f"{named}#{number}"

    def _put(self, made: dict[str, Any]) -> None:
        made = {name: value for name, value in made.items() if value is not None}
        with self._changed:
            if self._closed:
                self._dropped["closed"] += 1
            elif len(self._waiting) + self._sending >= self._most:
                self._dropped["queue_full"] += 1
            else:
                self._waiting.append(made)
                if self._thread is None:
                    self._thread = threading.Thread(
                        target=_run, args=(weakref.ref(self),), name="tollspan-client", daemon=True
                    )
                    self._thread.start()
                if len(self._waiting) >= BATCH:
                    self._changed.notify_all()

    def health(self) -> dict[str, Any]:
        """What became of the records of this process: `{queued, sent, duplicates, rejected, retries,
        dropped: {reason: count}, last_error, last_sent}`; times are ISO-8601 or ''."""
        with self._changed:
            return {
                "queued": len(self._waiting) + self._sending,
                **{
                    name: self._counts[name]
                    for name in ("sent", "duplicates", "rejected", "retries")
                },
                "dropped": dict(self._dropped),
                "last_error": self._last_error,
                "last_sent": self._last_sent,
            }

    def flush(self, timeout_s: float = FLUSH_S) -> bool:
        """Wait until everything recorded so far is sent or dropped; False when that took too long."""
        deadline = monotonic() + timeout_s
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            done = self._changed.wait_for(
                lambda: not self._waiting and not self._sending,
                timeout=max(0.0, deadline - monotonic()),
            )
            self._hurry = False
            return done

    def close(self, timeout_s: float = CLOSE_S) -> None:
        """Send what waits, as far as the time allows, and take nothing more. Idempotent."""
        self.flush(timeout_s)
        with self._changed:
            self._closed = True
            self._dropped["closed"] += len(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self.url!r}, queued={len(self._waiting) + self._sending})"

    # --- the thread ------------------------------------------------------------------------------

    def _batch(self) -> list[dict[str, Any]] | None:
        """The next records to send, empty while there are none; None when all is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed, timeout=EVERY_S)
            if not self._hurry and len(self._waiting) < BATCH and not self._closed:
                self._changed.wait_for(
                    lambda: len(self._waiting) >= BATCH or self._hurry or self._closed,
                    timeout=EVERY_S,
                )
            if self._closed and not self._waiting:
                return None
            taken = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            self._sending = len(taken)
            return taken

    def _deliver(self, batch: Sequence[dict[str, Any]]) -> None:
        """Send a batch until it is taken, refused, or has been tried long enough."""
        tries = 0
        outcome = Outcome()
        try:
            while True:
                outcome = self._delivery.send(batch)
                if outcome.retry_in_s is None:
                    break
                tries += 1
                self._failed(outcome)
                if self._delivery.is_enough(tries) or not self._waits(
                    self._delivery.pause_s(tries, outcome.retry_in_s)
                ):
                    break
        finally:
            self._done(len(batch), outcome)

    def _waits(self, pause_s: float) -> bool:
        """Whether there is time for another try after `pause_s`."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed, timeout=pause_s)
            return not self._closed

    def _failed(self, outcome: Outcome) -> None:
        with self._changed:
            self._counts["retries"] += 1
            self._last_error = outcome.error

    def _done(self, size: int, outcome: Outcome) -> None:
        with self._changed:
            self._counts["sent"] += outcome.accepted + outcome.duplicates
            self._counts["duplicates"] += outcome.duplicates
            self._counts["rejected"] += outcome.rejected
            lost = size - outcome.accepted - outcome.duplicates - outcome.rejected
            if lost > 0:
                self._dropped[outcome.reason or "fault"] += lost
            else:
                self._last_sent = datetime.now(UTC).isoformat(timespec="milliseconds")
            self._last_error = outcome.error or self._last_error
            self._sending = 0
            self._changed.notify_all()


def _attributed(said: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: said[attribute] for attribute, name in _OF_CONTEXT.items() if attribute in said
    }
    start = len(semconv.TAG_PREFIX)
    tags = {key[start:]: each for key, each in said.items() if key.startswith(semconv.TAG_PREFIX)}
    if tags:
        found["tags"] = dict(list(tags.items())[:32])
    return found


def _run(of: weakref.ref[Client]) -> None:
    """The thread's life, which ends with the client's."""
    while True:
        client = of()
        if client is None:
            return
        batch: list[dict[str, Any]] | None = []
        with quietly:
            batch = client._batch()
            if batch:
                client._deliver(batch)
        if batch is None:
            return
        del client


_clients: weakref.WeakSet[Client] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for client in list(_clients):
        with quietly:
            client.close()


def _forked() -> None:
    for client in list(_clients):
        client._begin()


if hasattr(os, "register_at_fork"):  # what waits is the parent's to send
    os.register_at_fork(after_in_child=_forked)
