"""How single variables of the environment are read: each function adds what is wrong to `problems` and goes on.

A problem names the variable and what would be right; a value that may be a credential is not shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from ironworks.shared.supervision import LISTEN_FDS

Encoding = Literal["http/json", "http/protobuf"]


def role_urls(ours: Mapping[str, str], problems: list[str]) -> dict[str, str]:
    """The database as each login role that has a URL of its own."""
    urls = {
        role: url(f"IRONWORKS_{role.upper()}_DATABASE_URL", ours, ("postgresql", "postgres"), problems)
        for role in ("api", "worker", "gateway")
    }
    return {role: found for role, found in urls.items() if found is not None}


def openid_provider(ours: Mapping[str, str], problems: list[str]) -> tuple[str, str] | None:
    """The OpenID provider's issuer and our client id there."""
    issuer, client = ours.get("IRONWORKS_OIDC_ISSUER"), ours.get("IRONWORKS_OIDC_CLIENT_ID")
    if (issuer is None) != (client is None):
        problems.append("IRONWORKS_OIDC_ISSUER and IRONWORKS_OIDC_CLIENT_ID belong together: set both or none")
    if issuer is None or client is None:
        return None
    parts = urlsplit(issuer)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")):
        problems.append("IRONWORKS_OIDC_ISSUER: must begin with https://, or be on this machine")
    return issuer, client


def file(name: str, ours: Mapping[str, str], problems: list[str]) -> Path | None:
    """A file that is there."""
    if name not in ours:
        return None
    path = Path(ours[name]).expanduser().absolute()
    if not path.is_file():
        problems.append(f"{name}={ours[name]}: there is no such file")
    return path


def certificate(name: str, key: str, ours: Mapping[str, str], problems: list[str]) -> tuple[Path, Path] | None:
    """A certificate and its key."""
    if (name in ours) != (key in ours):
        problems.append(f"{name} and {key} belong together: set both or none")
    return (Path(ours[name]).absolute(), Path(ours[key]).absolute()) if name in ours and key in ours else None


def number(name: str, text: str, low: int, high: int, problems: list[str]) -> int:
    """A whole number within bounds."""
    if text.isascii() and text.isdigit() and low <= int(text) <= high:
        return int(text)
    problems.append(f"{name}={text}: must be a whole number from {low} to {high}")
    return low


def encoding(name: str, ours: Mapping[str, str], problems: list[str]) -> Encoding:
    """How spans are written."""
    given = ours.get(name, "http/json")
    if given not in ("http/json", "http/protobuf"):
        problems.append(f"{name}={given}: must be http/json or http/protobuf")
    return "http/protobuf" if given == "http/protobuf" else "http/json"


def url(name: str, ours: Mapping[str, str], schemes: tuple[str, ...], problems: list[str]) -> str | None:
    """An address of one of these schemes, without a slash at its end."""
    if name not in ours:
        return None
    url = ours[name].rstrip("/")
    if urlsplit(url).scheme not in schemes:  # the value may hold a password: do not show it
        problems.append(f"{name}: must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    return url


def origins(name: str, ours: Mapping[str, str], problems: list[str]) -> tuple[str, ...] | None:
    """Origins as browsers write them, `*` among them; None for the word `off`."""
    found = tuple(word.strip() for word in ours.get(name, "").split(",") if word.strip())
    if found == ("off",):
        return None
    for word in found:
        if word != "*" and origin_of(word) != word.lower().rstrip("/"):
            problems.append(f"{name}: {word[:200]!r} is no origin such as https://app.example.com, nor * or off")
    return tuple(word if word == "*" else word.lower().rstrip("/") for word in found)


def origin_of(url: str) -> str:
    """The origin of an address as browsers write it, without the port where that is the scheme's own; empty if none."""
    try:
        parts = urlsplit(url.lower())
        port = parts.port
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    usual = port in (None, 80 if parts.scheme == "http" else 443)
    return f"{parts.scheme}://{host}" + ("" if usual else f":{port}")


def networks(name: str, ours: Mapping[str, str], problems: list[str]) -> tuple[str, ...]:
    """Networks in CIDR notation, or the word `all`."""
    found = tuple(word.strip() for word in ours.get(name, "").split(",") if word.strip())
    for word in found:
        try:
            if word != "all":
                ip_network(word)
        except ValueError:
            problems.append(f"{name}: {word[:64]!r} is neither a network such as 10.0.0.0/8 nor the word all")
    return found


def headers(name: str, ours: Mapping[str, str], problems: list[str]) -> dict[str, str]:
    """Headers by name."""
    pairs = [word.strip().partition("=") for word in ours.get(name, "").split(",") if word.strip()]
    if any(not (header and equals) or "\n" in value or "\r" in value for header, equals, value in pairs):
        problems.append(f"{name}: must be name=value,name=value")  # a value may be a credential: do not show it
        return {}
    return {header: value for header, _, value in pairs}


def listen_fds(text: str, problems: list[str]) -> dict[str, int]:
    """File descriptors by name."""
    pairs = [word.partition("=") for word in text.split(",") if word]
    if any(not fd.isdigit() for _, _, fd in pairs):
        problems.append(f"{LISTEN_FDS}={text}: must be name=fd,name=fd")
        return {}
    return {name: int(fd) for name, _, fd in pairs}
