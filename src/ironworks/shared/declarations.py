"""What a domain declares about itself, so that nobody can use a word that nobody defined.

Each domain's `declarations.py` holds one `DECLARATIONS`; `app.wiring` collects them and the registry writes them to
the database at start. From then on an undeclared meter, permission, audit action, template, evidence type or event is
refused, and an operator can disable a declared one.

    DECLARATIONS = Declarations(
        permissions=(Permission("bucket:grant", "Let a subject use a bucket"),),
        meters=(Meter("storage_gib_hours", unit="GiB·h", aggregation="time_weighted", description="Stored data"),),
        audit_actions=(AuditAction("storage.bucket.grant", "A subject was let into a bucket"),),
        events=(EventClass("gpuaas.storage.bucket_granted.v1", BucketGranted),),
    )
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, TypeAlias

from ironworks.shared.context import Event
from ironworks.shared.kind import Kind

Category: TypeAlias = Literal[
    "permission", "meter", "audit_action", "notification_template", "evidence_type", "event_class", "quota"
]
EventModel: TypeAlias = type[Event]
Aggregation: TypeAlias = Literal["sum", "max", "unique", "time_weighted"]

PERMISSION: Final[Category] = "permission"
METER: Final[Category] = "meter"
AUDIT_ACTION: Final[Category] = "audit_action"
NOTIFICATION_TEMPLATE: Final[Category] = "notification_template"
EVIDENCE_TYPE: Final[Category] = "evidence_type"
EVENT_CLASS: Final[Category] = "event_class"
QUOTA: Final[Category] = "quota"
CATEGORIES: Final[tuple[Category, ...]] = (
    PERMISSION,
    METER,
    AUDIT_ACTION,
    NOTIFICATION_TEMPLATE,
    EVIDENCE_TYPE,
    EVENT_CLASS,
    QUOTA,
)

OWN: Final = "authenticated"
"""In place of a permission, as of routes: whoever is signed in, of what is his own."""

_WORD = r"[a-z0-9]+(?:[-_][a-z0-9]+)*"
_NAMES: Final[dict[Category, re.Pattern[str]]] = {
    PERMISSION: re.compile(f"{_WORD}:{_WORD}"),
    METER: re.compile(rf"{_WORD}(?:\.{_WORD})*"),
    AUDIT_ACTION: re.compile(rf"{_WORD}(?:\.{_WORD})+"),
    NOTIFICATION_TEMPLATE: re.compile(rf"{_WORD}(?:\.{_WORD})*"),
    EVIDENCE_TYPE: re.compile(rf"{_WORD}(?:\.{_WORD})*"),
    EVENT_CLASS: re.compile(r"[a-z0-9_]+(?:\.[a-z0-9_]+)+\.v[1-9][0-9]{0,4}"),
    QUOTA: re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*"),
}


def _check_name(category: Category, name: str) -> None:
    """Raises ValueError, at import, for a name that breaks the category's form."""
    if not _NAMES[category].fullmatch(name) or len(name) > 128:
        raise ValueError(f"{name!r} is not a valid {category} name; it must match {_NAMES[category].pattern}")


@dataclass(frozen=True, slots=True)
class Permission:
    """A right that a role can hold: `<resource>:<action>`."""

    name: str
    description: str
    category: ClassVar[Category] = PERMISSION

    def __post_init__(self) -> None:
        _check_name(PERMISSION, self.name)

    def stored(self) -> dict[str, Any]:
        """What the registry stores."""
        return {"description": self.description}


@dataclass(frozen=True, slots=True)
class Meter:
    """A usage unit.

    Args:
        unit: what one of it is (`token`, `GiB·h`).
        aggregation: how a period's quantity is made from its usage events: their sum, the largest, the number of
            different values, or value × time held.
    """

    name: str
    unit: str
    aggregation: Aggregation
    description: str
    category: ClassVar[Category] = METER

    def __post_init__(self) -> None:
        _check_name(METER, self.name)

    def stored(self) -> dict[str, Any]:
        """What the registry stores."""
        return {"unit": self.unit, "aggregation": self.aggregation, "description": self.description}


@dataclass(frozen=True, slots=True)
class AuditAction:
    """Something that leaves an audit record: `<domain or kind>.<what happened>`."""

    name: str
    description: str
    category: ClassVar[Category] = AUDIT_ACTION

    def __post_init__(self) -> None:
        _check_name(AUDIT_ACTION, self.name)

    def stored(self) -> dict[str, Any]:
        """What the registry stores."""
        return {"description": self.description}


@dataclass(frozen=True, slots=True)
class NotificationTemplate:
    """A message to people; `subject` and `body` hold `{variable}` places, each one named in `variables`."""

    name: str
    subject: str
    body: str
    variables: tuple[str, ...] = ()
    category: ClassVar[Category] = NOTIFICATION_TEMPLATE

    def __post_init__(self) -> None:
        _check_name(NOTIFICATION_TEMPLATE, self.name)

    def stored(self) -> dict[str, Any]:
        """What the registry stores."""
        return {"subject": self.subject, "body": self.body, "variables": list(self.variables)}


@dataclass(frozen=True, slots=True)
class EvidenceType:
    """A kind of proof that a release or an operation must leave."""

    name: str
    description: str
    category: ClassVar[Category] = EVIDENCE_TYPE

    def __post_init__(self) -> None:
        _check_name(EVIDENCE_TYPE, self.name)

    def stored(self) -> dict[str, Any]:
        """What the registry stores."""
        return {"description": self.description}


@dataclass(frozen=True, slots=True)
class EventClass:
    """An event that the domain publishes; `type` repeats the model's, so that a reader finds it by searching."""

    type: str
    model: EventModel
    category: ClassVar[Category] = EVENT_CLASS

    def __post_init__(self) -> None:
        _check_name(EVENT_CLASS, self.type)
        if self.model.type != self.type:
            raise ValueError(f"{self.model.__name__}.type is {self.model.type!r}, declared as {self.type!r}")

    @property
    def name(self) -> str:
        return self.type

    def stored(self) -> dict[str, Any]:
        """What the registry stores: a consumer can check a payload against it."""
        return {"governed": self.model.governed, "schema": self.model.model_json_schema()}


@dataclass(frozen=True, slots=True)
class Quota:
    """How many of a kind there may be. Args: kind: its name. levels: where it may live."""

    name: str
    kind: str
    levels: tuple[str, ...]
    description: str
    category: ClassVar[Category] = QUOTA

    def __post_init__(self) -> None:
        _check_name(QUOTA, self.name)

    def stored(self) -> dict[str, Any]:
        """What the registry stores."""
        return {"kind": self.kind, "levels": list(self.levels), "description": self.description}


@dataclass(frozen=True, slots=True)
class Topic:
    """What changes together and is of no kind: a watch tells that something of it changed, and where (`shared.topics`).

    Args:
        permission: who holds it at a scope is told of changes there and below. OWN: it is of what each subject has for
            himself; the subject's uid stands for the scope then, and nobody else is told.
        inherited: who holds it below is told too, since what lies above holds for him.
    """

    name: str
    permission: str
    description: str
    inherited: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(_WORD, self.name):
            raise ValueError(f"{self.name!r} is not a valid name of a topic; it must match {_WORD}")
        if not self.own:
            _check_name(PERMISSION, self.permission)

    @property
    def own(self) -> bool:
        return self.permission == OWN


Declaration: TypeAlias = Permission | Meter | AuditAction | NotificationTemplate | EvidenceType | EventClass | Quota


@dataclass(frozen=True, slots=True)
class Declarations:
    """All that one domain declares. Topics are no entries of the registry: there is nothing in them to switch off."""

    permissions: tuple[Permission, ...] = ()
    meters: tuple[Meter, ...] = ()
    audit_actions: tuple[AuditAction, ...] = ()
    notification_templates: tuple[NotificationTemplate, ...] = ()
    evidence_types: tuple[EvidenceType, ...] = ()
    events: tuple[EventClass, ...] = ()
    quotas: tuple[Quota, ...] = ()
    topics: tuple[Topic, ...] = ()

    def __iter__(self) -> Iterator[Declaration]:
        yield from self.permissions
        yield from self.meters
        yield from self.audit_actions
        yield from self.notification_templates
        yield from self.evidence_types
        yield from self.events
        yield from self.quotas


_ACTIONS: Final = {
    "read": "See {plural}",
    "create": "Create {plural}",
    "update": "Change {plural}",
    "delete": "Delete {plural}",
    "force-delete": "Delete {plural} although their cleanup fails",
}


def declarations_of_kind(kind: Kind) -> Declarations:
    """What every kind declares by being one.

    `<kind>:<action>` permissions, `<kind>.<change>` audit actions, and the quota of how many there may be.
    """
    plural = kind.plural.replace("-", " ")
    words = {action: text.format(plural=plural) for action, text in _ACTIONS.items()}
    return Declarations(
        permissions=tuple(Permission(kind.permission(action), text) for action, text in words.items()),
        audit_actions=tuple(
            AuditAction(f"{kind.resource}.{action}", text) for action, text in words.items() if action != "read"
        ),
        quotas=(Quota(kind.quota, kind.name, kind.levels, f"How many {plural} there may be"),) if kind.quota else (),
    )
