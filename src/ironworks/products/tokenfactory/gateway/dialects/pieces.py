"""What a model says, in no dialect: every upstream's answer is read into pieces, and every caller's written from them.

A whole answer and a stream are both a sequence of these, so both are translated by the same two functions: one that
reads the upstream's dialect, one that writes the caller's.
"""

from __future__ import annotations

import os
from typing import Literal, NamedTuple, TypeAlias

Why: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter"]
"""Why a model stopped, in OpenAI's words; every other dialect maps to these and back."""


class Text(NamedTuple):
    """A bit of the answer."""

    text: str


class Refused(NamedTuple):
    """A bit of the model's own refusal to answer."""

    text: str


class Thought(NamedTuple):
    """A bit of reasoning that the model shows."""

    text: str


class Signature(NamedTuple):
    """Ends a stretch of thoughts; its author wants it back, unchanged, with the thoughts."""

    signature: str


class Redacted(NamedTuple):
    """A stretch of thoughts that only its author can read."""

    data: str


class ToolCall(NamedTuple):
    """The model begins to call tool `number` (0, 1, … within the answer)."""

    number: int
    id: str
    name: str


class Arguments(NamedTuple):
    """A bit of the JSON that tool call `number` gets."""

    number: int
    text: str


class Stop(NamedTuple):
    """The model stopped; `sequence` is the caller's stop sequence that made it, where the upstream says which."""

    why: Why
    sequence: str | None = None


Piece: TypeAlias = Text | Refused | Thought | Signature | Redacted | ToolCall | Arguments | Stop


def is_token(piece: Piece) -> bool:
    """Whether it holds something generated: what counts as a token where nobody counted better."""
    return isinstance(piece, Text | Thought | Arguments | Refused) and piece.text != ""


def new_id(prefix: str) -> str:
    """An id of an answer or of a part of it, unique for ever; what it is charged under is the request's."""
    return prefix + os.urandom(12).hex()
