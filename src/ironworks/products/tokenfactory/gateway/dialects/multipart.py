"""`multipart/form-data` (RFC 7578), read strictly: what two readers could take differently is refused."""

from __future__ import annotations

import re
from typing import NamedTuple

from ironworks.products.tokenfactory.gateway.model import malformed

_BOUNDARY = re.compile(
    rb"multipart/form-data *;.*?\bboundary=(?:\"([0-9A-Za-z'()+_,./:=? -]{1,70})\"|([0-9A-Za-z'()+_./:=?-]{1,70}))",
    re.I,
)
_NAME = re.compile(rb"content-disposition: *form-data *;(?:[^\r\n]*?; *)? *name=\"([^\"\\\r\n]{1,64})\"", re.I)
_NAMED = re.compile(rb"; *name *=", re.I)
_FILE = re.compile(rb"; *filename\*?=", re.I)
_MOST_PARTS = 64
_MOST_HEAD = 4096


class Part(NamedTuple):
    """One field: its value is `body[start:end]`."""

    name: str
    start: int
    end: int
    is_file: bool


def form_type(content_type: bytes) -> bytes:
    """`content_type` with nothing but its boundary. Raises Refusal for one that is no form's."""
    return b'multipart/form-data; boundary="%b"' % _boundary(content_type)


def _boundary(content_type: bytes) -> bytes:
    found = _BOUNDARY.match(content_type)
    if found is None:
        raise malformed("the content type must be 'multipart/form-data' with a boundary", "content-type")
    return bytes(found[1] or found[2])


def read_parts(body: bytes, content_type: bytes) -> list[Part]:
    """The form's fields in their order. Raises Refusal for anything that is not exactly a form."""
    delimiter = b"--" + _boundary(content_type)
    if not body.startswith(delimiter + b"\r\n"):
        raise malformed("the body does not begin with its boundary")
    parts: list[Part] = []
    at = len(delimiter) + 2
    while True:
        end = body.find(b"\r\n" + delimiter, at)
        if end < 0:
            raise malformed("the body does not end with its boundary")
        parts.append(_read_part(body, at, end))
        at = end + 2 + len(delimiter)
        if body[at : at + 2] == b"--":
            if body[at + 2 :] not in (b"", b"\r\n"):
                raise malformed("there is more behind the body's last boundary")
            return parts
        if body[at : at + 2] != b"\r\n":
            raise malformed("the body's boundary stands inside a line")
        if len(parts) == _MOST_PARTS:
            raise malformed(f"a form may have at most {_MOST_PARTS} fields")
        at += 2


def _read_part(body: bytes, start: int, end: int) -> Part:
    blank = body.find(b"\r\n\r\n", start, min(end, start + _MOST_HEAD))
    if blank < 0:
        raise malformed("a field of the form has no blank line behind its headers")
    head = body[start:blank]
    names = [name for line in head.split(b"\r\n") if (name := _NAME.match(line))]
    if len(names) != 1 or len(_NAMED.findall(head)) != 1:
        raise malformed("a field of the form must have one content-disposition with one name")
    try:
        field = names[0][1].decode()
    except UnicodeDecodeError:
        raise malformed("the names of fields must be UTF-8") from None
    return Part(field, blank + 4, end, _FILE.search(head) is not None)


def one_text(body: bytes, parts: list[Part], name: str) -> str | None:
    """The value of the one field `name`; None where there is none. Raises Refusal for two, or for a file."""
    found = [part for part in parts if part.name == name]
    if not found:
        return None
    if len(found) > 1 or found[0].is_file:
        raise malformed(f"{name!r} must be one text field", name)
    try:
        return body[found[0].start : found[0].end].decode()
    except UnicodeDecodeError:
        raise malformed(f"{name!r} must be UTF-8", name) from None


def replace_field(body: bytes, parts: list[Part], name: str, value: str) -> bytes:
    """`body` with another value in the field `name`."""
    part = next(part for part in parts if part.name == name)
    return body[: part.start] + value.encode() + body[part.end :]
