"""The APIs that callers speak, and the way of each to upstreams that speak the same or another.

One file per pair of dialects; `base.py` says what they are to the gateway, `reading.py` how a body is read.
"""

from ironworks.products.tokenfactory.gateway.dialects.base import Adapter, Answer, Api, Reader
from ironworks.products.tokenfactory.gateway.dialects.native import (
    CHAT,
    COMPLETIONS,
    EMBEDDINGS,
    affinity_of,
    native_api,
    read_chat,
    read_completion,
    read_embeddings,
)

APIS = {
    api.path.encode(): api
    for api in (
        native_api(CHAT, "text-generation", read_chat),
        native_api(COMPLETIONS, "text-generation", read_completion),
        native_api(EMBEDDINGS, "text-embedding", read_embeddings),
    )
}
"""By path."""

__all__ = ["APIS", "Adapter", "Answer", "Api", "Reader", "affinity_of"]
