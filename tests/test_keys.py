"""Every call carries a fingerprint of its provider API key: the same for a key, and never the key."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import needs
import pytest
from drivers import KEY, driver, installed
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from packaging.version import Version

from tollspan import config, instrumentation, semconv
from tollspan.instrumentation import PROVIDERS, _keys

HASH_KEY = "a secret of the operator's"
WITHOUT = {
    "ollama": "its SDK has no key: a header is the caller's own",
    "tensorzero": "a native client, which shows nothing",
    "vertexai": "signs in with Google's credentials, which are renewed",
    "xai_sdk": "its key goes into gRPC's call credentials, which show nothing",
}
"""SDKs whose calls have no fingerprint, and why."""

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning"
)


@pytest.fixture
def hashing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TOLLSPAN_HASH_KEY", HASH_KEY)
    config.reload()
    _keys._seen.clear()
    yield
    _keys._seen.clear()


@pytest.mark.usefixtures("hashing")
@pytest.mark.parametrize("name", [*installed()])
def test_a_call_of_every_sdk_says_which_key_without_showing_it(
    name: str, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    sdk = driver(name)
    has = Version(version(PROVIDERS[name].requires[0].partition(">=")[0].strip()))
    way = next(
        (
            each
            for each in sdk.ways
            if each.ask and not each.streamed and has >= Version(each.since or "0")
        ),
        None,
    )
    if way is None or sdk.client is None or way.ask is None:
        needs.missing(f"sdk-{name}", "no way of asking that waits for the answer")
    instrumentation.instrument(provider, [name])
    try:
        with sdk.serve() as served:
            served.answer = way.encode(way.document)
            client = sdk.client(served.url)
            way.ask(client)
            sdk.close(client)
    finally:
        instrumentation.uninstrument()
    spans = exporter.get_finished_spans()
    found = {(span.attributes or {}).get(semconv.API_KEY_FINGERPRINT) for span in spans} - {None}

    assert KEY not in "".join(span.to_json() for span in spans)
    if name in WITHOUT:
        assert not found, f"{name} has a fingerprint: take it out of WITHOUT"
    else:
        assert len(found) == 1
        assert str(found.pop()).startswith("h:")


JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("client", "given"),
    [
        (SimpleNamespace(api_key=JWT), {}),
        (SimpleNamespace(api_key="ya29.a0AfH6SMB"), {}),
        (SimpleNamespace(api_key="sk-fresh-each-time", _api_key_provider=print), {}),
        (SimpleNamespace(api_key="<missing API key>", _azure_ad_token_provider=print), {}),
        (SimpleNamespace(api_key="<missing API key>"), {}),
        (SimpleNamespace(api_key=lambda: "sk-made-when-asked"), {}),
        (SimpleNamespace(api_key="short"), {}),
        (SimpleNamespace(api_key="k" * 513), {}),
        (SimpleNamespace(api_key="Bearer sk-with-a-space"), {}),
        (SimpleNamespace(aws_access_key="ASIAEXAMPLE1"), {}),
        (SimpleNamespace(token=True), {}),
        (SimpleNamespace(api_key=b"sk-not-a-text"), {}),
        (None, {"api_key": JWT}),
        (None, {}),
    ],
)
def test_what_is_made_anew_by_the_hour_is_no_key(client: Any, given: dict[str, Any]) -> None:
    assert _keys.key_of(client, given) is None


def test_credentials_that_botocore_renews_are_not_even_looked_at() -> None:
    class RefreshableCredentials:
        @property
        def access_key(self) -> str:
            raise AssertionError("this asks a server for new credentials")

    renewed = SimpleNamespace(
        _request_signer=SimpleNamespace(_credentials=RefreshableCredentials())
    )

    assert _keys.key_of(renewed, {}) is None


def test_azure_signed_in_by_entra_id_has_no_fingerprint_and_by_key_has_one() -> None:
    openai = pytest.importorskip("openai")
    where = {"azure_endpoint": "https://x.openai.azure.com", "api_version": "2024-10-21"}
    by_token = openai.AzureOpenAI(azure_ad_token_provider=lambda: JWT, **where)
    by_key = openai.AzureOpenAI(api_key="0123456789abcdef", **where)

    assert _keys.key_of(by_token, {}) is None
    assert _keys.key_of(by_key, {}) == "0123456789abcdef"


def test_a_key_is_told_once_by_a_process_and_another_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, hashing: None
) -> None:
    caplog.set_level(logging.INFO, "tollspan.keys")
    told: list[dict[str, Any]] = []
    for key in ("sk-first-key", "sk-first-key", "sk-other-key"):
        told.append({semconv.PROVIDER: "openai"})
        _keys.fingerprint(told[-1], SimpleNamespace(api_key=key), {})
    first, again, other = (each[semconv.API_KEY_FINGERPRINT] for each in told)
    monkeypatch.setenv("TOLLSPAN_HASH_KEY", "another secret")
    config.reload()
    elsewhere: dict[str, Any] = {}
    _keys.fingerprint(elsewhere, SimpleNamespace(api_key="sk-first-key"), {})

    assert first == again != other
    assert elsewhere[semconv.API_KEY_FINGERPRINT] not in (first, other)
    assert [vars(record)["fingerprint"] for record in caplog.records[:2]] == [first, other]
    assert {vars(record)["event"] for record in caplog.records} == {semconv.EVENT_NEW_KEY}
    assert "sk-" not in caplog.text
