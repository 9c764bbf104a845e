"""Which hosts may receive trace context and attribution; every doubt is a no."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollspan import config
from tollspan.instrumentation._destinations import may_receive


def allow(*entries: str) -> None:
    config.reload({"TOLLSPAN_PROPAGATE_TO": ",".join(entries), "TOLLSPAN_RAISE": "1"})


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.8.9.10",
        "127.0.0.1:8080",
        "::1",
        "[::1]",
        "[::1]:4000",
        "::ffff:127.0.0.1",
        "0.0.0.0",  # what the manuals of gateways tell clients to use; it connects to this machine
        "::",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "localhost:4000",
        "litellm.localhost",
        "10.0.0.7",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "fd12:3456::1",
        "litellm",
        "litellm:4000",
        "my_gateway",
    ],
)
def test_loopback_and_private_hosts_receive_by_default(host: str) -> None:
    assert may_receive(host)


@pytest.mark.parametrize(
    "host",
    [
        "api.openai.com",
        "api.anthropic.com",
        "localhost.evil.com",
        "localhost.evil.com.",
        "evil-localhost.com",
        "127.0.0.1.evil.com",
        "127.0.0.1.",
        "10.0.0.1.nip.io",
        "8.8.8.8",
        "172.15.255.255",
        "172.32.0.1",
        "169.254.169.254",  # a cloud's metadata service
        "fe80::1",
        "::ffff:8.8.8.8",
        "2001:4860:4860::8888",
        "64:ff9b::7f00:1",
        "2130706433",
        "134744072",
        "0x7f000001",
        "0x7f.1",
        "127.1",
        "0177.0.0.1",
        "0x08080808",
        "1",
        "0x",
        "litellm.",  # a name of the public root
        "ai.",
        "litellm.internal",
        "user@127.0.0.1",
        "127.0.0.1/8",
        "127.0.0.1 evil.com",
        "127.0.0.1\n",
        "localhost\r\nx: y",
        "",
        ".",
        "..",
        "*",
        "[::1",
        "[::1]evil.com",
        "-",
        "a" * 300,
        "\ud800",
    ],
)
def test_no_other_host_receives_by_default(host: str) -> None:
    assert not may_receive(host)


def test_digits_of_other_alphabets_are_what_clients_make_of_them() -> None:
    assert may_receive("１２７.0.0.1")
    assert not may_receive("８.8.8.8")


def test_names_are_listed_exactly_and_suffixes_below() -> None:
    allow("Gateway.Example.com", "*.corp.example", "münchen.example")
    assert may_receive("gateway.example.com")
    assert may_receive("GATEWAY.example.com.")
    assert may_receive("gateway.example.com:8443")
    assert may_receive("a.b.corp.example")
    assert may_receive("münchen.example")
    assert may_receive("xn--mnchen-3ya.example")
    for other in (
        "x.gateway.example.com",
        "example.com",
        "corp.example",
        "evilcorp.example",
        "a.corp.example.evil.com",
        "localhost",
        "127.0.0.1",
        "litellm",
    ):
        assert not may_receive(other), other


def test_addresses_and_networks() -> None:
    allow("203.0.113.7", "198.51.100.0/24", "2001:db8::/32", "10.1.2.3/8")
    assert may_receive("203.0.113.7")
    assert may_receive("198.51.100.200")
    assert may_receive("::ffff:198.51.100.200")
    assert may_receive("[2001:db8::5]:443")
    assert may_receive("10.9.9.9")
    for other in ("203.0.113.8", "198.51.101.1", "2001:db9::1", "127.0.0.1", "192.168.0.1"):
        assert not may_receive(other), other


def test_loopback_alone_is_not_private_and_private_alone_is_not_loopback() -> None:
    allow("loopback")
    assert may_receive("localhost")
    assert not may_receive("10.0.0.1")
    assert not may_receive("litellm")
    allow("private")
    assert may_receive("10.0.0.1")
    assert may_receive("litellm")
    assert not may_receive("localhost")
    assert not may_receive("127.0.0.1")
    allow("*.localhost")
    assert may_receive("a.localhost")
    assert not may_receive("localhost")


@pytest.mark.parametrize(
    "entry", ["*", "*.", "*.*.com", "10.0.0.0/33", "2130706433", "http://x.com", "a b", "x.com/v1"]
)
def test_an_entry_that_cannot_be_read_allows_nothing_and_is_told(
    entry: str, caplog: pytest.LogCaptureFixture
) -> None:
    allow(entry)
    with caplog.at_level(logging.WARNING, "tollspan"):
        for host in ("api.openai.com", "127.0.0.1", "x.com", "a.com", "a", "10.0.0.1"):
            assert not may_receive(host)
    (record,) = caplog.records
    assert repr(entry) in record.getMessage()


@given(st.text(max_size=80))
def test_any_text_has_an_answer(host: str) -> None:
    assert may_receive(host) in (True, False)
