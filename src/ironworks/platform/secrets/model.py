"""Master keys as people write them, keys and sealed values as the database holds them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol
from uuid import UUID

from ironworks.shared.errors import Internal, Unavailable

ROTATE: Final = "secrets:rotate"
KEY_BYTES: Final = 32
MAX_VALUE_BYTES: Final = 65_536

_KEY_ID = re.compile(r"[A-Za-z0-9][-A-Za-z0-9_.]{0,62}")
_HEX = re.compile(r"[0-9A-Fa-f]{64}")


class BadMasterKey(ValueError):
    """The text of the master keys is not usable; the message tells the line, never what it holds."""


class MissingMasterKey(Unavailable):
    """A data key is wrapped by a master key that this process was not given."""

    code = "MASTER_KEY_MISSING"


class TamperedSecret(Internal):
    """A stored value, or the key it is sealed with, does not open: somebody changed or moved it."""


class MasterKeySource(Protocol):
    """Where master keys come from."""

    async def read(self) -> str:
        """The text that `parse_master_keys` takes. Raises BadMasterKey when it cannot be had."""


@dataclass(frozen=True, slots=True)
class MasterKeys:
    """Master keys by id; `current` wraps what is new, the others open what they wrapped before."""

    current: str
    keys: Mapping[str, bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A data key as stored."""

    scope: str
    version: int
    wrapped: bytes = field(repr=False)
    master_key_id: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value belongs; a sealed value opens nowhere else."""

    owner: UUID
    pointer: str
    scope: str


@dataclass(frozen=True, slots=True)
class SealedSecret:
    """A value as stored, with the key that opens it."""

    place: Place
    key: WrappedKey
    nonce: bytes = field(repr=False)
    ciphertext: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyReport:
    """How far rotations are.

    Args:
        by_master_key: data keys per master key id; a master key may be taken away once it has none here.
        requested: scopes whose data key is yet to be replaced.
        retired: replaced data keys that still seal values.
    """

    by_master_key: dict[str, int]
    requested: int
    retired: int

    @property
    def settled(self) -> bool:
        return not (self.requested or self.retired)


def parse_master_keys(text: str) -> MasterKeys:
    """Read master keys, one a line: `id:key`, or the key alone, whose id is then made from its fingerprint.

    A key is 32 bytes in base64 (either alphabet) or hex. The first line's key is the current one. Empty lines and
    those that begin with `#` do not count. Raises BadMasterKey.
    """
    keys: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        given_id, colon, encoded = line.rpartition(":")
        key = _decode_key(encoded.strip(), number)
        key_id = given_id.strip() if colon else fingerprint(key)
        if not _KEY_ID.fullmatch(key_id):
            raise BadMasterKey(f"line {number}: a key's id is 1 to 63 letters, digits and '-_.'")
        if keys.get(key_id, key) != key:
            raise BadMasterKey(f"line {number}: two different keys have the id {key_id!r}")
        keys[key_id] = key
    if not keys:
        raise BadMasterKey("there is no master key; make one with `openssl rand -base64 32`")
    return MasterKeys(next(iter(keys)), keys)


def _decode_key(encoded: str, number: int) -> bytes:
    if _HEX.fullmatch(encoded):
        return bytes.fromhex(encoded)
    try:
        padded = encoded.replace("-", "+").replace("_", "/")
        key = base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise BadMasterKey(f"line {number}: a key is base64 or hex") from None
    if len(key) != KEY_BYTES:
        raise BadMasterKey(f"line {number}: a key has {KEY_BYTES} bytes, not {len(key)}")
    return key


def fingerprint(key: bytes) -> str:
    """A key's id where none is given: it reveals nothing of the key, and is the same in every process."""
    return "k" + hashlib.sha256(b"ironworks.master_key.v1" + key).hexdigest()[:12]


def new_master_key() -> str:
    """A line for `parse_master_keys` with a new random key."""
    key = os.urandom(KEY_BYTES)
    return f"{fingerprint(key)}:{base64.b64encode(key).decode()}"
