"""Objects: whole or not at all, and never outside their scope."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from ironworks.shared.errors import Invalid, NotFound
from ironworks.shared.objects import DirectoryObjects, ObjectStore, check_key, location

SCOPES = ["-", "acme", "acme.shop", "acme.shop.eu", "acme.sho"]
LABEL = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
SEGMENT = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,8}", fullmatch=True)
KEY = st.lists(SEGMENT, min_size=1, max_size=4).map("/".join)
PATH = st.lists(LABEL, max_size=4).map(".".join)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return DirectoryObjects(tmp_path / "objects")


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_what_is_put_is_what_is_got(store: ObjectStore) -> None:
    stored = await store.put("acme.shop", "a/b.txt", chunks(b"hello ", b"", b"world"))
    assert (stored.size, stored.scope, stored.key) == (11, "acme.shop", "a/b.txt")
    assert stored.sha256 == hashlib.sha256(b"hello world").hexdigest()
    assert await store.get("acme.shop", "a/b.txt") == b"hello world"
    assert await store.stat("acme.shop", "a/b.txt") == stored


async def test_a_key_and_keys_below_it_can_both_exist(store: ObjectStore) -> None:
    await store.put("-", "a/b", b"2")
    await store.put("-", "a", b"1")
    await store.put("-", "a/b/c", b"3")
    assert [o.key async for o in store.list("-")] == ["a", "a/b", "a/b/c"]
    assert await store.delete("-", "a/b")
    assert await store.get("-", "a/b/c") == b"3"


async def test_a_scopes_list_holds_neither_those_below_nor_those_beside(store: ObjectStore) -> None:
    for scope in SCOPES:
        await store.put(scope, "x", scope.encode())
    for scope in SCOPES:
        assert [(o.scope, o.key) async for o in store.list(scope)] == [(scope, "x")]
        assert await store.get(scope, "x") == scope.encode()


@pytest.mark.parametrize(
    "key",
    ["", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "../x", "a/./b", ".hidden", "-x", "a\\b", "a\0b", "a b", "ä",
     "a@", "a\n", "x" * 201, "/".join(["ab"] * 400)],
)  # fmt: skip
async def test_bad_keys_are_refused_everywhere(store: ObjectStore, key: str) -> None:
    with pytest.raises(Invalid):
        await store.put("acme", key, b"")
    with pytest.raises(Invalid):
        await store.get("acme", key)
    with pytest.raises(Invalid):
        await store.delete("acme", key)
    with pytest.raises(Invalid):
        await store.exists("acme", key)


@pytest.mark.parametrize("scope", ["..", "a/b", "Acme", "a..b", ".", "a.-", "a.b.c.d.e.f.g.h.i", "a\0"])
async def test_bad_scopes_are_refused(store: ObjectStore, scope: str) -> None:
    with pytest.raises(Invalid):
        await store.put(scope, "x", b"")
    with pytest.raises(Invalid):
        [_ async for _ in store.list(scope)]


@given(st.text(max_size=40))
def test_whatever_passes_as_a_key_stays_below_its_scope(key: str) -> None:
    try:
        check_key(key)
    except Invalid:
        return
    parts = location("acme.shop", key).split("/")
    assert parts[:3] == ["acme", "shop", "-"]
    assert not {"", ".", ".."} & set(parts)


@given(PATH, KEY, PATH, KEY)
def test_two_objects_never_share_a_place(scope: str, key: str, other_scope: str, other_key: str) -> None:
    if (scope, key) != (other_scope, other_key):
        assert location(scope, key) != location(other_scope, other_key)


async def test_a_write_that_breaks_off_leaves_what_was_there(store: ObjectStore, tmp_path: Path) -> None:
    await store.put("acme", "a", b"old")

    async def broken() -> AsyncIterator[bytes]:
        yield b"new"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await store.put("acme", "a", broken())
    assert await store.get("acme", "a") == b"old"
    assert [o.key async for o in store.list("acme")] == ["a"]
    assert list(tmp_path.rglob(".put-*")) == []


async def test_a_half_written_file_of_a_crash_is_no_object(store: ObjectStore, tmp_path: Path) -> None:
    await store.put("acme", "a", b"whole")
    folder = tmp_path / "objects/acme/-"
    (folder / ".put-0011").write_bytes(b"half")
    (folder / "b@").write_bytes(b"too short")
    (folder / "c@").write_bytes(b"x" * 100)
    assert [o.key async for o in store.list("acme")] == ["a"]
    assert not await store.exists("acme", "c")


async def test_a_reader_sees_one_version_while_writers_replace_it(store: ObjectStore) -> None:
    sizes = [300_000, 10, 700_000]
    await store.put("acme", "a", b"0" * sizes[0])

    async def write() -> None:
        for n in range(1, 30):
            await store.put("acme", "a", str(n % 3).encode() * sizes[n % 3])

    async def read() -> None:
        for _ in range(30):
            content = await store.get("acme", "a")
            assert content == content[:1] * sizes[int(content[:1])]

    async with asyncio.timeout(60):
        await asyncio.gather(write(), read(), read())


async def test_links_lead_nowhere(store: ObjectStore, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    secret = await DirectoryObjects(outside).put("-", "secret", b"secret")
    assert secret.size == 6
    await store.put("acme", "a/b", b"x")
    folder = tmp_path / "objects/acme/-"
    (folder / "link").symlink_to(outside / "-", target_is_directory=True)
    (folder / "file@").symlink_to(outside / "-" / "secret@")
    (tmp_path / "objects/evil").symlink_to(outside, target_is_directory=True)
    for scope, key in (("acme", "link/secret"), ("acme", "file"), ("evil", "secret")):
        with pytest.raises(NotFound):
            await store.get(scope, key)
        assert not await store.delete(scope, key) or key == "file"
    with pytest.raises(NotADirectoryError):
        await store.put("acme", "link/planted", b"x")
    with pytest.raises(NotADirectoryError):
        await store.put("evil", "planted", b"x")
    assert [o.key async for o in store.list("acme")] == ["a/b"]
    assert [p.name for p in outside.rglob("*")] == ["-", "secret@"]


async def test_absent_objects_are_not_found(store: ObjectStore) -> None:
    assert not await store.exists("acme", "a")
    assert not await store.delete("acme", "a/b")
    assert [_ async for _ in store.list("acme")] == []
    with pytest.raises(NotFound):
        await store.get("acme", "a")


@settings(max_examples=60, deadline=None)
@given(
    content=st.binary(max_size=600),
    start=st.integers(0, 700),
    length=st.none() | st.integers(0, 700),
)
def test_ranges_are_slices(content: bytes, start: int, length: int | None) -> None:
    async def check(root: str) -> None:
        store = DirectoryObjects(Path(root))
        await store.put("-", "a", content)
        end = None if length is None else start + length
        assert await store.get("-", "a", start=start, length=length) == content[start:end]

    with tempfile.TemporaryDirectory() as root:
        asyncio.run(check(root))


async def test_ranges_are_not_negative(store: ObjectStore) -> None:
    await store.put("-", "a", b"abc")
    with pytest.raises(Invalid):
        await store.get("-", "a", start=-1)
    with pytest.raises(Invalid):
        await store.get("-", "a", length=-1)


class Model(RuleBasedStateMachine):
    """Any sequence of operations, against a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = DirectoryObjects(Path(self.folder.name))
        self.model: dict[tuple[str, str], bytes] = {}

    def teardown(self) -> None:
        self.folder.cleanup()

    keys = st.sampled_from(["a", "a/b", "a/b/c", "a.b", "b", "ab"])
    scopes = st.sampled_from(SCOPES)

    @rule(scope=scopes, key=keys, content=st.binary(max_size=50))
    def put(self, scope: str, key: str, content: bytes) -> None:
        asyncio.run(self.store.put(scope, key, content))
        self.model[scope, key] = content

    @rule(scope=scopes, key=keys)
    def delete(self, scope: str, key: str) -> None:
        assert asyncio.run(self.store.delete(scope, key)) == (self.model.pop((scope, key), None) is not None)

    @rule(scope=scopes, prefix=st.sampled_from(["", "a", "a/", "b", "c"]))
    def listing(self, scope: str, prefix: str) -> None:
        async def collect() -> dict[str, bytes]:
            return {o.key: await self.store.get(scope, o.key) async for o in self.store.list(scope, prefix)}

        found = asyncio.run(collect())
        assert list(found) == sorted(found)
        assert found == {k: v for (s, k), v in self.model.items() if s == scope and k.startswith(prefix)}


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=20, stateful_step_count=25, deadline=None)
