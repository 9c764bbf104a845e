"""Which hosts may receive trace context and attribution: `TOLLSPAN_PROPAGATE_TO`, and no other.

Tenant and user never travel to a public provider, so every doubt is a no. Names are never
resolved: what a name resolves to is for its owner to decide, and may change between two requests.
"""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Iterable
from typing import TypeAlias

from tollspan.config import settings

__all__ = ["may_receive"]

_logger = logging.getLogger("tollspan")

_Address: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"
_Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"

PRIVATE = tuple(
    ipaddress.ip_network(each)
    for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
)
"""RFC 1918 and RFC 4193. Not link-local: a cloud's metadata service answers there."""

_NAME = r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_BRACKETED = r"\[([0-9a-fA-F:.%]+)\](?::\d*)?"
_NUMERIC = r"(?:0x[0-9a-f]*|[0-9]+)"
"""A last label that makes a whole host an address to some resolvers: `2130706433`, `0x7f.1`."""


def _literal(host: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _normal(host: str) -> str:
    """`host` in lower-case ASCII without port, brackets and zone; empty if it is not one host.

    A trailing dot stays: it makes a single label a name of the public root.
    """
    bracketed = re.fullmatch(_BRACKETED, host) if host.startswith("[") else None
    if bracketed is not None:
        host = bracketed[1]
    elif host.count(":") == 1:
        host, _, port = host.partition(":")
        if not port.isdecimal():
            return ""
    host = host.partition("%")[0]
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            return ""
    return host.lower()


class _Rules:
    """The setting, read once. What cannot be read is said in the log and allows nothing."""

    def __init__(self, entries: Iterable[str]) -> None:
        self.loopback = self.private = False
        self.names: set[str] = set()
        self.suffixes: list[str] = []
        self.networks: list[_Network] = []
        self.known: dict[str, bool] = {}
        for entry in entries:
            if not self._add(entry.strip().lower()):
                _logger.warning(
                    "TOLLSPAN_PROPAGATE_TO: %r is no name, *.suffix, address, network, "
                    "`loopback` or `private`; it allows nothing",
                    entry,
                )

    def _add(self, entry: str) -> bool:
        if entry == "loopback":
            self.loopback = True
        elif entry == "private":
            self.private = True
        elif entry.startswith("*."):
            suffix = _normal(entry[2:].rstrip("."))
            if not re.fullmatch(_NAME, suffix):
                return False
            self.suffixes.append("." + suffix)
        else:
            return self._add_network(entry) or self._add_name(entry)
        return True

    def _add_network(self, entry: str) -> bool:
        try:
            self.networks.append(ipaddress.ip_network(_normal(entry), strict=False))
        except ValueError:
            return False
        return True

    def _add_name(self, entry: str) -> bool:
        name = _normal(entry).rstrip(".")
        if not re.fullmatch(_NAME, name) or re.fullmatch(_NUMERIC, name.rpartition(".")[2]):
            return False
        self.names.add(name)
        return True

    def allow(self, host: str) -> bool:
        host = _normal(host)
        if (address := _literal(host)) is not None:
            return self._allow_address(address)
        name = host.removesuffix(".")
        if not re.fullmatch(_NAME, name) or re.fullmatch(_NUMERIC, name.rpartition(".")[2]):
            return False
        if name in self.names or any(name.endswith(suffix) for suffix in self.suffixes):
            return True
        if name == "localhost" or name.endswith(".localhost"):
            return self.loopback
        # A service name of Docker or Kubernetes (`litellm`) has one label, and no public name has
        # unless the dot at its end says that it is one of the root's.
        return self.private and "." not in host

    def _allow_address(self, address: _Address) -> bool:
        # The unspecified address connects to this machine; gateways' manuals write 0.0.0.0.
        if self.loopback and (address.is_loopback or address.is_unspecified):
            return True
        if self.private and any(address in network for network in PRIVATE):
            return True
        return any(address in network for network in self.networks)


_rules_of: object = None
_rules = _Rules(())


def may_receive(host: str) -> bool:
    """Whether `host`, as a URL names it, may receive trace context and attribution.

    - `loopback`: 127.0.0.0/8, `::1`, the unspecified address, `localhost`, `*.localhost`.
    - `private`: RFC 1918 and RFC 4193 addresses, and names of a single label such as `litellm`.
    - `*.suffix` covers every name below the suffix, not the suffix itself.
    - IPv4 addresses count only in the form `a.b.c.d`; other spellings of numbers never do.
    """
    global _rules_of, _rules
    chosen = settings()
    if chosen is not _rules_of:
        _rules, _rules_of = _Rules(chosen.propagate_to), chosen
    known = _rules.known
    answer = known.get(host)
    if answer is None:
        if len(known) >= 1024:
            known.clear()
        answer = known[host] = _rules.allow(host)
    return answer
