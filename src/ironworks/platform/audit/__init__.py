"""Who did what to what, when, and with which result: the trail that nobody can rewrite unnoticed.

Owns: audit records, and one hash chain per platform (and one, `-`, for what lies above platforms).
Never: holds a secret, changes or removes a record, or makes a writer wait for the chain.
Invariants:
  - a record commits or rolls back with the change it tells of;
  - an action that nobody declared, or that is disabled, is refused, and with it the change;
  - within a second of its commit a record is sealed: numbered without gaps and bound to all before it;
  - verifying needs nothing but the rows: it finds an altered, missing or reordered record, and the first of them.
"""

from ironworks.platform.audit.model import ACCESS_DENIED, Anchor, BadRecord, ChainReport, NewRecord, Record, TrailQuery
from ironworks.platform.audit.service import (
    append_record,
    append_records,
    list_records,
    record_denied,
    seal_records,
    verify_all,
    verify_chain,
)

__all__ = [
    "ACCESS_DENIED",
    "Anchor",
    "BadRecord",
    "ChainReport",
    "NewRecord",
    "Record",
    "TrailQuery",
    "append_record",
    "append_records",
    "list_records",
    "record_denied",
    "seal_records",
    "verify_all",
    "verify_chain",
]
