"""Stored responses: answers of the Responses API that a caller asked to keep, to read again or to go on from.

Owns: the responses that were asked for with `store: true`, what they answered, the key of each scope that they are
sealed with, and their end.
Never: keeps what nobody asked to keep, shows one to another scope than that of the key that made it, or lets any
process but the gateway open one.
Invariants:
  - a response is sealed before it leaves the gateway, and opens only under the id and the scope it was sealed for;
  - it ends with its retention, when it is deleted, or with its scope, whose key goes too: copies do not open any more;
  - one that goes on from another needs all that came before it: a chain with a gap is refused, never shortened.
"""

from ironworks.products.tokenfactory.responses.model import (
    MAX_BYTES,
    Item,
    KeepResponses,
    NewResponse,
    ResponseNotFound,
    ResponseTooLarge,
    StoredResponse,
)
from ironworks.products.tokenfactory.responses.service import (
    delete_response,
    fetch_response,
    load_chain,
    save_response,
)

__all__ = [
    "MAX_BYTES",
    "Item",
    "KeepResponses",
    "NewResponse",
    "ResponseNotFound",
    "ResponseTooLarge",
    "StoredResponse",
    "delete_response",
    "fetch_response",
    "load_chain",
    "save_response",
]
