"""Reading a request's JSON: what every API asks of it, with errors that name the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from ironworks.products.tokenfactory.gateway.model import Refusal, malformed

MAX_MODEL_NAME: Final = 512
MAX_METADATA: Final = 5
MAX_METADATA_KEY: Final = 64
MAX_METADATA_VALUE: Final = 512
METADATA_HEADER: Final = b"x-ironworks-metadata"
_MOST_TOKENS: Final = 2**31 - 1
_MOST_USER: Final = 512


def read_json(body: bytes, headers: Mapping[bytes, bytes]) -> dict[str, Any]:
    """The body as a JSON object. Raises Refusal: 415 for another type or an encoding, 400 for anything else."""
    if b"content-encoding" in headers:
        raise Refusal(415, "unsupported_encoding", "send the body uncompressed")
    content_type = headers.get(b"content-type", b"application/json")
    if not content_type.lower().startswith(b"application/json"):
        raise Refusal(415, "unsupported_media_type", "send the body as application/json")
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError as problem:
        raise malformed(f"the body is not valid JSON: {problem}") from None
    if not isinstance(payload, dict):
        raise malformed("the body must be a JSON object")
    return payload


def read_model(payload: Mapping[str, Any]) -> str:
    """The model's name as the caller wrote it. Raises Refusal."""
    model = payload.get("model")
    if not isinstance(model, str) or not 0 < len(model) <= MAX_MODEL_NAME:
        raise malformed(f"'model' must be a text of 1 to {MAX_MODEL_NAME} characters", "model")
    return model


def read_count(payload: Mapping[str, Any], name: str, *, least: int = 1, most: int = _MOST_TOKENS) -> int | None:
    """A whole number between `least` and `most`; None where it is absent or null. Raises Refusal."""
    value = payload.get(name)
    if value is None:
        return None
    if type(value) is not int or not least <= value <= most:
        raise malformed(f"{name!r} must be a whole number from {least} to {most}", name)
    return value


def read_user(payload: Mapping[str, Any], *names: str) -> str | None:
    """The caller's name for its end user: the first of the fields `names` that is there. Raises Refusal."""
    for name in names:
        value = payload.get(name)
        if value is None:
            continue
        if not isinstance(value, str) or len(value) > _MOST_USER:
            raise malformed(f"{name!r} must be a text of at most {_MOST_USER} characters", name)
        return value or None
    return None


def read_metadata(headers: Mapping[bytes, bytes], given: object = None) -> dict[str, str]:
    """Up to 5 scalars to group usage by, as texts: `given` (the body's own `metadata`) and those of our header.

    Raises Refusal for more, for anything that is no scalar, and for a header that is not a JSON object.
    """
    entries = _scalars(given, "metadata") if given is not None else {}
    header = headers.get(METADATA_HEADER)
    if header is not None:
        try:
            entries |= _scalars(orjson.loads(header), METADATA_HEADER.decode())
        except orjson.JSONDecodeError:
            raise malformed(f"{METADATA_HEADER.decode()} must be a JSON object", METADATA_HEADER.decode()) from None
    if len(entries) > MAX_METADATA:
        raise malformed(f"'metadata' may have at most {MAX_METADATA} entries", "metadata")
    return entries


def _scalars(given: object, field: str) -> dict[str, str]:
    if not isinstance(given, dict):
        raise malformed(f"{field!r} must be an object", field)
    entries = {}
    for name, value in given.items():
        if not 0 < len(name) <= MAX_METADATA_KEY:
            raise malformed(f"names in {field!r} have 1 to {MAX_METADATA_KEY} characters", field)
        if isinstance(value, dict | list) or value is None:
            raise malformed(f"{field}.{name} must be a text, a number or true or false", field)
        text = value if isinstance(value, str) else orjson.dumps(value).decode()
        if len(text) > MAX_METADATA_VALUE:
            raise malformed(f"{field}.{name} may have at most {MAX_METADATA_VALUE} characters", field)
        entries[name] = text
    return entries


def size_of_image(url: object) -> int:
    """Bytes of an image that its URL holds itself; 0 for one that lies elsewhere."""
    return len(url) if isinstance(url, str) and url.startswith("data:image/") else 0


def read_switch(payload: Mapping[str, Any], name: str) -> bool:
    """A truth value, false where it is absent or null. Raises Refusal."""
    value = payload.get(name)
    if value is not None and not isinstance(value, bool):
        raise malformed(f"{name!r} must be true or false", name)
    return bool(value)


def read_text(value: object, field: str) -> str:
    """A text. Raises Refusal, which names it `field`."""
    if not isinstance(value, str):
        raise malformed(f"{field!r} must be a text", field)
    return value


def read_object(value: object, field: str) -> dict[str, Any]:
    """An object. Raises Refusal, which names it `field`."""
    if not isinstance(value, dict):
        raise malformed(f"{field!r} must be an object", field)
    return value


def read_objects(value: object, field: str) -> list[dict[str, Any]]:
    """A list of objects; empty where it is absent. Raises Refusal, which names it `field`."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise malformed(f"{field!r} must be a list of objects", field)
    return value


def untranslatable(field: str, why: str) -> Refusal:
    """400: what `field` asks for cannot be said in the dialect of what serves the model."""
    return Refusal(400, "unsupported_parameter", f"{field!r}: {why}", param=field)
