"""Where an external upstream may be: its URL as people write it, and the addresses that nobody may reach through us.

A gateway that sends requests to whatever address a tenant names is a way into the operator's network: to metadata
services, databases, other tenants' replicas. So an upstream must have public addresses unless the operator allows more.
What a name resolves to may change after it was looked at, so whoever connects asks again, about the address it takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, NamedTuple, TypeAlias
from urllib.parse import urlsplit

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

EVERYTHING: Final = "all"
MAX_URL: Final = 1024
_HOST: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*\.?")
_PATH: Final = re.compile(r"(/([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+)*")
_NUMBER: Final = re.compile(r"0x[0-9a-f]*|[0-9]+")
_NAT64: Final = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"))
_LOCAL_ALL_THE_SAME: Final = (ip_network("fec0::/10"), ip_network("168.63.129.16/32"))
"""Public by the registries: site-local addresses of old, and where Azure tells machines about themselves."""


class Base(NamedTuple):
    """A base address, taken apart. `host` is a name in lower case or an address without brackets, `prefix` the path."""

    host: str
    port: int
    tls: bool
    prefix: str

    @property
    def address(self) -> str:
        """`host:port`, an IPv6 host in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def literal(self) -> Address | None:
        """The address, where the host is one and no name."""
        try:
            return ip_address(self.host)
        except ValueError:
            return None


def parse_base(url: str) -> Base:
    """An upstream's URL, such as `https://api.example.com/v1`. Raises ValueError that says what would be right."""
    if len(url) > MAX_URL:
        raise ValueError(f"is over {MAX_URL} characters")
    if not url.isascii() or any(c <= " " or c in '\\"<>^`{|}\x7f' for c in url):
        raise ValueError("holds a character that no URL has; write a name's international form as xn--…")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as problem:
        raise ValueError("is no URL; write https://host/v1") from problem
    if parts.scheme not in ("http", "https"):
        raise ValueError("must begin with http:// or https://")
    if "@" in parts.netloc:
        raise ValueError("holds a user name or password; put what it stands for into auth.credential")
    if "?" in url or "#" in url:
        raise ValueError("must have no query and no fragment")
    if port == 0:
        raise ValueError("names port 0; use 1 to 65535")
    path = parse_path(parts.path.rstrip("/"))
    tls = parts.scheme == "https"
    return Base(_host_of(parts.hostname), port or (443 if tls else 80), tls, path)


def parse_path(path: str) -> str:
    """`path`, which leads nowhere but down: `/v1`, or nothing. Raises ValueError."""
    if not _PATH.fullmatch(path) or any(piece in (".", "..") for piece in path.split("/")):
        raise ValueError("has a path that is none; write for instance /v1")
    return path


def _host_of(host: str | None) -> str:
    """The host in its one spelling. Numbers that some resolvers take for addresses (`127.1`, `0x7f000001`) are none."""
    if not host:
        raise ValueError("names no host")
    if ":" in host:
        if "%" in host:
            raise ValueError("names an interface of this machine")
        return str(IPv6Address(host))
    if _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
        try:
            return str(IPv4Address(host))
        except ValueError:
            raise ValueError(f"{host[:64]!r} is no address; write four decimal numbers or a name") from None
    if len(host) > 253 or not _HOST.fullmatch(host):
        raise ValueError(f"{host[:64]!r} is no host name")
    return host.rstrip(".")


def _facts(address: Address) -> list[Address]:
    """The address and those that it carries inside: a packet to it may end at any of them."""
    found = [address]
    if isinstance(address, IPv6Address):
        inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if any(address in network for network in _NAT64):
            inner.append(IPv4Address(int(address) & 0xFFFFFFFF))
        found += [each for each in inner if each is not None]
        if address.ipv4_mapped is not None:
            found.remove(address)  # it is the IPv4 address in another spelling
    return found


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Which addresses an upstream may have: public ones, and those that the operator allows."""

    allowed: tuple[Network, ...] = ()

    @classmethod
    def parse(cls, texts: Iterable[str]) -> AddressPolicy:
        """From CIDR notations or the word `all`. Raises ValueError, naming the text that is neither."""
        networks: list[Network] = []
        for text in texts:
            if text == EVERYTHING:
                networks += [IPv4Network("0.0.0.0/0"), IPv6Network("::/0")]
                continue
            try:
                networks.append(ip_network(text))
            except ValueError:
                raise ValueError(f"{text!r} is neither a network such as 10.0.0.0/8 nor the word 'all'") from None
        return cls(tuple(networks))

    @property
    def allows_everything(self) -> bool:
        """Nothing needs to be looked at."""
        return all(any(n.version == v and n.prefixlen == 0 for n in self.allowed) for v in (4, 6))

    def permits(self, address: Address | str) -> bool:
        """Whether a connection may be made to `address`; False for text that is no address."""
        if isinstance(address, str):
            try:
                address = ip_address(address.partition("%")[0])
            except ValueError:
                return False
        return all(self._permits(each) for each in _facts(address))

    def _permits(self, address: Address) -> bool:
        if any(address.version == network.version and address in network for network in self.allowed):
            return True
        if any(address in network for network in _LOCAL_ALL_THE_SAME):
            return False
        return address.is_global and not address.is_multicast and not address.is_reserved


def private_address(host: str) -> str:
    """The refusal's words, the same wherever it is made."""
    return (
        f"{host} is not a public address; upstreams must be public unless the operator allows their network "
        "(IRONWORKS_PRIVATE_UPSTREAMS)"
    )
