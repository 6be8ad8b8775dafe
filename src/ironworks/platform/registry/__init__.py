"""The words of the platform: every permission, meter, audit action, notification template, evidence type and event.

Owns: the registry of what domains declare, its versions, and the operator's switch on each entry.
Never: decides what an entry means (its domain does), or lets a process use a word that nobody declared.
Invariants:
  - an entry that is unknown, withdrawn or disabled is refused, wherever it is used;
  - every change of an entry makes a new entry version and a new registry version; neither is ever rewritten;
  - syncing the same declarations twice changes nothing; a sync never undoes the operator's switch.
"""

from ironworks.platform.registry.model import DisabledEntry, Entry, EntryVersion, UnknownEntry
from ironworks.platform.registry.service import (
    current_version,
    disable_entry,
    enable_entry,
    enabled_names,
    get_entry,
    is_enabled,
    list_entries,
    require,
    sync_registry,
)

__all__ = [
    "DisabledEntry",
    "Entry",
    "EntryVersion",
    "UnknownEntry",
    "current_version",
    "disable_entry",
    "enable_entry",
    "enabled_names",
    "get_entry",
    "is_enabled",
    "list_entries",
    "require",
    "sync_registry",
]
