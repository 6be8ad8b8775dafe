"""What grants mean, once more and as plainly as possible: the yardstick that the database is held against.

A `Plan` is a random world; `Model` answers what each of its subjects may see and do. Nothing here asks the project's
own code: paths are tuples of labels, and a grant reaches whatever begins with its path.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from hypothesis import strategies as st

Path: TypeAlias = tuple[str, ...]
State: TypeAlias = Literal["live", "disabled", "expired"]

OPERATOR: Path = ()
LEVELS: dict[str, range] = {
    "Account": range(1), "Platform": range(1, 2), "Tenant": range(2, 8), "User": range(1), "Role": range(2),
    "RoleAssignment": range(9), "ServiceAccount": range(9), "ApiKey": range(9), "Engine": range(9),
    "ModelRegistry": range(9), "Cluster": range(1), "Endpoint": range(3, 9),
}  # fmt: skip
"""Kind → depths of the scopes where it is put here."""
NODES = frozenset({"Account", "Platform", "Tenant"})
INHERITED = frozenset({"Role", "Engine", "ModelRegistry", "Cluster"})
WORDS = {
    "Account": "account", "Platform": "platform", "Tenant": "tenant", "User": "user", "Role": "role",
    "RoleAssignment": "role-assignment", "ServiceAccount": "service-account", "ApiKey": "api-key", "Engine": "engine",
    "ModelRegistry": "model-registry", "Cluster": "cluster", "Endpoint": "endpoint",
}  # fmt: skip
ACTIONS = ("read", "create", "update", "delete")


@dataclass(frozen=True)
class Role:
    scope: Path
    permissions: frozenset[str]


@dataclass(frozen=True)
class Subject:
    """A user, or a service account where `scope` says where."""

    scope: Path | None
    disabled: bool


@dataclass(frozen=True)
class Key:
    owner: int
    scope: Path
    permissions: frozenset[str] | None
    state: State


@dataclass(frozen=True)
class Assignment:
    subject: int
    role: int
    scope: Path


@dataclass(frozen=True)
class Plan:
    """Scopes, suspended platforms, and who holds what; indices point into the tuples."""

    nodes: tuple[Path, ...]
    suspended: frozenset[Path]
    roles: tuple[Role, ...]
    subjects: tuple[Subject, ...]
    assignments: tuple[Assignment, ...]
    keys: tuple[Key, ...]
    objects: tuple[tuple[str, Path], ...]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Moderately large worlds that shrink to small ones."""
    nodes: list[Path] = [("a0",), ("a0", "n0")]
    for n in range(draw(st.integers(4, 9))):
        parent = draw(st.sampled_from([*(node for node in nodes[::-1] if len(node) < 6), OPERATOR]))
        nodes.append((*parent, f"a{n + 1}" if not parent else f"n{n + 1}"))
    scopes = st.sampled_from([*nodes[::-1], OPERATOR])
    suspended = draw(st.frozensets(st.sampled_from([node for node in nodes if len(node) == 2]), max_size=1))
    accounts = [node for node in nodes if len(node) == 1]
    roles = draw(
        st.lists(st.builds(Role, st.sampled_from([OPERATOR, *accounts]), permissions()), min_size=2, max_size=4)
    )
    rarely = st.sampled_from([*[False] * 9, True])
    subjects = draw(st.lists(st.builds(Subject, st.one_of(st.none(), scopes), rarely), min_size=2, max_size=4))
    whom, what = st.integers(0, len(subjects) - 1), st.integers(0, len(roles) - 1)
    granted = st.sampled_from([*accounts, *nodes, *(n for n in nodes if len(n) == 2), OPERATOR])
    assignments = draw(st.lists(st.builds(Assignment, whom, what, granted), min_size=4, max_size=8))
    keys = draw(st.lists(_keys(nodes, assignments), min_size=2, max_size=5))
    kinds = st.sampled_from(["Endpoint", "Endpoint", "Engine", "ModelRegistry", "ServiceAccount", "Cluster"])
    objects = draw(st.lists(st.tuples(kinds, scopes), min_size=6, max_size=12))
    return Plan(
        tuple(nodes), suspended, tuple(roles), tuple(subjects), tuple(assignments), tuple(keys),
        tuple((kind, place) for kind, place in objects if len(place) in LEVELS[kind]),
    )  # fmt: skip


def permissions() -> st.SearchStrategy[frozenset[str]]:
    """Mostly some actions on some kinds, as roles are; now and then any."""
    words = st.sets(st.sampled_from(sorted(WORDS.values())), min_size=3, max_size=12)
    actions = st.sets(st.sampled_from(ACTIONS), max_size=4).map(lambda some: {"read", *some})
    plain = st.builds(lambda w, a: frozenset(f"{x}:{y}" for x in w for y in a), words, actions)
    loose = st.frozensets(st.sampled_from([f"{w}:{a}" for w in WORDS.values() for a in ACTIONS]), max_size=8)
    return st.one_of(plain, plain, plain, loose)


@st.composite
def _keys(draw: st.DrawFn, nodes: list[Path], assignments: list[Assignment]) -> Key:
    """Mostly keys whose owner holds something at, above or below their scope."""
    granted = draw(st.sampled_from(assignments))
    near = [node for node in [OPERATOR, *nodes] if related(node, granted.scope)]
    scope = draw(st.sampled_from(near[::-1]) | st.sampled_from(nodes))
    listed = draw(st.none() | st.none() | permissions())
    states: list[State] = [*["live"] * 8, "disabled", "expired"]  # type: ignore[list-item]
    return Key(granted.subject, scope, listed, draw(st.sampled_from(states)))


@dataclass(frozen=True)
class Thing:
    """A resource that was made: where it lives, and its uid."""

    kind: str
    scope: Path
    name: str
    uid: str

    @property
    def place(self) -> Path:
        """Where grants must reach: a node is a scope itself."""
        return (*self.scope, self.name) if self.kind in NODES else self.scope


@dataclass(frozen=True)
class Model:
    """Who may do what in a plan. A caller is ("subject", index) or ("key", index)."""

    plan: Plan
    held: dict[tuple[str, int], tuple[tuple[Path, frozenset[str]], ...]] = field(init=False)

    def __post_init__(self) -> None:
        held = {("subject", n): tuple(self._of_subject(n)) for n in range(len(self.plan.subjects))}
        held |= {("key", n): tuple(self._of_key(key)) for n, key in enumerate(self.plan.keys)}
        object.__setattr__(self, "held", held)

    def _of_subject(self, n: int) -> Iterator[tuple[Path, frozenset[str]]]:
        if self.plan.subjects[n].disabled:
            return
        for assignment in self.plan.assignments:
            if assignment.subject == n:
                yield assignment.scope, self.plan.roles[assignment.role].permissions

    def _of_key(self, key: Key) -> Iterator[tuple[Path, frozenset[str]]]:
        if key.state != "live" or any(reaches(platform, key.scope) for platform in self.plan.suspended):
            return
        for path, permissions in self._of_subject(key.owner):
            if related(path, key.scope):
                lower = max(path, key.scope, key=len)
                yield lower, permissions if key.permissions is None else permissions & key.permissions

    def may(self, who: tuple[str, int], permission: str, place: Path) -> bool:
        return any(permission in held and reaches(path, place) for path, held in self.held[who])

    def sees(self, who: tuple[str, int], place: Path) -> bool:
        """Whether a refusal there is a 403: the caller holds anything at, above or below it."""
        return any(related(path, place) for path, _ in self.held[who])

    def reads(self, who: tuple[str, int], thing: Thing) -> bool:
        word = f"{WORDS[thing.kind]}:read"
        if self.may(who, word, thing.place):
            return True
        below = any(word in held and reaches(thing.scope, path) for path, held in self.held[who])
        return thing.kind in INHERITED and below

    def does(self, who: tuple[str, int], action: str, thing: Thing) -> bool:
        """Whether he may `update` or `delete` it; what one does not see, one does not change."""
        return self.reads(who, thing) and self.may(who, f"{WORDS[thing.kind]}:{action}", thing.place)


def reaches(upper: Path, lower: Path) -> bool:
    """Whether `lower` is `upper` or lies below it."""
    return lower[: len(upper)] == upper


def related(a: Path, b: Path) -> bool:
    return reaches(a, b) or reaches(b, a)
