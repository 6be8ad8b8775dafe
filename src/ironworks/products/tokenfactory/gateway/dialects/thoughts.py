"""Reasoning that its author wants back, as `encrypted_content` of a Responses API's reasoning item.

The caller need not understand it, only return it. It is not secret from the caller, who saw the thoughts anyway; their
signature guards them against change.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import orjson

_MARK = b"ironworks-thoughts-1:"


def seal(blocks: Sequence[dict[str, Any]]) -> str:
    """Anthropic's thinking blocks as one text."""
    return base64.b64encode(_MARK + orjson.dumps(list(blocks))).decode()


def unseal(sealed: object) -> list[dict[str, Any]] | None:
    """The blocks in what `seal` made; None for anything else, such as another provider's."""
    if not isinstance(sealed, str):
        return None
    try:
        data = base64.b64decode(sealed, validate=True)
        blocks = orjson.loads(data.removeprefix(_MARK)) if data.startswith(_MARK) else None
    except (binascii.Error, ValueError):
        return None
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        return None
    return blocks
