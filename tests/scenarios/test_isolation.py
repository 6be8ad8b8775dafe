"""Isolation: each subject sees and changes exactly what its grants say, whichever way in it takes.

Random trees of scopes, roles, assignments, users, service accounts and keys, with objects of every kind; what the API
and the database (as the role `ironworks_api`) let through is compared with a model in a page of Python.
"""

from __future__ import annotations

import itertools
import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ironworks.platform import iam
from ironworks.platform.iam.tokens import sign_session
from ironworks.shared.kind import Kind
from tests.scenarios.grants import ACTIONS, INHERITED, LEVELS, WORDS, Model, Path, Plan, Thing, plans, reaches
from tests.support.api import ApiWorld, Caller

Who = tuple[str, int]
EXAMPLES = 12
_numbers = itertools.count()

TRY_ALL = """
create function public.try_all(things jsonb) returns table (uid uuid, op text, outcome text) language plpgsql as $$
declare
  thing record;
  changed int;
begin
  for thing in select * from jsonb_to_recordset(things) as t (uid uuid, "table" text, op text, change text) loop
    uid := thing.uid;
    op := thing.op;
    begin
      execute thing.change using thing.uid;
      get diagnostics changed = row_count;
      raise exception using errcode = 'TT001', message = case changed when 0 then 'hidden' else 'done' end;
    exception
      when sqlstate 'TT001' then outcome := sqlerrm;
      when insufficient_privilege then outcome := 'denied';
      when sqlstate 'IW499' then outcome := 'done'; -- the policies let it through, a rule of the domain did not
    end;
    return next;
  end loop;
end $$;
grant execute on function public.try_all(jsonb) to ironworks_api;
"""
"""Tries each change as the caller, takes it back, and says whether it was let through."""


@dataclass
class Made:
    """A plan come true: names are prefixed so that many worlds fit into one database."""

    world: ApiWorld
    plan: Plan
    model: Model
    prefix: str
    things: list[Thing]
    callers: dict[Who, Caller]
    uids: dict[Who, UUID]

    def path(self, path: Path) -> str:
        """As people write it."""
        return ".".join((f"{self.prefix}-{path[0]}", *path[1:])) if path else "-"

    def name(self, thing: str) -> str:
        return f"{self.prefix}-{thing}"

    def kind(self, name: str) -> Kind:
        return self.world.process.catalogue.kind(name)

    def url(self, thing: Thing) -> str:
        return f"scopes/{self.path(thing.scope)}/{self.kind(thing.kind).plural}/{self.written_name(thing)}"

    def written_name(self, thing: Thing) -> str:
        return self.name(thing.name) if thing.kind == "Account" else thing.name

    def mine(self, items: list[dict[str, Any]]) -> set[str]:
        """Uids of what belongs to this world."""
        known = {thing.uid for thing in self.things}
        found = {item["metadata"]["uid"] for item in items}
        assert len(found) == len(items), "the same thing twice"
        return found & known


async def come_true(world: ApiWorld, plan: Plan) -> Made:
    made = Made(world, plan, Model(plan), f"w{next(_numbers)}", [], {}, {})
    for node in plan.nodes:
        kind = ("Account", "Platform", "Tenant")[min(len(node), 3) - 1]
        await create(made, kind, node[:-1], node[-1], {})
    for n, role in enumerate(plan.roles):
        await create(made, "Role", role.scope, made.name(f"role{n}"), {"permissions": sorted(role.permissions)})
    for n, subject in enumerate(plan.subjects):
        if subject.scope is None:
            thing = await create(made, "User", (), made.name(f"user{n}"), {"email": email(made, n)})
        else:
            thing = await create(made, "ServiceAccount", subject.scope, made.name(f"sa{n}"), {})
        made.uids["subject", n] = UUID(thing.uid)
    for n, assignment in enumerate(plan.assignments):
        role = plan.roles[assignment.role]
        spec = {
            "subject": subject_name(made, assignment.subject),
            "role": f"{made.path(role.scope)}/{made.name(f'role{assignment.role}')}",
        }
        await create(made, "RoleAssignment", assignment.scope, made.name(f"assignment{n}"), spec)
    for n in range(len(plan.keys)):
        await issue_key(made, n)
    for n, (kind, scope) in enumerate(plan.objects):
        await create(made, kind, scope, made.name(f"object{n}"), SPECS.get(kind, {}))
    await settle(made)
    return made


SPECS: dict[str, dict[str, Any]] = {
    "Endpoint": {"model": {"name": "smollm2"}},
    "Engine": {"versions": [{"version": "1", "runtime": "llamacpp", "supported_tasks": ["text-generation"]}]},
    "ModelRegistry": {"type": "package"},
    "Cluster": {"type": "local"},
}


async def create(made: Made, kind: str, scope: Path, name: str, spec: dict[str, Any]) -> Thing:
    written = made.name(name) if kind == "Account" else name
    body = await made.world.operator.create(
        made.kind(kind).plural, made.path(scope), written, spec, labels={"world": made.prefix}
    )
    thing = Thing(kind, scope, name, body["metadata"]["uid"])
    made.things.append(thing)
    return thing


async def issue_key(made: Made, n: int) -> None:
    key = made.plan.keys[n]
    spec: dict[str, Any] = {"owner": subject_name(made, key.owner)}
    if key.permissions is not None:
        spec["permissions"] = sorted(key.permissions)
    if key.state == "expired":
        spec["expires_at"] = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    name = made.name(f"key{n}")
    thing = await create(made, "ApiKey", key.scope, name, spec)
    url = f"scopes/{made.path(key.scope)}/api-keys/{name}"
    issued = await made.world.operator.expect(200, "POST", f"{url}:rotate", {})
    if key.state == "disabled":
        await made.world.operator.expect(200, "PATCH", url, {"spec": {"disabled": True}})
    made.uids["key", n] = UUID(thing.uid)
    made.callers["key", n] = made.world.calling(issued["key"])


async def settle(made: Made) -> None:
    """What must come last: suspended platforms, disabled subjects, and the users' sessions."""
    for platform in made.plan.suspended:
        await made.world.admin.execute(
            "update platform_tenancy.node_path set phase = 'suspended' where path = $1::text::ltree",
            made.path(platform),
        )
    identity = iam.Identity()
    signing = await identity.signer.key(made.world.process.database)
    for n, subject in enumerate(made.plan.subjects):
        if subject.disabled:
            thing = next(t for t in made.things if t.uid == str(made.uids["subject", n]))
            await made.world.operator.expect(200, "PATCH", made.url(thing), {"spec": {"disabled": True}})
        if subject.scope is None:
            token = sign_session(
                signing, made.uids["subject", n], email(made, n), uuid4(), datetime.now(UTC), timedelta(minutes=10)
            )
            made.callers["subject", n] = made.world.calling(token)
    identity.hashing.close()


def email(made: Made, n: int) -> str:
    return f"{made.name(f'user{n}')}@example.com"


def subject_name(made: Made, n: int) -> str:
    scope = made.plan.subjects[n].scope
    if scope is None:
        return f"user:{email(made, n)}"
    return f"service-account:{made.path(scope)}/{made.name(f'sa{n}')}"


@pytest.fixture
async def roomy(world: ApiWorld) -> ApiWorld:
    await world.admin.execute(TRY_ALL)
    return world


@pytest.mark.timeout(900)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(plan=plans(), seed=st.integers(0, 2**16))
async def test_each_subject_sees_and_changes_exactly_what_its_grants_say(
    roomy: ApiWorld, plan: Plan, seed: int
) -> None:
    made = await come_true(roomy, plan)
    chance = random.Random(seed)
    for who, uid in made.uids.items():
        await in_the_database(made, who, uid)
    for who, caller in made.callers.items():
        if dead(made, who):
            assert (await caller.call("GET", "endpoints")).status_code == 401
            continue
        await lists(made, who, caller, chance)
        for thing in chance.sample(made.things, min(10, len(made.things))):
            await one_by_one(made, who, caller, thing)
        for kind in WORDS:
            await creations(made, who, caller, kind, chance)
        await a_real_change(made, who, caller, chance)


def dead(made: Made, who: Who) -> bool:
    """A key that is no credential any more. A disabled user's session still names him; he holds nothing."""
    if who[0] == "subject":
        return False
    key = made.plan.keys[who[1]]
    halted = any(reaches(platform, key.scope) for platform in made.plan.suspended)
    return key.state != "live" or halted or made.plan.subjects[key.owner].disabled


# --- as the database role, without any of our code between ------------------------------------------------------------


async def in_the_database(made: Made, who: Who, uid: UUID) -> None:
    changes = [
        {"uid": thing.uid, "op": op, "change": statement.format(made.kind(thing.kind).table)}
        for thing in made.things
        for op, statement in CHANGES.items()
    ]
    connection = await asyncpg.connect(made.world.place.url("api"))
    try:
        async with connection.transaction():
            await connection.execute("select set_config('ironworks.subject', $1, true)", str(uid))
            for kind in made.world.kinds:
                await rows_of(made, who, kind, connection)
            rows = await connection.fetch("select * from public.try_all($1::jsonb)", json.dumps(changes))
    finally:
        await connection.close()
    found = {(str(row["uid"]), row["op"]): row["outcome"] for row in rows}
    expected = {(thing.uid, op): outcome(made.model, who, thing, op) for thing in made.things for op in CHANGES}
    assert found == expected, explained(made, who, found, expected)


CHANGES = {
    "update": 'update {} set labels = labels || \'{{"touched": "yes"}}\' where uid = $1',
    "delete": "update {} set deletion_timestamp = now() where uid = $1",
    "remove": "delete from {} where uid = $1",
    "report": "update {} set status = '{{}}' where uid = $1",
    "move": "update {} set scope = '' where uid = $1",
}


def outcome(model: Model, who: Who, thing: Thing, op: str) -> str:
    """What a statement comes to. Nobody but a controller writes a status, and nothing that lives is removed."""
    if op in ("report", "move"):
        return "denied"
    if op == "remove" or not model.reads(who, thing):
        return "hidden"
    if not (model.does(who, "update", thing) or model.does(who, "delete", thing)):
        return "hidden"
    return "done" if model.does(who, op, thing) else "denied"


async def rows_of(made: Made, who: Who, kind: Kind, connection: asyncpg.Connection[asyncpg.Record]) -> None:
    ours = {t.uid: t for t in made.things if t.kind == kind.name}
    expected = {uid for uid, thing in ours.items() if made.model.reads(who, thing)}
    for table in (kind.table, f"{kind.table}_label"):
        rows = await connection.fetch(f"select uid from {table} where uid = any ($1)", list(ours))
        assert {str(row["uid"]) for row in rows} == expected, f"{who} in {table}"
    # what nobody asked for by uid: every row that is seen is one that the grants reach
    every = await connection.fetch(f"select uid from {kind.table} where path like $1 || '%'", f"{made.prefix}-")
    assert {str(row["uid"]) for row in every} <= expected


def explained(made: Made, who: Who, found: dict[Any, str], expected: dict[Any, str]) -> str:
    things = {thing.uid: thing for thing in made.things}
    wrong = [f"{op} {things[uid]}: {found.get((uid, op))}, not {want}" for (uid, op), want in expected.items()
             if found.get((uid, op)) != want]  # fmt: skip
    return f"{who} holds {made.model.held[who]}: " + "; ".join(wrong[:5])


# --- through the API --------------------------------------------------------------------------------------------------


async def lists(made: Made, who: Who, caller: Caller, chance: random.Random) -> None:
    for kind in made.world.kinds:
        ours = [t for t in made.things if t.kind == kind.name]
        seen = {t.uid for t in ours if made.model.reads(who, t)}
        everywhere = await caller.items(kind.plural, limit=500, labels=f"world={made.prefix}")
        assert made.mine(everywhere) == seen, f"{who} lists {kind.plural}"
    scope = chance.choice([(), *made.plan.nodes])
    for kind in chance.sample(made.world.kinds, 4):
        seen_things = [t for t in made.things if t.kind == kind.name and made.model.reads(who, t)]
        below = {t.uid for t in seen_things if reaches(scope, t.scope)}
        url = f"scopes/{made.path(scope)}/{kind.plural}"
        assert made.mine(await caller.items(url, limit=3, labels=f"world={made.prefix}")) == below
        above = {t.uid for t in seen_things if reaches(t.scope, scope) and kind.name in INHERITED}
        found = made.mine(await caller.items(url, limit=500, inherited="true"))
        assert found == below | above, f"{who} lists {url} with what is inherited"


async def one_by_one(made: Made, who: Who, caller: Caller, thing: Thing) -> None:
    url = made.url(thing)
    reads = made.model.reads(who, thing)
    answer = await caller.call("GET", url)
    assert answer.status_code == (200 if reads else 404), f"{who} reads {thing}: {answer.text}"
    answer = await caller.call("PATCH", f"{url}?dry_run=true", {"metadata": {"labels": {"touched": "yes"}}})
    allowed = made.model.does(who, "update", thing)
    if allowed and thing.kind == "Endpoint" and not refers(made, who):
        assert answer.status_code in (404, 422)
    else:
        assert answer.status_code == (200 if allowed else 403 if reads else 404), (
            f"{who} changes {thing}: {answer.text}"
        )
    answer = await caller.call("DELETE", f"{url}?dry_run=true")
    if made.model.does(who, "delete", thing) and owns(made, who, thing):
        assert answer.status_code in (200, 409), f"{who} deletes {thing}: {answer.text}"  # 409: something needs it
    else:
        assert answer.status_code == (403 if reads else 404), f"{who} deletes {thing}: {answer.text}"
    answer = await caller.call("DELETE", f"{url}?dry_run=true&force=true")
    assert answer.status_code == (403 if reads else 404)


def owns(made: Made, who: Who, thing: Thing) -> bool:
    """Whether it is his to end: a key is its owner's, and the owner's other keys act for him."""
    if thing.kind != "ApiKey":
        return True
    owner = next((key.owner for n, key in enumerate(made.plan.keys) if str(made.uids["key", n]) == thing.uid), None)
    return owner == (who[1] if who[0] == "subject" else made.plan.keys[who[1]].owner)


def refers(made: Made, who: Who) -> bool:
    """Whether he may read what endpoints refer to, all of it the operator's."""
    there = [Thing(kind, (), "", "") for kind in ("Engine", "ModelRegistry", "Cluster")]
    return all(made.model.reads(who, thing) for thing in there)


async def creations(made: Made, who: Who, caller: Caller, kind: str, chance: random.Random) -> None:
    places = [p for p in [(), *made.plan.nodes] if len(p) in LEVELS[kind]]
    if not places:
        return
    scope = chance.choice(places)
    spec, granted = offered(made, who, kind, scope, chance)
    body = {"metadata": {"name": made.name("new")}, "spec": spec}
    answer = await caller.call("POST", f"scopes/{made.path(scope)}/{made.kind(kind).plural}?dry_run=true", body)
    told = f"{who} creates {kind} in {scope} with {spec}: {answer.text}"
    new = Thing(kind, scope, "new", "")
    if not made.model.may(who, f"{WORDS[kind]}:create", scope):
        assert answer.status_code == (403 if made.model.sees(who, scope) else 404), told
    elif granted and made.model.reads(who, new):
        assert answer.status_code == 200, told
    else:
        assert answer.status_code in (403, 422), told


def offered(made: Made, who: Who, kind: str, scope: Path, chance: random.Random) -> tuple[dict[str, Any], bool]:
    """A spec, and whether everything besides the permission to create is fulfilled."""
    model, plan = made.model, made.plan
    if kind == "User":
        return {"email": f"{made.prefix}-new@example.com"}, True
    if kind == "Role":
        wanted = sorted(chance.sample([f"{w}:{a}" for w in WORDS.values() for a in ACTIONS], chance.choice([0, 1, 2])))
        return {"permissions": wanted}, all(model.may(who, w, scope) for w in wanted)
    if kind == "RoleAssignment":
        n, m = chance.randrange(len(plan.roles)), chance.randrange(len(plan.subjects))
        role, subject = plan.roles[n], plan.subjects[m]
        spec = {"subject": subject_name(made, m), "role": f"{made.path(role.scope)}/{made.name(f'role{n}')}"}
        found = subject.scope is None or model.may(who, "service-account:read", subject.scope)
        readable = model.reads(who, Thing("Role", role.scope, "", ""))
        return spec, found and readable and all(model.may(who, p, scope) for p in role.permissions)
    if kind == "ApiKey":
        return {}, who[0] == "subject" or plan.keys[who[1]].permissions is None
    if kind == "Endpoint":
        return SPECS[kind], refers(made, who)
    return SPECS.get(kind, {}), True


async def a_real_change(made: Made, who: Who, caller: Caller, chance: random.Random) -> None:
    thing = chance.choice(made.things)
    label = f"{who[0]}-{who[1]}"
    answer = await caller.call("PATCH", made.url(thing), {"metadata": {"labels": {"touched": label}}})
    table = made.kind(thing.kind).table
    stored = await made.world.admin.fetchval(
        f"select labels ->> 'touched' from {table} where uid = $1", UUID(thing.uid)
    )
    assert (stored == label) == (answer.status_code == 200)
    if answer.status_code == 200:
        assert made.model.does(who, "update", thing)
