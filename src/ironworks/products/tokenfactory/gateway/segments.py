"""The spool's files: checksummed records in segments of fixed size, and token counts in slots, both memory-mapped.

A record is `checksum | length | kind | payload` (little-endian u32, u32, u8, JSON array); the checksum is the payload's
CRC-32, begun with length, kind and the segment's number. The first thing that does not check out is the end: of what
was written, or of what a crash tore. A file's first record tells the segment's number, and is the only one whose
checksum does without it. Files whose records are all charged are used again under a new number, which makes what is
still in them void. Their blocks and their directory entry are on disk by then, so that syncing them writes data alone;
renaming them would take a commit of the file system's journal each time, for which everybody waits. A write into a
shared mapping is in the page cache at once, so it survives the process; only a sync makes it survive the machine.

A slot is `generation | tokens` (u32, u32): how many tokens the open request that holds it has been sent so far. The
generation tells it from earlier holders of the slot.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from zlib import crc32

import orjson

from ironworks.products.tokenfactory.gateway.model import UsageRecord

OPENED: Final = 1
CLOSED: Final = 2
BEGUN: Final = 3
HEADER: Final = struct.Struct("<IIB")
_SEED: Final = 0x49574B53
"""Keeps a header of zeros from being a record: an empty payload's CRC is the value it began with."""
_ANY: Final = -1
"""What stands for a segment's number where that is not known."""
SUFFIX: Final = ".segment"
SLOTS: Final = "slots"


def encode_record(number: int, kind: int, payload: bytes) -> bytes:
    """The record's bytes in segment `number`."""
    length = len(payload)
    checksum = crc32(payload, _seed_of(number) ^ (length << 8 ^ kind) & 0xFFFFFFFF)
    return HEADER.pack(checksum, length, kind) + payload


def _seed_of(number: int) -> int:
    return (_SEED ^ number * 0x9E3779B1) & 0xFFFFFFFF


def read_records(
    data: bytes | mmap.mmap, number: int, start: int = 0, end: int | None = None
) -> Iterator[tuple[int, bytes, int]]:
    """(kind, payload, position after it) of each record of segment `number` from `start` to the first torn one."""
    end = len(data) if end is None else end
    seed = _seed_of(number)
    while start + HEADER.size <= end:
        checksum, length, kind = HEADER.unpack_from(data, start)
        stop = start + HEADER.size + length
        payload = data[start + HEADER.size : stop]
        if stop > end or crc32(payload, seed ^ (length << 8 ^ kind) & 0xFFFFFFFF) != checksum:
            return
        yield kind, payload, stop
        start = stop


def _begin(number: int) -> bytes:
    """The first record of the file that holds segment `number`."""
    return encode_record(_ANY, BEGUN, number.to_bytes(8, "little"))


START: Final = len(_begin(0))
"""Where the second record begins."""


class Ticket:
    """An open request's place in the spool.

    Attributes:
        segment: what holds its opening. slot, generation: where its tokens are counted.
        fields: the first fields of its record, as JSON without brackets. guess: tokens of its input.
        said: the same fields, not as JSON; None where nobody keeps them.
    """

    __slots__ = ("fields", "generation", "guess", "said", "segment", "slot")

    def __init__(
        self, slot: int, generation: int, fields: bytes, guess: int, said: tuple[object, ...] | None = None
    ) -> None:
        self.segment: Segment
        self.slot = slot
        self.generation = generation
        self.fields = fields
        self.guess = guess
        self.said = said

    def opening(self) -> bytes:
        """The payload of its opening record."""
        return b"[%d,%d,%b,%d]" % (self.slot, self.generation, self.fields, self.guess)

    def closing(self, others: tuple[object, ...]) -> bytes:
        """The payload of its closing record; `others` are the fields after those of the opening."""
        return b"[%b,%b" % (self.fields, orjson.dumps(others)[1:])


class Segment:
    """One file being written.

    Attributes:
        number: its place among the process's. end: where the next record goes. closed_end: end of the last closing
            record. synced: what is on disk.
        opened: the requests whose opening is here and which are not closed, by slot.
        kept: fields of closing records by where they begin, so that they need not be read back from JSON. What is
            charged soon is found here; what waits longer is read from the file.
    """

    __slots__ = (
        "_entered", "_fd", "_folder", "_seed", "_size", "closed_end", "end", "kept", "map", "number", "opened",
        "path", "synced",
    )  # fmt: skip

    def __init__(self, directory: Path, number: int, size: int) -> None:
        """Creates and allocates the file; raises OSError when the disk cannot hold it."""
        self.path = directory / f"{number:010d}{SUFFIX}"
        self._size = size
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.posix_fallocate(self._fd, 0, size)
            self.map = mmap.mmap(self._fd, size)
            self._folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            os.close(self._fd)
            self.path.unlink(missing_ok=True)
            raise
        self._entered = False
        self.begin(number)

    def begin(self, number: int) -> None:
        """Be segment `number` from now on, in a new file or one that was retired."""
        self.number = number
        self._seed = _seed_of(number)
        self.map[:START] = _begin(number)
        self.end = START
        self.closed_end = self.synced = 0
        self.opened: dict[int, Ticket] = {}
        self.kept: dict[int, tuple[object, ...]] = {}

    def retire(self) -> None:
        """All in it is charged: nobody is to read it."""
        self.map[:START] = bytes(START)

    def append(self, kind: int, payload: bytes) -> bool:
        """Write a record; False when it does not fit."""
        length = len(payload)
        start = self.end
        end = start + HEADER.size + length
        if end > self._size:
            return False
        checksum = crc32(payload, self._seed ^ (length << 8 ^ kind) & 0xFFFFFFFF)
        self.map[start:end] = HEADER.pack(checksum, length, kind) + payload
        self.end = end
        if kind == CLOSED:
            self.closed_end = end
        return True

    def read_closed(self, start: int, limit: int) -> tuple[list[UsageRecord], int]:
        """Up to `limit` synced closing records from `start` on, and the position after them.

        Nobody else writes here, so what this process wrote needs no checking. What is kept is given once.
        """
        found: list[UsageRecord] = []
        data, end = self.map, self.synced
        while start < end and len(found) < limit:
            _, length, kind = HEADER.unpack_from(data, start)
            stop = start + HEADER.size + length
            if kind == CLOSED:
                kept = self.kept.pop(start, None)
                if kept is not None:
                    found.append(UsageRecord._make(kept))
                else:
                    found.append(UsageRecord.read(orjson.loads(data[start + HEADER.size : stop])))
            start = stop
        return found, start

    def files(self) -> list[int]:
        """What to force to disk: itself, the first time its directory entry too."""
        return [self._fd] if self._entered else [self._fd, self._folder]

    def is_synced(self, end: int) -> None:
        """All before `end` is on disk, and the directory entry."""
        self._entered = True
        self.synced = max(self.synced, end)

    def close(self) -> None:
        """Let go of the file."""
        self.map.close()
        os.close(self._fd)
        os.close(self._folder)

    def remove(self) -> None:
        """Let go of the file and delete it."""
        self.close()
        self.path.unlink(missing_ok=True)


class Slots:
    """The token counts of one process's open requests."""

    __slots__ = ("_fd", "_free", "_generation", "_map", "_view")

    def __init__(self, directory: Path, count: int) -> None:
        self._fd = os.open(directory / SLOTS, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.posix_fallocate(self._fd, 0, count * 8)
        self._map = mmap.mmap(self._fd, count * 8)
        self._view = memoryview(self._map).cast("I")
        self._free = list(range(count - 1, -1, -1))
        self._generation = 0

    def take(self) -> tuple[int, int] | None:
        """(slot, generation) for a new request, counting from zero; None when all are taken."""
        if not self._free:
            return None
        slot = self._free.pop()
        self._generation = self._generation + 1 & 0xFFFFFFFF
        self._view[2 * slot + 1] = 0
        self._view[2 * slot] = self._generation
        return slot, self._generation

    def count(self, slot: int, tokens: int) -> None:
        """`tokens` have been sent."""
        self._view[2 * slot + 1] = tokens

    def give(self, slot: int) -> None:
        """The request is closed."""
        self._free.append(slot)

    def close(self) -> None:
        self._view.release()
        self._map.close()
        os.close(self._fd)


def read_segments(directory: Path) -> Iterator[tuple[int, bytes]]:
    """(kind, payload) of each record that a process that is gone has left, in the order in which it wrote them."""
    for number, start, path in sorted((*_number_of(path), path) for path in directory.glob("*" + SUFFIX)):
        for kind, payload, _ in read_records(path.read_bytes(), number, start):
            yield kind, payload


def _number_of(path: Path) -> tuple[int, int]:
    """(the segment's number, where its records begin) of a file; the release before told the number in the name."""
    with path.open("rb") as file:
        first = file.read(START)
    for _, payload, _ in read_records(first, _ANY):
        return int.from_bytes(payload, "little"), START
    return int(path.stem), 0


def read_slots(directory: Path) -> Mapping[tuple[int, int], int]:
    """{(slot, generation): tokens} of a process that is gone."""
    try:
        data = (directory / SLOTS).read_bytes()
    except FileNotFoundError:
        return {}
    return {(i, generation): tokens for i, (generation, tokens) in enumerate(struct.iter_unpack("<II", data))}
