"""Objects: bytes under a name, kept apart by scope.

A caller gives a scope's path and a key; only this module builds the place where the bytes lie, so no key can reach
another tenant's. `DirectoryObjects` keeps them in files; an S3-compatible store keeps them under the same names.

    stored = await objects.put("acme.shop.eu", "models/smollm2/weights.gguf", chunks)
    head = await objects.get("acme.shop.eu", stored.key, start=0, length=4096)

A write is all or nothing and is on disk when it returns; a reader never sees half of one, nor the joint of two.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import secrets
import stat
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from ironworks.shared.errors import NotFound, invalid
from ironworks.shared.path import parse_path, show_path

MAX_KEY: Final = 1024
CHUNK: Final = 1 << 18
"""Bytes read at once when an object is streamed."""

_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What is known of an object without reading it; `sha256` is of its content, in hex."""

    scope: str
    key: str
    size: int
    sha256: str
    modified_at: datetime


class ObjectStore(Protocol):
    """Where objects are kept. Every method raises Invalid for a bad scope or key."""

    async def put(self, scope: str, key: str, content: bytes | AsyncIterable[bytes]) -> StoredObject:
        """Store `content`, replacing what was there; durable on return. What `content` raises leaves all as it was."""
        ...

    async def get(self, scope: str, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        """The bytes from `start`, at most `length` of them. Raises NotFound."""
        ...

    def stream(self, scope: str, key: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Like `get`, in chunks, of the object as it is when the first is asked for. Raises NotFound."""
        ...

    async def stat(self, scope: str, key: str) -> StoredObject:
        """Raises NotFound."""
        ...

    async def exists(self, scope: str, key: str) -> bool: ...

    async def delete(self, scope: str, key: str) -> bool:
        """Whether there was one."""
        ...

    def list(self, scope: str, prefix: str = "") -> AsyncIterator[StoredObject]:
        """The objects of this very scope whose keys begin with `prefix`, in the order of their keys."""
        ...


def check_key(key: str) -> tuple[str, ...]:
    """The segments of a valid key: `/`-separated words of letters, digits, `_`, `.` and `-`. Raises Invalid."""
    parts = tuple(key.split("/"))
    if len(key) > MAX_KEY or not all(_SEGMENT.fullmatch(part) for part in parts):
        raise invalid(
            "key",
            f"{key[:80]!r} is not a valid object key",
            "use words of letters, digits, '_', '.' and '-' that begin with none of '.' and '-', separated by '/'",
        )
    return parts


def location(scope: str, key: str) -> str:
    """The name under which a store keeps an object: `acme/shop/eu/-/models/weights.gguf`.

    No label of a path is `-`, so a scope's objects and those of the scopes below it cannot meet.
    """
    return "/".join((*_scope_parts(scope), *check_key(key)))


def _scope_parts(scope: str) -> tuple[str, ...]:
    path = parse_path(scope)
    return (*(path.split(".") if path else ()), "-")


# --- files -------------------------------------------------------------------------------------------------------
#
# A key's last segment gets the suffix "@", which no segment can hold: `a` and `a/b` can then both exist. The file ends
# in a trailer with the content's digest, so that content and digest are replaced together, by one rename.

_SUFFIX = "@"
_MAGIC = b"ironwrk1"
_TRAILER = 32 + len(_MAGIC)
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_TEMPORARY = ".put-"


class DirectoryObjects:
    """Objects as files below `root`.

    Every step into a folder is taken by descriptor and refuses symbolic links, so that neither a key nor something
    planted below `root` leads outside.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True, mode=0o700)

    async def put(self, scope: str, key: str, content: bytes | AsyncIterable[bytes]) -> StoredObject:
        folders, name = _split(scope, key)
        writing = await asyncio.to_thread(_Writing, self.root, folders)
        try:
            if isinstance(content, bytes):
                await asyncio.to_thread(writing.write, content)
            else:
                async for chunk in content:
                    await asyncio.to_thread(writing.write, chunk)
            await asyncio.to_thread(writing.commit, name)
        finally:
            await asyncio.to_thread(writing.close)
        return await self.stat(scope, key)

    async def get(self, scope: str, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        return b"".join([chunk async for chunk in self.stream(scope, key, start=start, length=length)])

    async def stream(self, scope: str, key: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        if start < 0 or (length is not None and length < 0):
            raise invalid("range", "start and length are not negative")
        file = await asyncio.to_thread(self._open, scope, key)
        try:
            size = os.fstat(file.fileno()).st_size - _TRAILER
            end = size if length is None else min(size, start + length)
            while start < end:
                chunk = await asyncio.to_thread(os.pread, file.fileno(), min(CHUNK, end - start), start)
                start += len(chunk)
                yield chunk
        finally:
            file.close()

    async def stat(self, scope: str, key: str) -> StoredObject:
        def look() -> StoredObject:
            with self._open(scope, key) as file:
                return _describe(file, show_path(parse_path(scope)), key)

        return await asyncio.to_thread(look)

    async def exists(self, scope: str, key: str) -> bool:
        try:
            await self.stat(scope, key)
        except NotFound:
            return False
        return True

    async def delete(self, scope: str, key: str) -> bool:
        folders, name = _split(scope, key)
        return await asyncio.to_thread(_remove, self.root, folders, name)

    async def list(self, scope: str, prefix: str = "") -> AsyncIterator[StoredObject]:
        shown = show_path(parse_path(scope))
        for key in await asyncio.to_thread(_keys, self.root, _scope_parts(scope), prefix):
            with suppress(NotFound):  # deleted meanwhile
                found = await self.stat(scope, key)
                yield StoredObject(shown, key, found.size, found.sha256, found.modified_at)

    def _open(self, scope: str, key: str) -> BinaryIO:
        folders, name = _split(scope, key)
        try:
            with _entered(self.root, folders) as folder:
                fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder)
        except OSError as problem:
            raise _absent(scope, key) from problem
        file = os.fdopen(fd, "rb", buffering=0)
        if not stat.S_ISREG(os.fstat(fd).st_mode) or os.fstat(fd).st_size < _TRAILER:
            file.close()
            raise _absent(scope, key)
        return file


class _Writing:
    """A file being written beside its future place. Blocking: used from threads."""

    def __init__(self, root: Path, folders: tuple[str, ...]) -> None:
        with _entered(root, folders, create=True) as folder:
            self._folder = os.dup(folder)
        self._temporary = _TEMPORARY + secrets.token_hex(8)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._file = os.fdopen(os.open(self._temporary, flags, 0o600, dir_fd=self._folder), "wb")
        except BaseException:
            os.close(self._folder)
            raise
        self._digest = hashlib.sha256()
        self._committed = False

    def write(self, chunk: bytes) -> None:
        self._digest.update(chunk)
        self._file.write(chunk)

    def commit(self, name: str) -> None:
        """Put the whole file in its place and make both it and its name durable."""
        self._file.write(self._digest.digest() + _MAGIC)
        self._file.flush()
        os.fsync(self._file.fileno())
        os.rename(self._temporary, name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        self._committed = True
        os.fsync(self._folder)

    def close(self) -> None:
        self._file.close()
        if not self._committed:
            with suppress(FileNotFoundError):
                os.unlink(self._temporary, dir_fd=self._folder)
        os.close(self._folder)


def _split(scope: str, key: str) -> tuple[tuple[str, ...], str]:
    """(folders, file name) of an object."""
    *folders, last = check_key(key)
    return (*_scope_parts(scope), *folders), last + _SUFFIX


@contextmanager
def _entered(root: Path, folders: tuple[str, ...], *, create: bool = False) -> Iterator[int]:
    """A descriptor of the folder, reached without following a link. Raises OSError."""
    current = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in folders:
            if create and _make_folder(name, current):
                os.fsync(current)
            current, left = os.open(name, _FOLDER, dir_fd=current), current
            os.close(left)
        yield current
    finally:
        os.close(current)


def _make_folder(name: str, parent: int) -> bool:
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        return False
    return True


def _describe(file: BinaryIO, scope: str, key: str) -> StoredObject:
    found = os.fstat(file.fileno())
    size = found.st_size - _TRAILER
    trailer = os.pread(file.fileno(), _TRAILER, size)
    if trailer[32:] != _MAGIC:
        raise _absent(scope, key)
    return StoredObject(scope, key, size, trailer[:32].hex(), datetime.fromtimestamp(found.st_mtime, UTC))


def _remove(root: Path, folders: tuple[str, ...], name: str) -> bool:
    try:
        with _entered(root, folders) as folder:
            os.unlink(name, dir_fd=folder)
            os.fsync(folder)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _keys(root: Path, folders: tuple[str, ...], prefix: str) -> list[str]:
    """The keys below a scope's folder that begin with `prefix`, sorted."""
    found = []
    try:
        with _entered(root, folders) as folder:
            for at, _, files, _ in os.fwalk(".", dir_fd=folder, follow_symlinks=False):
                below = at.removeprefix(".").removeprefix("/")
                found += [f"{below}/{name}" if below else name for name in files if name.endswith(_SUFFIX)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(key for name in found if (key := name.removesuffix(_SUFFIX)).startswith(prefix))


def _absent(scope: str, key: str) -> NotFound:
    return NotFound(f"no object {key!r} in {scope or '-'!r}", scope=scope or "-", key=key)
