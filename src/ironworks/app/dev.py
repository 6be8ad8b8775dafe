"""`python -m ironworks.app dev …`: what `ironworks dev` asks for, where the domains can be imported."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

from ironworks.app.contracts import PUBLISHED, documents, published_problems, schema_document, write_contracts
from ironworks.app.domains import collect
from ironworks.app.scratch import scratch_database
from ironworks.app.settings import Settings
from ironworks.shared.kind import Kind, snake
from ironworks.shared.migrations import PACKAGE, discover

_SHOWN = 20


def main(settings: Settings, arguments: Sequence[str]) -> int:
    """Run one tool; returns the exit status."""
    parser = argparse.ArgumentParser(prog="ironworks dev")
    tools = parser.add_subparsers(dest="tool", required=True)
    kind = tools.add_parser("kind", help="write the migration of a declared kind")
    kind.add_argument("domain", help="for instance products.gpuaas.storage")
    kind.add_argument("name", help="for instance Bucket")
    contracts = tools.add_parser("contracts", help="regenerate contracts/")
    contracts.add_argument("--check", action="store_true", help="only compare")
    contracts.add_argument("--publish", action="store_true", help="promise from now on what the documents say")
    contracts.add_argument("--database", help="administrator's URL of a migrated database; one of its own without it")
    found = parser.parse_args(arguments)
    if found.tool == "kind":
        return _write_kind(found.domain, found.name)
    return _contracts(Path("contracts"), found.database, check=found.check, publish=found.publish)


def _contracts(folder: Path, database: str | None, *, check: bool, publish: bool) -> int:
    made = documents()
    with contextlib.nullcontext(database) if database else scratch_database() as url:
        made["schema.sql"] = asyncio.run(schema_document(url))
    broken = [] if publish else published_problems(folder, made)
    stale = write_contracts(folder, made, check=check)
    for name in stale:
        sys.stdout.write(f"{folder}/{name} {'is out of date' if check else 'written'}\n")
    for problem in broken[:_SHOWN]:
        sys.stderr.write(f"breaks who keeps to {folder}/published: {problem}\n")
    if len(broken) > _SHOWN:
        sys.stderr.write(f"… and {len(broken) - _SHOWN} more\n")
    if publish:
        write_contracts(folder / "published", {name: made[name] for name in PUBLISHED}, check=False)
    return 1 if broken or (stale and check) else 0


def _write_kind(domain: str, name: str) -> int:
    catalogue = collect()
    own = collect((domain,)).kinds
    kind = next((k for k in own if k.name == name), None)
    if kind is None:
        known = ", ".join(k.name for k in own) or "none"
        sys.stderr.write(f"ironworks: {domain}/model.py declares no kind {name!r} (it declares: {known})\n")
        return 2
    tables = {k.name: k.table for k in (*catalogue.kinds, *own)}
    folder = PACKAGE / domain.replace(".", "/") / "sql"
    number = max((m.number or 0 for m in discover()), default=0) + 1
    file = folder / f"{number:04}_{snake(name)}.sql"
    folder.mkdir(exist_ok=True)
    first = not list(folder.glob("[0-9]*.sql"))
    file.write_text(kind_migration(kind, tables, with_schema=first))
    sys.stdout.write(
        f"{file.relative_to(PACKAGE.parent.parent)} written; `ironworks dev contracts` shows what it adds\n"
    )
    return 0


def kind_migration(kind: Kind, tables: dict[str, str], *, with_schema: bool) -> str:
    """The SQL that makes a kind's table: one line, after the domain's schema where that is new."""
    options = [f"'{kind.name}'", f"'{kind.table}'"]
    options += [f"{word} => true" for word in ("inherited", "node") if getattr(kind, word)]
    if not kind.reconciled:
        options.append("reconciled => false")
    if kind.references:
        pairs = ", ".join(f'"{field}": "{tables[target]}"' for field, target in sorted(kind.references.items()))
        options.append(f"refs => '{{{pairs}}}'")
    lines = [f"select shared.create_domain_schema('{kind.schema}');"] if with_schema else []
    return "\n".join([*lines, f"select shared.create_kind_table({', '.join(options)});"]) + "\n"
