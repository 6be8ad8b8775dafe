"""What one caller may see of some kinds and topics at a moment, and where in the change log that is: what lists and
watches begin from.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ironworks.shared.changelog import Notice
from ironworks.shared.context import Actor
from ironworks.shared.declarations import Topic
from ironworks.shared.errors import invalid
from ironworks.shared.kind import Kind
from ironworks.shared.listing import Ask
from ironworks.shared.path import covers, join

_CURSOR = re.compile(r"(\d{1,19})\.([0-9a-f]{16})(?:\.(\d{1,19}))?")


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the log, as one caller sees some kinds and topics.

    It holds nothing secret and gives no rights, so it is checked, not signed: who makes one up can at most skip or
    repeat what he may see anyway.

    Args:
        oldest: topics touched by transactions before this one are told; 0 where none are followed yet.
    """

    position: int
    grants: str
    oldest: int = 0

    def encode(self) -> str:
        text = f"{self.position}.{self.grants}.{self.oldest}"
        return base64.urlsafe_b64encode(f"{text}.{_checksum(text)}".encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> Cursor:
        """Raises Invalid for what `encode` did not make."""
        try:
            plain = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)).decode("ascii")
        except (ValueError, binascii.Error):
            plain = ""
        body, _, checksum = plain.rpartition(".")
        match = _CURSOR.fullmatch(body)
        if match is None or checksum != _checksum(body):
            raise invalid("resource_cursor", "is not one of ours", "take resource_cursor from a list, or leave it out")
        return cls(int(match[1]), match[2], int(match[3] or 0))


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class View:
    """What the caller may see of some kinds and topics at one moment: the paths that its grants reach from, and the
    log's bounds.

    Args:
        grants: by the kind's or the topic's name; no topic is named as a kind is, whose names begin with a capital.
    """

    grants: Mapping[str, tuple[str, ...]]
    digest: str
    floor: int
    head: int

    @property
    def cursor(self) -> str:
        """Where a watch begins that goes on from what was read after this."""
        return Cursor(self.head, self.digest).encode()

    def shows(self, kind: Kind, notice: Notice) -> bool:
        """Whether the caller may read resources of `kind` where `notice` comes from."""
        own = join(notice.scope, notice.name or "") if kind.node else notice.scope
        return self._reaches(kind, own, notice.scope)

    def tells(self, topic: Topic, scope: str) -> bool:
        """Whether the caller may know that something of `topic` changed at `scope`."""
        return self._reaches(topic, scope, scope)

    def _reaches(self, what: Kind | Topic, own: str, scope: str) -> bool:
        grants = self.grants[what.name]
        if any(covers(grant, own) for grant in grants):
            return True
        return what.inherited and any(covers(scope, grant) for grant in grants)


async def look(ask: Ask, actor: Actor, kinds: Sequence[Kind], topics: Sequence[Topic] = ()) -> View:
    """The caller's view of `kinds` and `topics` now.

    A list's is taken before the list: what has a position by then was committed before, so the list shows it; what gets
    one later the watch tells, also where the list shows it already.
    """
    reads = {kind.name: kind.permission("read") for kind in kinds}
    reads |= {topic.name: topic.permission for topic in topics if not topic.own}
    columns = "".join(f", shared.granted(${n})::text[]" for n in range(1, len(reads) + 1))
    floor, head, *granted = await ask(
        f"select row(b.floor, b.head{columns}) from shared.change_bounds() b", *reads.values()
    )
    grants = {name: tuple(sorted(set(own or ()))) for name, own in zip(reads, granted, strict=True)}
    told = f"{actor.uid}|" + ";".join(f"{name}|{','.join(own)}" for name, own in grants.items())
    return View(grants, hashlib.sha256(told.encode()).hexdigest()[:16], floor, head)
