"""Migrations: every domain's `sql/NNNN_name.sql`, numbered over the whole project, applied once and never changed;
then each domain's `sql/policy.sql`, and `policy_*.sql` where it has a second, applied again whenever they change.

Files run as `ironworks_owner`, each in its own transaction with a lock timeout, so that a migration that would wait
for a busy table gives up instead of stopping the world. The login roles own nothing; they are made here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

PACKAGE = Path(__file__).parent.parent
LOGIN_ROLES = ("ironworks_api", "ironworks_worker", "ironworks_gateway")
LOCK_TIMEOUT = "5s"
_ONE_AT_A_TIME = 0x49524F4E  # "IRON": the advisory lock every migrator takes
_POLICY = re.compile(r"policy(_[a-z_]+)?\.sql")
_NUMBERED = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")


class MigrationError(RuntimeError):
    """The files and the database do not fit each other; the message says which file and what to do."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file. `number` is None for policies."""

    number: int | None
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def discover(root: Path = PACKAGE) -> list[Migration]:
    """All migrations in order: numbered ones by number, then the policies, `shared` first.

    Raises MigrationError when two files share a number or a name does not fit.
    """
    numbered: dict[int, Migration] = {}
    policies = []
    for file in sorted(root.rglob("sql/*.sql")):
        domain = file.parent.parent.relative_to(root).as_posix()
        if _POLICY.fullmatch(file.name):
            policies.append(Migration(None, domain + file.stem.removeprefix("policy"), file.read_text()))
            continue
        match = _NUMBERED.fullmatch(file.name)
        if not match:
            raise MigrationError(f"{domain}/sql/{file.name}: name it NNNN_words.sql or policy.sql")
        number = int(match[1])
        if number in numbered:
            raise MigrationError(f"{domain}/sql/{file.name} and {numbered[number].name} share the number {number:04}")
        numbered[number] = Migration(number, f"{domain}/{match[2]}", file.read_text())
    return [numbered[n] for n in sorted(numbered)] + sorted(policies, key=lambda m: (m.name != "shared", m.name))


async def migrate(admin_url: str, passwords: Mapping[str, str], root: Path = PACKAGE) -> list[str]:
    """Bring the database at `admin_url` up to date; returns the names of what was applied.

    `passwords` gives each login role's password. The admin needs CREATEROLE and CREATE on the database (a superuser
    does). Safe to run from several processes at once.
    """
    conn = await asyncpg.connect(admin_url)
    try:
        await conn.execute("select pg_advisory_lock($1)", _ONE_AT_A_TIME)
        await _prepare(conn, passwords)
        await conn.execute(f"set role ironworks_owner; set lock_timeout = '{LOCK_TIMEOUT}'")
        return await _apply_all(conn, discover(root))
    finally:
        await conn.close()


async def _prepare(conn: Any, passwords: Mapping[str, str]) -> None:
    for role in ("ironworks_system", "ironworks_owner"):
        await _ensure_role(conn, role, "nologin")
    for role in LOGIN_ROLES:
        await _ensure_role(conn, role, "login nosuperuser nocreatedb nocreaterole nobypassrls")
        if role in passwords:
            await _retry(conn, f"alter role {role} password {_literal(passwords[role])}")
    await _retry(conn, "grant ironworks_system to ironworks_owner")
    await _retry(conn, "grant ironworks_owner to current_user")
    await conn.execute(
        """
        create extension if not exists ltree with schema public;
        create schema if not exists shared authorization ironworks_owner;
        grant usage on schema shared to ironworks_api, ironworks_worker, ironworks_gateway;
        grant usage, create on schema shared to ironworks_system;
        create table if not exists shared.migration (
          name text primary key, number int unique, checksum text not null,
          applied_at timestamptz not null default now());
        alter table shared.migration owner to ironworks_owner;
        """
    )
    database = await conn.fetchval("select quote_ident(current_database())")
    await conn.execute(
        f"grant create on database {database} to ironworks_owner; revoke temporary on database {database} from public"
    )


async def _ensure_role(conn: Any, role: str, options: str) -> None:
    if not await conn.fetchval("select exists (select from pg_roles where rolname = $1)", role):
        try:
            await conn.execute(f"create role {role} {options}")
        except (asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
            return  # roles belong to the whole server: another database's migrator was first


async def _retry(conn: Any, statement: str, attempts: int = 20) -> None:
    """Two databases' migrators may touch the same role row at once."""
    for attempt in range(attempts):
        try:
            await conn.execute(statement)
            return
        except asyncpg.InternalServerError as problem:
            if "concurrently updated" not in str(problem) or attempt == attempts - 1:
                raise


async def _apply_all(conn: Any, migrations: list[Migration]) -> list[str]:
    known = {r["name"]: r["checksum"] for r in await conn.fetch("select name, checksum from shared.migration")}
    applied = []
    for migration in migrations:
        if known.get(migration.name) == migration.checksum:
            continue
        if migration.number is not None and migration.name in known:
            raise MigrationError(
                f"{migration.name} was applied already and has changed since: put the change into a new file"
            )
        await _apply(conn, migration)
        applied.append(migration.name)
    return applied


async def _apply(conn: Any, migration: Migration) -> None:
    try:
        async with conn.transaction():
            await conn.execute(migration.sql)
            await conn.execute(
                "insert into shared.migration (name, number, checksum) values ($1, $2, $3)"
                " on conflict (name) do update set checksum = excluded.checksum, applied_at = now()",
                migration.name, migration.number, migration.checksum,
            )  # fmt: skip
    except asyncpg.PostgresError as problem:
        raise MigrationError(f"{migration.name}: {problem}") from problem


def _literal(text: str) -> str:
    """`text` as a string literal; backslashes are ordinary characters in one (standard_conforming_strings)."""
    return "'" + text.replace("'", "''") + "'"
