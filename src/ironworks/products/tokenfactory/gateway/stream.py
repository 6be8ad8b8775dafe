"""Server-sent events of a completion, read as they pass (WHATWG HTML, "Server-sent events").

Nearly every read is whole events with nothing in them but text; those pass as the bytes they are. Only from the first
word on that may be usage, an error or the end are they taken apart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import orjson

from ironworks.products.tokenfactory.gateway.answers import read_usage
from ironworks.products.tokenfactory.gateway.model import Refusal, Usage, upstream_failed

MAX_EVENT = 8 * 1024 * 1024
DONE = b"data: [DONE]\n\n"

_PRODUCED = re.compile(rb'"(?:content|text|arguments|reasoning_content|reasoning|refusal)": ?"[^"]')
_CONTENT = b'"content":"'
_OTHER_TEXT = (b'"text":', b'"arguments":', b'"reasoning', b'"refusal":"')
_SPECIAL = (b'"usage":{', b'"usage": {', b'"error"', b"[DONE]")
_ENDED = re.compile(rb'"finish_reason": ?"[^"]')
_QUOTE, _BACKSLASH, _RETURN = b'"\\\r'
"""As numbers: CPython finds a byte in bytes seven times faster than bytes of one (*measured*, 3.11)."""
_MODEL = re.compile(rb'"model": ?"(?:[^"\\]|\\.)*"')


def rename_model(data: bytes, field: bytes) -> bytes:
    """`data` with every `"model": "…"` member replaced by `field`; inside strings quotes are escaped, so none match."""
    return _MODEL.sub(lambda _: field, data)


class Template:
    """An event of chat text, cut around the text: engines send the same event again and again with another word in it.

    What begins and ends like it, with text between, has the same structure for certain.
    """

    __slots__ = ("end", "head", "joint", "shown", "start", "tail")

    def __init__(self, head: bytes, tail: bytes, shown: tuple[bytes, bytes] | None) -> None:
        """`shown` are head and tail as the caller is to see them; None if just so."""
        self.head = head
        self.tail = tail
        self.joint = tail + head
        self.start = len(head)
        self.end = -len(tail)
        self.shown = shown


class StreamReader:
    """One stream: forwards whole events, counts tokens, keeps the usage, hides it from a caller that did not ask.

    Attributes:
        tokens: events so far that carried generated text, which is how engines send one token.
        usage: the upstream's last figure, if any came.
        done: `[DONE]` came; nothing after it is read.
        fault: why the stream cannot go on.
    """

    __slots__ = (
        "_ended",
        "_field",
        "_pending",
        "_rename",
        "_show_usage",
        "_template",
        "done",
        "fault",
        "tokens",
        "usage",
    )

    def __init__(self, model: str, show_usage: bool) -> None:
        self.tokens = 0
        self.usage: Usage | None = None
        self.done = False
        self._ended = False
        """An answer said why it is over."""
        self.fault: Refusal | None = None
        self._pending = b""
        self._show_usage = show_usage
        self._field = b'"model":' + orjson.dumps(model)
        self._rename: bool | None = None
        self._template: Template | None = None

    def feed(self, pieces: Sequence[bytes]) -> bytes:
        """What the caller is to see of `pieces`: whole events up to the end of the stream; may be empty."""
        out: list[bytes] = []
        for number, piece in enumerate(pieces):
            if self._template is not None and not self._pending:
                rest = pieces[number:]
                data = b"".join(rest)
                shown, taken = self._feed_run(rest, data, self._template)
                out.append(shown)
                if taken < len(data):
                    out.append(self._feed_any(data[taken:]))
                break
            out.append(self._feed_any(piece))
            if self.done or self.fault:
                break
        return b"".join(out)

    def _feed_run(self, pieces: Sequence[bytes], data: bytes, template: Template) -> tuple[bytes, int]:
        """(what the caller is to see, how much of `data` that was) of the events like `template` that it begins with.

        `pieces`, of which `data` consists, are nearly always an event each: what is cut out of them are their texts if
        it gives the same bytes when put together again. Where an event is of another kind, nothing may be taken.
        """
        joint = template.joint
        events = pieces[: data.count(joint) + 1]
        texts = [event[template.start : template.end] for event in events if len(event) > len(joint)]
        run = template.head + joint.join(texts) + template.tail
        if not data.startswith(run) or not _are_texts(texts):
            return b"", 0
        self.tokens += len(texts)
        if template.shown is None:
            return run, len(run)
        head, tail = template.shown
        return head + (tail + head).join(texts) + tail, len(run)

    def _feed_any(self, data: bytes) -> bytes:
        if self._pending:
            data = self._pending + data
        if _RETURN in data:
            data = data.replace(b"\r\n", b"\n")
        end = data.rfind(b"\n\n") + 2
        if end < 2 or end != len(data):
            return self._feed_part(data, end)
        self._pending = b""
        self._ended = self._ended or _ENDED.search(data) is not None
        special = _first_special(data)
        if special < 0:
            self._count(data)
            return self._learn(data, self._named(data))
        start = data.rfind(b"\n\n", 0, special) + 2
        if start < 2:
            return self._named(self._take_apart(data))
        self._count(data[:start])
        return self._named(data[:start] + self._take_apart(data[start:]))

    def _learn(self, data: bytes, shown: bytes) -> bytes:
        """Make a template of `data` if it is one event of chat text; returns `shown`, which is how it goes out."""
        cut = _cut(data)
        if cut is not None:
            self._template = Template(*cut, _cut(shown) if shown is not data else None)
        return shown

    def _feed_part(self, data: bytes, end: int) -> bytes:
        """`data` ends in the middle of an event, the last whole one at `end` (1 where there is none)."""
        whole, rest = (data[:end], data[end:]) if end > 1 else (b"", data)
        if len(rest) > MAX_EVENT:
            self.fault = upstream_failed("the model server sent an event that does not end")
            rest = b""
        self._pending = b""
        shown = self._feed_any(whole) if whole else b""
        if not self.done and not self.fault:
            self._pending = rest
        return shown

    def finish(self) -> bytes:
        """The upstream's body ended: what was still incomplete counts as an event. Shown as by `feed`.

        Some servers send no `[DONE]`. One that did not say why it stopped either was cut off, whatever HTTP says.
        """
        shown = self._feed_any(b"\n\n") if self._pending.strip() else b""
        if not (self.done or self.fault or self._ended):
            self.fault = upstream_failed("the model server's stream ended before its answer did")
        return shown

    def last(self) -> bytes:
        """OpenAI's terminator."""
        return DONE

    def _take_apart(self, data: bytes) -> bytes:
        """Whole events, one by one, up to the end of the stream."""
        out = []
        for event in data[:-2].split(b"\n\n"):
            shown = self._event(event)
            if self.done or self.fault:
                break
            if shown:
                out.append(shown)
        return b"\n\n".join((*out, b"")) if out else b""

    def _event(self, event: bytes) -> bytes | None:
        """The event as the caller is to see it, without its blank line; None to hide it."""
        data = _data_of(event)
        if data == b"[DONE]":
            self.done = True
            return None
        if data is None or _first_special(data) < 0:
            self._count(event)
            return event
        try:
            chunk = orjson.loads(data)
        except orjson.JSONDecodeError:
            chunk = None
        if not isinstance(chunk, dict):
            self.fault = upstream_failed("the model server sent an event that is not JSON")
            return None
        return self._chunk(event, chunk)

    def _chunk(self, event: bytes, chunk: dict[str, object]) -> bytes | None:
        if chunk.get("error"):
            self.fault = upstream_failed("the model server reported an error in the middle of the stream")
            return None
        self._count(event)
        if not isinstance(chunk.get("usage"), dict):
            return event
        self.usage = read_usage(chunk["usage"]) or self.usage
        if self._show_usage:
            return event
        if not chunk.get("choices"):
            return None
        del chunk["usage"]
        return b"data: " + orjson.dumps(chunk)

    def _count(self, data: bytes) -> None:
        """Nearly always every event is one piece of chat text, which is seen without looking for anything else."""
        made = data.count(_CONTENT)
        if made:
            made -= data.count(b'"content":""')
        if made != (data.count(b"\n\n") or 1) and (not made or any(hint in data for hint in _OTHER_TEXT)):
            made = len(_PRODUCED.findall(data))
        self.tokens += made

    def _named(self, data: bytes) -> bytes:
        """`data` under the model's public name; whether that needs work is decided by the first event."""
        if self._rename is None and data.find(b'"model"') >= 0:
            self._rename = data.find(self._field) < 0
        return rename_model(data, self._field) if self._rename else data


def _cut(event: bytes) -> tuple[bytes, bytes] | None:
    """(up to the text, from its closing quote on) of exactly one event with exactly one piece of chat text."""
    if event.count(_CONTENT) != 1 or event.count(b"\n\n") != 1:
        return None
    start = event.index(_CONTENT) + len(_CONTENT)
    end = event.index(b'"', start)
    if end == start or _BACKSLASH in event[start:end]:
        return None
    return event[:start], event[end:]


def _are_texts(texts: list[bytes]) -> bool:
    """Whether each can stand in an event in another text's place: something, and nothing that ends a string or line."""
    lines = b"\n".join((b"", *texts, b""))
    whole = _QUOTE not in lines and lines.count(b"\n") == len(texts) + 1
    return whole and lines.find(b"\n\n") < 0 and lines.find(b"\\\n") < 0


def _first_special(data: bytes) -> int:
    """Where something begins that must be looked at: usage, an error, the end; -1 where there is nothing."""
    found = [at for word in _SPECIAL if (at := data.find(word)) >= 0]
    return min(found) if found else -1


def _data_of(event: bytes) -> bytes | None:
    """The event's data, its lines joined; None for a comment or an event without any."""
    if event.startswith(b"data:") and b"\n" not in event:
        return event[5:].strip()
    lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines).strip() if lines else None
