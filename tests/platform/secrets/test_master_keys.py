"""Master keys: read from a file, a value or a command; never shown."""

from __future__ import annotations

import asyncio
import base64
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironworks.platform.secrets import (
    BadMasterKey,
    CommandMasterKeys,
    FileMasterKeys,
    TextMasterKeys,
    load_keyring,
    new_master_key,
    parse_master_keys,
)

KEY = bytes(range(32))
BASE64 = base64.b64encode(KEY).decode()


@given(st.binary(min_size=32, max_size=32))
def test_every_usual_writing_of_a_key_is_read(key: bytes) -> None:
    for text in (
        base64.b64encode(key).decode(),
        base64.urlsafe_b64encode(key).decode(),
        base64.urlsafe_b64encode(key).decode().rstrip("="),
        key.hex(),
        key.hex().upper(),
    ):
        keys = parse_master_keys(f"a.key_1: {text}\n")
        assert (keys.current, dict(keys.keys)) == ("a.key_1", {"a.key_1": key})


def test_the_first_line_is_current_and_a_key_without_id_is_named_by_its_fingerprint() -> None:
    keys = parse_master_keys(f"# the new one\nnew:{'ab' * 32}\n\n{BASE64}\n")
    alone = parse_master_keys(BASE64)
    assert (keys.current, set(keys.keys)) == ("new", {"new", alone.current})
    assert parse_master_keys(new_master_key()).current.startswith("k")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no master key"),
        ("# only a comment", "no master key"),
        ("a:c2hvcnQ=", "line 1: a key has 32 bytes, not 5"),
        ("a:!!!", "line 1: a key is base64 or hex"),
        (f"\n bad id!:{BASE64}", "line 2: a key's id"),
        (f"a:{BASE64}\na:{'00' * 32}", "two different keys"),
        (f"{'x' * 64}:{BASE64}", "a key's id"),
    ],
)
def test_unusable_text_is_refused_without_showing_it(text: str, problem: str) -> None:
    with pytest.raises(BadMasterKey, match=problem) as refused:
        parse_master_keys(text)
    assert BASE64 not in str(refused.value)
    assert "c2hvcnQ" not in str(refused.value)


async def test_nothing_shows_a_key() -> None:
    source = TextMasterKeys(f"a:{BASE64}")
    keyring = await load_keyring(source)
    shown = f"{source!r} {keyring!r} {parse_master_keys(BASE64)!r}"
    assert BASE64 not in shown
    assert repr(KEY) not in shown
    assert "current='a'" in shown


async def test_a_value_separates_keys_by_commas() -> None:
    assert (await load_keyring(TextMasterKeys(f"b:{'00' * 32},a:{BASE64}"))).known_ids == ["a", "b"]


async def test_a_file_is_read_only_while_it_is_private(tmp_path: Path) -> None:
    file = tmp_path / "master.key"
    file.write_text(BASE64)
    file.chmod(0o600)
    assert len((await load_keyring(FileMasterKeys(file))).known_ids) == 1
    file.chmod(0o640)
    with pytest.raises(BadMasterKey, match="chmod 600"):
        await load_keyring(FileMasterKeys(file))
    with pytest.raises(BadMasterKey, match="No such file"):
        await load_keyring(FileMasterKeys(tmp_path / "none"))


async def test_a_command_prints_the_keys() -> None:
    assert (await load_keyring(CommandMasterKeys(("printf", f"a:{BASE64}")))).known_ids == ["a"]


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        (f"echo a:{BASE64}; exit 3", "ended with status 3"),
        ("echo 'secret on stderr' >&2; echo 'no key!'", "line 1: a key is base64"),
        ("exit 0", "no master key"),
        ("head -c 200000 /dev/zero", "printed over"),
    ],
)
async def test_a_failing_command_is_refused(script: str, problem: str) -> None:
    with pytest.raises(BadMasterKey, match=problem) as refused:
        await load_keyring(CommandMasterKeys(("sh", "-c", script)))
    assert BASE64 not in str(refused.value)


async def test_a_command_that_is_not_there_is_refused() -> None:
    with pytest.raises(BadMasterKey, match="cannot run"):
        await load_keyring(CommandMasterKeys(("/no/such/command",)))


async def test_a_command_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    began = time.monotonic()
    script = f"sleep 60 & echo $! > {tmp_path}/pid; wait"
    with pytest.raises(BadMasterKey, match="took over"):
        await load_keyring(CommandMasterKeys(("sh", "-c", script), timeout=0.5))
    assert time.monotonic() - began < 10
    child = int((tmp_path / "pid").read_text())
    for _ in range(100):
        if not _runs(child):
            break
        await asyncio.sleep(0.02)
    assert not _runs(child)


def _runs(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def test_new_keys_differ() -> None:
    assert len({new_master_key() for _ in range(50)}) == 50
