"""AES-256-GCM, twice: master keys wrap data keys, data keys seal values.

Nonces are random, 96 bits: a data key seals far fewer values than the 2³² that this allows (NIST SP 800-38D, 8.3).
What a ciphertext belongs to is authenticated with it, so that one put elsewhere does not open.
"""

from __future__ import annotations

import os
from collections import OrderedDict

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ironworks.platform.secrets.model import (
    KEY_BYTES,
    MasterKeys,
    MissingMasterKey,
    Place,
    SealedSecret,
    TamperedSecret,
    WrappedKey,
)

_NONCE_BYTES = 12
_WRAPPED_BYTES = _NONCE_BYTES + KEY_BYTES + 16
_HEAD_BYTES = _WRAPPED_BYTES + _NONCE_BYTES


class Keyring:
    """The master keys of this process, and the data keys it unwrapped lately.

    Args:
        capacity: how many data keys stay in memory; the one unused longest goes first.
    """

    def __init__(self, master: MasterKeys, capacity: int = 1024) -> None:
        self._master = master
        self._capacity = capacity
        # by the stored bytes: a (scope, version) may be made twice, where the first one's transaction rolled back
        self._unwrapped: OrderedDict[WrappedKey, AESGCM] = OrderedDict()

    def __repr__(self) -> str:
        return f"Keyring(current={self.current_id!r}, ids={self.known_ids!r})"

    @property
    def current_id(self) -> str:
        """The master key that wraps what is new."""
        return self._master.current

    @property
    def known_ids(self) -> list[str]:
        """Every master key at hand."""
        return sorted(self._master.keys)

    def replace(self, master: MasterKeys) -> None:
        """Take other master keys from now on."""
        self._master = master
        self._unwrapped.clear()

    def new_key(self, scope: str, version: int) -> WrappedKey:
        """A fresh data key, wrapped by the current master key."""
        return self._wrap(scope, version, os.urandom(KEY_BYTES))

    def rewrap(self, key: WrappedKey) -> WrappedKey:
        """The same data key, wrapped by the current master key. Raises as `open` does."""
        return self._wrap(key.scope, key.version, self._unwrap(key))

    def seal(self, key: WrappedKey, place: Place, value: str) -> SealedSecret:
        """Encrypt `value` for `place`. Raises MissingMasterKey, TamperedSecret."""
        nonce = os.urandom(_NONCE_BYTES)
        return SealedSecret(place, key, nonce, self._cipher(key).encrypt(nonce, value.encode(), _bound_to(place)))

    def open(self, secret: SealedSecret) -> str:
        """Decrypt. Raises MissingMasterKey, and TamperedSecret for what was not sealed for this place."""
        try:
            opened = self._cipher(secret.key).decrypt(secret.nonce, secret.ciphertext, _bound_to(secret.place))
        except InvalidTag:
            raise TamperedSecret(f"the secret {secret.place.pointer!r} of {secret.place.owner} does not open") from None
        return opened.decode()

    def seal_file(self, purpose: str, data: bytes) -> bytes:
        """Encrypt what a process keeps on its own disk, under a key of its own; opens for this `purpose` alone."""
        key = self.new_key(_no_scope(purpose), 1)
        nonce = os.urandom(_NONCE_BYTES)
        return b"\n".join(
            (key.master_key_id.encode(), key.wrapped + nonce + AESGCM(self._unwrap(key)).encrypt(nonce, data, None))
        )

    def open_file(self, purpose: str, sealed: bytes) -> bytes:
        """Decrypt what `seal_file` gave. Raises MissingMasterKey, and TamperedSecret for anything else."""
        master, _, rest = sealed.partition(b"\n")
        wrapped, nonce, text = rest[:_WRAPPED_BYTES], rest[_WRAPPED_BYTES:_HEAD_BYTES], rest[_HEAD_BYTES:]
        try:
            key = self._unwrap(WrappedKey(_no_scope(purpose), 1, wrapped, master.decode("ascii", "replace")))
            return AESGCM(key).decrypt(nonce, text, None)
        except (InvalidTag, ValueError):  # ValueError: a nonce that was cut short
            raise TamperedSecret(f"the sealed file for {purpose!r} does not open") from None

    def _cipher(self, key: WrappedKey) -> AESGCM:
        cipher = self._unwrapped.pop(key, None) or AESGCM(self._unwrap(key))
        self._unwrapped[key] = cipher
        if len(self._unwrapped) > self._capacity:
            self._unwrapped.popitem(last=False)
        return cipher

    def _wrap(self, scope: str, version: int, data_key: bytes) -> WrappedKey:
        nonce = os.urandom(_NONCE_BYTES)
        master = AESGCM(self._master.keys[self.current_id])
        sealed = nonce + master.encrypt(nonce, data_key, _key_bound_to(scope, version))
        return WrappedKey(scope, version, sealed, self.current_id)

    def _unwrap(self, key: WrappedKey) -> bytes:
        master = self._master.keys.get(key.master_key_id)
        if master is None:
            raise MissingMasterKey(
                f"a stored secret needs the master key {key.master_key_id!r}, which this process was not given",
                master_key_id=key.master_key_id,
            )
        nonce, sealed = key.wrapped[:_NONCE_BYTES], key.wrapped[_NONCE_BYTES:]
        try:
            return AESGCM(master).decrypt(nonce, sealed, _key_bound_to(key.scope, key.version))
        except InvalidTag:
            raise TamperedSecret(f"data key {key.version} of {key.scope or '-'} does not open") from None


def _bound_to(place: Place) -> bytes:
    return _joined("ironworks.secret.v1", str(place.owner), place.pointer, place.scope)


def _key_bound_to(scope: str, version: int) -> bytes:
    return _joined("ironworks.data_key.v1", scope, str(version))


def _no_scope(purpose: str) -> str:
    """What stands where a scope's path would, and is none."""
    return f"#{purpose}"


def _joined(*parts: str) -> bytes:
    """Parts with their lengths, so that no two different lists give the same bytes."""
    return b"".join(b"%d:%b" % (len(encoded), encoded) for encoded in (part.encode() for part in parts))
