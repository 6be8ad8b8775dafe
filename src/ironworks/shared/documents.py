"""What people send: documents of a kind, checked as a whole, every problem told at once."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from ironworks.shared import path as paths
from ironworks.shared.errors import Invalid, IronworksError, field_problem, invalid
from ironworks.shared.kind import Annotations, Kind, Labels, OwnerReference

LIMIT_SHOWN = 100


class MetadataIn(BaseModel):
    """Metadata as written. What the server owns may be present (a document that was read) and is not taken over."""

    model_config = ConfigDict(extra="forbid")
    name: str | None = Field(None, max_length=63)
    scope: str | None = Field(None, max_length=512)
    display_name: str | None = Field(None, max_length=128)
    labels: Labels = Field(default_factory=dict, max_length=64)
    annotations: Annotations = Field(default_factory=dict, max_length=64)
    owner_references: list[OwnerReference] = Field(default_factory=list, max_length=16)
    resource_version: int | None = Field(
        None, ge=0, le=2**63 - 1, description="Refuse the write unless it is still this."
    )
    uid: Any = None
    generation: Any = None
    creation_timestamp: Any = None
    update_timestamp: Any = None
    deletion_timestamp: Any = None


class Document(BaseModel):
    """A resource as written; each kind has its own subclass with its own spec."""

    model_config = ConfigDict(extra="forbid")
    api_version: Literal["v1"] = "v1"
    kind: str
    metadata: MetadataIn = Field(default_factory=MetadataIn)
    spec: Any
    status: dict[str, Any] | None = Field(None, description="Written by controllers alone; leave it out.")


@lru_cache(maxsize=256)
def _model(name: str, spec: type[BaseModel]) -> type[Document]:
    needed = any(f.is_required() for f in spec.model_fields.values())
    fields: dict[str, Any] = {
        "kind": (Literal[name], name),
        "spec": (spec, ... if needed else Field(default_factory=spec)),
    }
    made: type[Document] = create_model(f"{name}Document", __base__=Document, **fields)
    return made


def document_model(kind: Kind) -> type[Document]:
    """The Pydantic model of what may be sent for `kind`."""
    return _model(kind.name, kind.spec)


def read_document(kind: Kind, scope: str, name: str | None, body: Any) -> Document:
    """Check `body` as a document of `kind` for `scope`; `name` from the URL, if any, must agree.

    Raises Invalid that lists every problem.
    """
    if not isinstance(body, dict):
        raise invalid("body", "is not an object", "send one resource")
    problems: list[dict[str, str]] = []
    document: Document | None = None
    try:
        document = document_model(kind).model_validate(body)
    except ValidationError as error:
        problems += problems_of(error)
    metadata = body.get("metadata")
    misplaced = _place_problems(kind, scope, name, metadata if isinstance(metadata, dict) else {})
    named = {problem["field"] for problem in misplaced}
    problems = [problem for problem in problems if problem["field"] not in named] + misplaced
    if problems or document is None:
        raise too_many(problems)
    document.metadata.name = name or document.metadata.name
    document.metadata.scope = paths.show_path(scope)
    return document


def _place_problems(kind: Kind, scope: str, name: str | None, metadata: dict[str, Any]) -> list[dict[str, str]]:
    problems = []
    given = metadata.get("name")
    if name is None and given is None:
        problems.append(field_problem("metadata.name", "missing", "name the resource"))
    if name is not None and given not in (None, name):
        problems.append(
            field_problem("metadata.name", f"is {str(given)[:80]!r}, the URL says {name!r}", "make them agree")
        )
    wanted = name if name is not None else given
    if isinstance(wanted, str):
        try:
            paths.check_label(wanted)
        except IronworksError as error:
            problems += error.details["fields"]
    place = metadata.get("scope")
    if isinstance(place, str) and place not in (paths.show_path(scope), scope):
        problems.append(
            field_problem(
                "metadata.scope", f"is {place[:80]!r}, the URL says {paths.show_path(scope)!r}", "make them agree"
            )
        )
    here = ("operator", "account", "platform", "tenant")[min(paths.level(scope), 3)]
    if here not in kind.levels:
        problems.append(
            field_problem(
                "metadata.scope", f"a {kind.name} cannot live at {here} level", f"it lives at: {', '.join(kind.levels)}"
            )
        )
    if kind.node and paths.level(scope) + 1 > paths.MAX_LEVELS:
        problems.append(field_problem("metadata.scope", f"a tree has at most {paths.MAX_LEVELS} levels", "nest less"))
    return problems


def problems_of(error: ValidationError, prefix: str = "") -> list[dict[str, str]]:
    """Pydantic's errors in our shape: dotted field, problem, remedy."""
    return [
        field_problem(prefix + _dotted(e["loc"]), _problem(e["type"], e["msg"]), _remedy(e["type"], e.get("ctx", {})))
        for e in error.errors(include_url=False, include_input=False)
    ]


def _dotted(loc: tuple[int | str, ...]) -> str:
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


_NO_OBJECT = frozenset({"model_type", "model_attributes_type", "dataclass_type", "dict_type"})


def _problem(kind: str, message: str) -> str:
    """Pydantic's words, but where they name our classes."""
    return "is no object" if kind in _NO_OBJECT else message.removeprefix("Value error, ")


def _remedy(kind: str, ctx: dict[str, Any]) -> str:
    if kind in _NO_OBJECT:
        return "give its fields by their names"
    if kind == "extra_forbidden":
        return "remove it: there is no such field"
    if kind == "missing":
        return "give it a value"
    if kind == "literal_error":
        return f"use {ctx.get('expected')}"
    return ""


def too_many(problems: list[dict[str, str]]) -> Invalid:
    """One Invalid for all problems; at most the first hundred are listed."""
    first = "; ".join(f"{p['field']}: {p['problem']}" for p in problems[:3])
    more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
    return Invalid(first + more, fields=problems[:LIMIT_SHOWN])
