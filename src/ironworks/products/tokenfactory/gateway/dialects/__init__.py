"""The APIs that callers speak, and the way of each to upstreams that speak the same or another.

`base.py` says what they are to the gateway, `reading.py` how a body is read. Where caller and upstream speak the same,
`*native.py` and the files of single APIs pass nearly everything on; one file per other pair of dialects says how its
requests are translated. Answers have no pairs: `from_*.py` read an upstream's into `pieces.py`, `to_*.py` write a
caller's from them, and `translate.py` joins any two.
"""

from ironworks.products.tokenfactory.gateway.dialects import openai_to_anthropic
from ironworks.products.tokenfactory.gateway.dialects.base import Adapter, Answer, Api, Reader
from ironworks.products.tokenfactory.gateway.dialects.judging import DOCUMENTS, MODERATIONS_API, RERANK_API
from ironworks.products.tokenfactory.gateway.dialects.listing import is_anthropic, show_model, show_models
from ironworks.products.tokenfactory.gateway.dialects.messages import COUNT_API, MESSAGES_API
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
from ironworks.products.tokenfactory.gateway.dialects.responses import RESPONSES_API
from ironworks.products.tokenfactory.gateway.dialects.speech import CHARACTERS, SPEECH_API
from ironworks.products.tokenfactory.gateway.dialects.transcriptions import SECONDS, TRANSCRIPTIONS_API

APIS = {
    api.path.encode(): api
    for api in (
        native_api(CHAT, "text-generation", read_chat, {"anthropic": openai_to_anthropic.ADAPTER}),
        native_api(COMPLETIONS, "text-generation", read_completion),
        native_api(EMBEDDINGS, "text-embedding", read_embeddings),
        RESPONSES_API,
        MESSAGES_API,
        COUNT_API,
        SPEECH_API,
        TRANSCRIPTIONS_API,
        RERANK_API,
        MODERATIONS_API,
    )
}
"""By path."""

METERS = (CHARACTERS, SECONDS, DOCUMENTS)
"""Meters other than tokens that `Usage.extra` may hold."""

__all__ = [
    "APIS",
    "MESSAGES_API",
    "METERS",
    "Adapter",
    "Answer",
    "Api",
    "Reader",
    "affinity_of",
    "is_anthropic",
    "show_model",
    "show_models",
]
