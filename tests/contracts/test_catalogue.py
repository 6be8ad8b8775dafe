"""What the database itself says about who may see what, read from its catalogue."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from ironworks.app.dev import kind_migration
from ironworks.app.domains import collect
from ironworks.shared.context import Services
from ironworks.shared.db import Database, UnsafeRole
from ironworks.shared.migrations import LOGIN_ROLES, PACKAGE
from tests.support.lower import NoVault
from tests.support.postgres import PASSWORD, TEMPLATE, Server, TestDatabase, _execute, run_apart

OURS = "n.nspname ~ '^(shared$|platform_|inference_|tokenfactory_|gpuaas_|appplatform_|assistant_)'"
NOBODYS = {
    "shared.migration": "names and checksums of our own files",
    "shared.kind": "which kinds there are; the API describes them to everyone",
    "shared.change_head": "two counters",
    "shared.work_item": "kinds and uids that wait for the worker, which alone reads it",
    "shared.work_pin": "uids and host names, for the worker alone",
    "shared.queue_worker": "our own processes, for the worker alone",
    "platform_registry.entry": "the words that domains declare",
    "platform_registry.entry_version": "what those words said before",
    "platform_registry.registry_version": "a counter",
}
"""Tables that hold no tenant's data, and why they need no policies."""
PARTED = {"platform_metering.usage_event", "platform_metering.usage_rest"}
"""A table in months, which functions make and drop while it is used: these run as its owner, who cannot log in."""


@pytest.fixture
async def admin(database: TestDatabase) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(database.admin)
    yield connection
    await connection.close()


async def test_every_table_forces_row_level_security(admin: asyncpg.Connection[asyncpg.Record]) -> None:
    rows = await admin.fetch(
        f"""
        select format('%s.%s', n.nspname, c.relname) as name, c.relrowsecurity and c.relforcerowsecurity as forced,
               c.relowner::regrole::text as owner,
               exists (select from pg_policy p where p.polrelid = c.oid) as policies
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where {OURS} and c.relkind in ('r', 'p')"""
    )
    assert len(rows) > 40
    assert {row["name"] for row in rows if row["owner"] != "ironworks_owner"} == PARTED
    assert {row["owner"] for row in rows if row["name"] in PARTED} == {"ironworks_system"}
    assert {row["name"] for row in rows if not (row["forced"] and row["policies"])} == set(NOBODYS)


async def test_what_has_no_policies_holds_nothing_of_a_tenant(admin: asyncpg.Connection[asyncpg.Record]) -> None:
    columns = await admin.fetch(
        "select attname from pg_attribute where attrelid = any ($1::text[]::regclass[]) and attnum > 0", list(NOBODYS)
    )
    assert not {"scope", "path", "subject", "spec", "payload"} & {row["attname"] for row in columns}
    for table in (name for name in NOBODYS if "work" in name):
        assert not await admin.fetchval("select has_any_column_privilege('ironworks_api', $1, 'select')", table)


async def test_a_view_asks_the_policies_of_its_tables(admin: asyncpg.Connection[asyncpg.Record]) -> None:
    rows = await admin.fetch(
        f"select c.relname, c.relkind::text as kind, c.reloptions from pg_class c"
        f" join pg_namespace n on n.oid = c.relnamespace where {OURS} and c.relkind in ('v', 'm', 'f')"
    )
    assert {row["relname"] for row in rows} == {"rated_line", "trail"}
    assert all(row["kind"] == "v" and "security_invoker=true" in row["reloptions"] for row in rows)


async def test_policies_for_login_roles_ask_about_the_caller(admin: asyncpg.Connection[asyncpg.Record]) -> None:
    """The API has no policy that is true for everybody: each one asks about grants or about the subject."""
    rows = await admin.fetch(
        f"""
        select format('%s.%s %s', n.nspname, c.relname, p.polname) as name,
               pg_get_expr(p.polqual, p.polrelid) as qual, pg_get_expr(p.polwithcheck, p.polrelid) as "check",
               (select array_agg(r.rolname::text) from pg_roles r where r.oid = any (p.polroles)) as roles,
               0 = any (p.polroles) as for_all, p.polpermissive as permissive
        from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace
        where {OURS}"""
    )
    assert not [row["name"] for row in rows if row["for_all"]]
    api = [row for row in rows if "ironworks_api" in row["roles"]]
    assert len(api) > 40
    asking = re.compile(r"shared\.[a-z_]+\(")
    for row in api:
        told = [text for text in (row["qual"], row["check"]) if text]
        assert row["name"] in ASK_NOTHING or asking.search(" ".join(told)), f"{row['name']} asks nothing: {told}"
        assert row["qual"] != "true", row["name"]
    only_known = {
        row["name"] for row in api if not re.search("granted|writes_at|may_write", f"{row['qual']} {row['check']}")
    }
    assert only_known <= ASK_ONLY_WHO | ASK_NOTHING, only_known - ASK_ONLY_WHO - ASK_NOTHING


ASK_NOTHING = {"platform_payments.notice api_add"}  # a provider tells of a payment: its signature was checked before
ASK_ONLY_WHO = {
    "platform_console.feature api_read",  # features are published to every subject
    "platform_console.feature_switch api_read",  # sees(): whoever sees anything of the platform
    "platform_invoices.billing_details api_read_issuer",  # the installation's own address, on every invoice
    "platform_payments.difference api_read",  # allows(), at the operator's scope, as the next two
    "platform_payments.reconciliation api_read",
    "platform_payments.refund api_add",
    "platform_subscriptions.plan api_read",  # plans are published to every subject
    "platform_pricing.price api_read",  # the price book is published to every subject
    "platform_audit.pending api_append",  # a record says who acted, and is insert-only
    "shared.idempotency own",
    "shared.dead_letter api_read",  # allows(), at the operator's scope
    "shared.dead_letter api_replay",
}
"""Policies that ask who the caller is, or about the operator's scope alone, and not about a row's scope."""


async def test_login_roles_can_do_nothing_by_themselves(admin: asyncpg.Connection[asyncpg.Record]) -> None:
    roles = await admin.fetch(
        """
        select rolname, rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication as mighty,
               exists (select from pg_auth_members m where m.member = r.oid) as member,
               exists (select from pg_class c where c.relowner = r.oid) as owner,
               exists (select from pg_proc p where p.proowner = r.oid) as owner_of_functions,
               exists (select from pg_namespace n where n.nspowner = r.oid) as owner_of_schemas
        from pg_roles r where rolname ~ '^ironworks_'"""
    )
    found = {role["rolname"]: role for role in roles}
    for name in LOGIN_ROLES:
        assert not any(list(found[name].values())[1:]), found[name]
    for name in ("ironworks_owner", "ironworks_system"):
        assert not found[name]["mighty"]
        assert not await admin.fetchval("select rolcanlogin from pg_roles where rolname = $1", name)
    members = await admin.fetch(
        "select member::regrole::text as m, roleid::regrole::text as r from pg_auth_members"
        " where roleid::regrole::text ~ '^ironworks_' and member::regrole::text <> 'postgres'"
    )
    assert [(row["m"], row["r"]) for row in members] == [("ironworks_owner", "ironworks_system")]


async def test_login_roles_can_create_nothing(admin: asyncpg.Connection[asyncpg.Record]) -> None:
    for role in LOGIN_ROLES:
        schemas = await admin.fetch(
            "select nspname from pg_namespace where has_schema_privilege($1, oid, 'create')"
            " and nspname !~ '^pg_(temp|toast_temp)'",
            role,
        )
        assert schemas == []
        assert not await admin.fetchval("select has_database_privilege($1, current_database(), 'create')", role)
        # a copy of a database has not the rights that were given and taken at the original
        assert not await admin.fetchval("select has_database_privilege($1, $2, 'temporary')", role, TEMPLATE)


async def test_the_api_writes_no_status_and_no_version(admin: asyncpg.Connection[asyncpg.Record]) -> None:
    owned = ("uid", "scope", "name", "status", "generation", "resource_version", "creation_timestamp")
    for table in await admin.fetch("select table_name from shared.kind"):
        name = table["table_name"]
        writable = [c for c in owned if await admin.fetchval(
            "select has_column_privilege('ironworks_api', $1, $2, 'update')", name, c)]  # fmt: skip
        assert writable == [], name
        assert not await admin.fetchval("select has_column_privilege('ironworks_api', $1, 'status', 'insert')", name)
        worker = [c for c in ("spec", "labels", "scope", "deletion_timestamp") if await admin.fetchval(
            "select has_column_privilege('ironworks_worker', $1, $2, 'update')", name, c)]  # fmt: skip
        assert worker == [], name


async def test_definer_functions_cannot_be_led_astray(admin: asyncpg.Connection[asyncpg.Record]) -> None:
    rows = await admin.fetch(
        f"""
        select p.oid::regprocedure::text as name, p.prosecdef as definer, p.proowner::regrole::text as owner,
               coalesce(array_to_string(p.proconfig, ','), '') as config,
               exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
                       where a.grantee = 0) as open
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace where {OURS}"""
    )
    definers = [row for row in rows if row["definer"]]
    assert len(definers) > 40
    assert not [row["name"] for row in rows if row["open"]], "EXECUTE for PUBLIC"
    for row in definers:
        assert row["owner"] == "ironworks_system", row["name"]
        told = row["config"].removesuffix(",max_parallel_workers_per_gather=0")  # a matter of speed
        assert re.fullmatch(r"search_path=pg_catalog, (public, )?pg_temp", told), row


async def test_foreign_keys_leave_a_schema_only_where_a_kind_declares_a_reference(
    admin: asyncpg.Connection[asyncpg.Record],
) -> None:
    rows = await admin.fetch(
        f"""
        select n.nspname || '.' || c.relname as "table", a.attname as "column", m.nspname || '.' || t.relname as target,
               k.confdeltype::text as on_delete
        from pg_constraint k
        join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
        join pg_class t on t.oid = k.confrelid join pg_namespace m on m.oid = t.relnamespace
        join pg_attribute a on a.attrelid = c.oid and a.attnum = k.conkey[1]
        where {OURS} and k.contype = 'f' and n.oid <> m.oid"""
    )
    catalogue = collect()
    tables = {kind.name: kind.table for kind in catalogue.kinds}
    declared = {
        (
            (kind.link_table(field), "target", tables[target])
            if "[]" in field
            else (kind.table, "ref_" + field.replace(".", "_"), tables[target])
        )
        for kind in catalogue.kinds
        for field, target in kind.references.items()
        if tables[target].split(".")[0] != kind.schema
    }
    assert {(row["table"], row["column"], row["target"]) for row in rows} == declared
    assert {row["on_delete"] for row in rows} == {"r"}


async def test_the_database_knows_the_kinds_as_they_are_declared(admin: asyncpg.Connection[asyncpg.Record]) -> None:
    catalogue = collect()
    tables = {kind.name: kind.table for kind in catalogue.kinds}
    stored = {row["kind"]: row for row in await admin.fetch("select *, refs::text as pairs from shared.kind")}
    assert set(stored) == set(tables)
    for kind in catalogue.kinds:
        row = stored[kind.name]
        assert (row["table_name"], row["resource"]) == (kind.table, kind.resource)
        assert (row["inherited"], row["node"], row["reconciled"]) == (kind.inherited, kind.node, kind.reconciled)
        columns = {"ref_" + field.replace(".", "_") for field in kind.references if "[]" not in field}
        for field in set(kind.references) - {f for f in kind.references if "[]" not in f}:
            assert await admin.fetchval("select to_regclass($1) is not null", kind.link_table(field)), field
        found = await admin.fetch(
            "select attname from pg_attribute where attrelid = $1::text::regclass and attname ~ '^ref_'", kind.table
        )
        assert {c["attname"] for c in found} == columns


def test_a_kind_s_migration_is_what_ironworks_dev_kind_writes() -> None:
    catalogue = collect()
    tables = {kind.name: kind.table for kind in catalogue.kinds}
    migrations = " ".join(file.read_text() for file in PACKAGE.rglob("sql/[0-9]*.sql"))
    written = "".join(migrations.split())
    for kind in catalogue.kinds:
        assert "".join(kind_migration(kind, tables, with_schema=False).split()) in written, kind.name


# --- a process refuses to serve with a role that could see too much ---------------------------------------------------

UNSAFE = {
    "superuser": ("alter role {0} superuser", "is a superuser"),
    "bypassing": ("alter role {0} bypassrls", "may bypass row-level security"),
    "owner": ("create table public.{0}_table (); alter table public.{0}_table owner to {0}", "owns tables"),
    "member": ("grant ironworks_owner to {0}", "is a member of another role"),
    "noinherit": ("grant ironworks_system to {0} with inherit false", "is a member of another role"),
}


@pytest.fixture
def role(postgres: Server, database: TestDatabase) -> Iterator[str]:
    name = f"unsafe_{database.name}"
    run_apart(lambda: _execute(database.admin, f"create role {name} login password '{PASSWORD}'"))
    yield name
    run_apart(lambda: _execute(database.admin, f"drop owned by {name}", f"drop role {name}"))


@pytest.mark.parametrize("kind", sorted(UNSAFE))
async def test_an_unsafe_role_is_refused(database: TestDatabase, role: str, kind: str) -> None:
    statement, told = UNSAFE[kind]
    await _execute(database.admin, statement.format(role))
    url = database.url("api").replace("ironworks_api", role)
    with pytest.raises(UnsafeRole, match=told):
        await Database.connect(url, Services(None, NoVault()))  # type: ignore[arg-type]
