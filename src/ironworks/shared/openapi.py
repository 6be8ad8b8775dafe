"""The API document, assembled from what the routes declare; `contracts/openapi.yaml` is its committed form."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from ironworks.shared.http import PUBLIC, Raw, Route, ShownOnce, Stream

_TEMPLATE = "#/components/schemas/{model}"
_ERRORS = {
    "400": "Malformed request",
    "401": "No valid credential",
    "403": "Not allowed",
    "404": "Does not exist for this caller",
    "405": "Method not possible here",
    "409": "Conflicts with the present state",
    "410": "Cursor expired",
    "413": "Body too large",
    "415": "Not JSON",
    "422": "Invalid, every problem named",
    "429": "Too many requests",
    "503": "Try again shortly",
}
_ENVELOPE = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "details", "request_id"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "details": {"type": "object"},
                "request_id": {"type": "string"},
            },
        }
    },
}


def openapi_document(routes: list[Route], version: str) -> dict[str, Any]:
    """An OpenAPI 3.1 document; `routes` in any order, the result in a stable one."""
    inputs: list[tuple[Any, JsonSchemaMode, TypeAdapter[Any]]] = []
    for index, route in enumerate(routes):
        for part, model, mode in _models(route):
            inputs.append(((index, part), mode, TypeAdapter(model)))
    schemas, definitions = TypeAdapter.json_schemas(inputs, ref_template=_TEMPLATE)
    paths: dict[str, Any] = {}
    for index, route in enumerate(routes):
        found = {part: schemas[((index, part), mode)] for part, _, mode in _models(route)}
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, found)
    components = dict(definitions.get("$defs", {}))
    components["Error"] = _ENVELOPE
    error = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Ironworks", "version": version},
        "paths": {p: dict(sorted(paths[p].items())) for p in sorted(paths)},
        "components": {
            "schemas": dict(sorted(components.items())),
            "responses": {f"Error{status}": {"description": text, **error} for status, text in _ERRORS.items()},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"bearer": []}],
    }


def _models(route: Route) -> list[tuple[str, Any, JsonSchemaMode]]:
    found: list[tuple[str, Any, JsonSchemaMode]] = []
    body = route.accepts or (route.body if "body" in route.wants else None)
    if body is not None:
        found.append(("body", body, "validation"))
    if route.returns not in (None, type(None), Any, Raw, Stream, ShownOnce):
        found.append(("returns", route.returns, "serialization"))
    if route.rehearsal is not None:
        found.append(("rehearsal", route.rehearsal, "serialization"))
    return found


def _operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name.replace("-", "_"),
        "summary": route.summary,
        "tags": [route.domain],
        "x-permission": route.permission,
        "parameters": _parameters(route),
        "responses": _responses(route, schemas),
    }
    if "body" in schemas:
        kind = "application/merge-patch+json" if route.method == "PATCH" else "application/json"
        operation["requestBody"] = {"required": True, "content": {kind: {"schema": schemas["body"]}}}
    if "raw" in route.wants:
        operation["requestBody"] = {"required": True, "content": {"*/*": {"schema": {"type": "string"}}}}
    if route.permission == PUBLIC:
        operation["security"] = []
    return operation


def _parameters(route: Route) -> list[dict[str, Any]]:
    described = {"path": "A scope: `acme.shop.eu`, or `-` for the operator's."}
    found: list[dict[str, Any]] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "minLength": 1},
            **({"description": described[name]} if name in described else {}),
        }
        for name in route.parameters
    ]
    if route.query is not None:
        schema = route.query.model_json_schema()
        for name, field in schema.get("properties", {}).items():
            field = _inlined({k: v for k, v in field.items() if k != "title"}, schema.get("$defs", {}))
            described_as = field.pop("description", "")
            found.append(
                {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": field,
                 **({"description": described_as} if described_as else {})}
            )  # fmt: skip
    return found


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """`schema` with each definition that it refers to in its place: a parameter has nowhere to keep them."""
    if isinstance(schema, list):
        return [_inlined(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {name: _inlined(value, definitions) for name, value in schema.items()}


def _responses(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    if route.returns in (None, type(None)):
        answers["204"] = {"description": "Done"}
    else:
        answers[str(route.status)] = _answer(
            [schemas["returns"]] if "returns" in schemas else [], route.streams, route.files
        )
    if "rehearsal" in schemas:
        first = [schemas["returns"]] if route.status == 200 else []
        answers["200"] = _answer([*first, schemas["rehearsal"]])
    for status in _ERRORS:
        answers[status] = {"$ref": f"#/components/responses/Error{status}"}
    return dict(sorted(answers.items()))


def _answer(schemas: list[dict[str, Any]], streams: str = "", files: tuple[str, ...] = ()) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if schemas:
        content["application/json"] = {"schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas}}
    if streams:
        content[streams] = {"schema": {"type": "string"}}
    for kind in files:
        content[kind] = {"schema": {"type": "string", "format": "binary"}}
    return {"description": "Answer", "content": content} if content else {"description": "Answer"}


def models_of(routes: list[Route]) -> set[type[BaseModel]]:
    """Every Pydantic model the document names."""
    return {m for r in routes for _, m, _ in _models(r) if isinstance(m, type) and issubclass(m, BaseModel)}
