"""Secret values of resources: encrypted before they reach the database, readable by who must use them.

Owns: secret values by (owner uid, pointer), the data keys that seal them (one per scope), and the rotation of both
data keys and master keys. `cipher.py`, named besides the usual files, is the cryptography and nothing else.
Never: stores, logs or shows a value in the clear; lets the API process read one back; sends a master key anywhere.
Invariants:
  - a value is sealed with AES-256-GCM under its scope's data key, bound to owner, pointer and scope: moved to another
    row it does not open;
  - a data key is stored only wrapped by a master key; a master key is never stored by us;
  - while keys rotate every value can be read and written; each step of a rotation may be cut off and run again.
"""

from ironworks.platform.secrets.adapters.command import CommandMasterKeys
from ironworks.platform.secrets.adapters.file import FileMasterKeys
from ironworks.platform.secrets.adapters.text import TextMasterKeys
from ironworks.platform.secrets.cipher import Keyring
from ironworks.platform.secrets.model import (
    BadMasterKey,
    KeyReport,
    MasterKeys,
    MasterKeySource,
    MissingMasterKey,
    Place,
    SealedSecret,
    TamperedSecret,
    WrappedKey,
    new_master_key,
    parse_master_keys,
)
from ironworks.platform.secrets.service import (
    EnvelopeVault,
    load_keyring,
    purge_data_keys,
    reencrypt_secrets,
    report_keys,
    request_rotation,
    rewrap_data_keys,
    rotate_data_keys,
    run_rotation,
)

__all__ = [
    "BadMasterKey",
    "CommandMasterKeys",
    "EnvelopeVault",
    "FileMasterKeys",
    "KeyReport",
    "Keyring",
    "MasterKeySource",
    "MasterKeys",
    "MissingMasterKey",
    "Place",
    "SealedSecret",
    "TamperedSecret",
    "TextMasterKeys",
    "WrappedKey",
    "load_keyring",
    "new_master_key",
    "parse_master_keys",
    "purge_data_keys",
    "reencrypt_secrets",
    "report_keys",
    "request_rotation",
    "rewrap_data_keys",
    "rotate_data_keys",
    "run_rotation",
]
