"""Who owns what: every route, table and event belongs to exactly one domain, and this tells which."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ironworks.app.domains import DOMAINS, Catalogue
from ironworks.shared.http import Route, Router
from ironworks.shared.migrations import PACKAGE

_OTHERS = {"shared.kinds": "shared", "app.operations": "app"}
"""Where routes come from that no domain owns, and the package that does."""


def routes_of(routers: list[Router]) -> list[Route]:
    """Every route, in a stable order."""
    return sorted((r for router in routers for r in router.routes), key=lambda r: (r.path, r.method))


def ownership_problems(catalogue: Catalogue, routers: list[Router]) -> list[str]:
    """Paths and event subjects that two domains claim, and those outside of their owner's family."""
    owners: dict[str, str] = {}
    claims = [(re.sub(r"\{[a-z_]+\}", "{}", route.path), route.domain) for route in routes_of(routers)]
    problems = []
    for source, declared in catalogue.declarations.items():
        domain = source.removeprefix("products.")
        claims += [(event.type, domain) for event in declared.events]
        problems += [
            f"{event.type} is published by {domain}: its name must begin with {domain}."
            for event in declared.events
            if not event.type.startswith(f"{domain}.")
        ]
    for what, domain in claims:
        first = owners.setdefault(what, domain)
        if first != domain:
            problems.append(f"{what} is owned by {first} and by {domain}")
    return problems


def ownership_map(catalogue: Catalogue, routers: list[Router]) -> str:
    """Domain → package, kinds, routes, tables, events, as Markdown."""
    lines = ["# Who owns what", ""]
    for domain in DOMAINS:
        short = domain.removeprefix("products.")
        schema = short.replace(".", "_")
        lines += [f"## {short}", "", f"- package: `ironworks.{domain}`; schema: `{schema}`"]
        if kinds := [k for k in catalogue.kinds if k.schema == schema]:
            lines.append("- kinds: " + ", ".join(f"{k.name} (`{k.table}`)" for k in kinds))
        lines += _listed("tables", _tables(domain))
        lines += _listed("routes", _families(short, routers))
        declared = catalogue.declarations.get(domain)
        lines += _listed("events", (e.type for e in declared.events) if declared else ())
        lines.append("")
    for source, package in _OTHERS.items():
        lines += [f"## {source}", "", f"- package: `ironworks.{package}`"]
        lines += _listed("tables", _tables(package) if package == "shared" else ())
        lines += [*_listed("routes", _families(source, routers)), ""]
    return "\n".join(lines)


def _families(domain: str, routers: list[Router]) -> Iterator[str]:
    yield from {r.path.partition("/{name}")[0] for r in routes_of(routers) if r.domain == domain}


def _listed(word: str, items: Iterator[str] | tuple[str, ...]) -> list[str]:
    found = sorted(items)
    return [f"- {word}: " + ", ".join(f"`{i}`" for i in found)] if found else []


def _tables(domain: str) -> Iterator[str]:
    """Tables that a domain's migrations create by name (those of kinds are listed with the kinds)."""
    for file in sorted((PACKAGE / domain.replace(".", "/") / "sql").glob("[0-9]*.sql")):
        yield from re.findall(r"(?im)^\s*create table (?:if not exists )?([a-z_]+\.[a-z_]+)", file.read_text())
