"""`/v1/rerank`, in the shape that Jina, Cohere, llama.cpp and vLLM share, and OpenAI's `/v1/moderations`: both pass.

Reranking is metered by input tokens, or by documents where the upstream tells no tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from ironworks.products.tokenfactory.gateway import wire
from ironworks.products.tokenfactory.gateway.answers import estimate_input, parse_answer
from ironworks.products.tokenfactory.gateway.dialects.base import Answer, Api, Reader, not_offered
from ironworks.products.tokenfactory.gateway.dialects.reading import (
    read_json,
    read_metadata,
    read_model,
    read_text,
    read_user,
)
from ironworks.products.tokenfactory.gateway.dialects.usage import whole_number
from ironworks.products.tokenfactory.gateway.model import Call, Usage, malformed, upstream_failed

RERANK = "/v1/rerank"
MODERATIONS = "/v1/moderations"
DOCUMENTS = "rerank_documents"


def read_rerank(body: bytes, headers: Mapping[bytes, bytes]) -> Call:
    """Documents to be put in order. Raises Refusal."""
    call = _read(body, headers)
    payload = call.payload or {}
    read_text(payload.get("query"), "query")
    documents = payload.get("documents")
    if not isinstance(documents, list) or not documents:
        raise malformed("'documents' must be a list that is not empty", "documents")
    call.extra = ((DOCUMENTS, len(documents)),)
    return call


def read_moderation(body: bytes, headers: Mapping[bytes, bytes]) -> Call:
    """A text or image to be judged. Raises Refusal."""
    call = _read(body, headers)
    if not isinstance((call.payload or {}).get("input"), str | list):
        raise malformed("'input' must be a text or a list", "input")
    return call


def _read(body: bytes, headers: Mapping[bytes, bytes]) -> Call:
    payload = read_json(body, headers)
    model = read_model(payload)
    if payload.get("stream"):
        raise malformed("this API does not stream", "stream")
    return Call(model, payload, body, max_output=0, user=read_user(payload, "user"), metadata=read_metadata(headers))


class JudgingAdapter:
    """An answer with `results`, whose model gets its public name."""

    def __init__(self, path: str, guess: Callable[[Call], Usage]) -> None:
        self.path = path
        self._guess = guess

    def request(self, call: Call, served_as: str, max_output: int | None) -> tuple[bytes, bytes]:
        return orjson.dumps({**(call.payload or {}), "model": served_as}), wire.JSON

    def reader(self, call: Call) -> Reader:
        raise upstream_failed("the model server streams what does not stream")

    def answer(self, call: Call, content_type: bytes, body: bytes) -> Answer:
        answer = parse_answer(body)
        if answer is None or answer.get("error") or not isinstance(answer.get("results"), list):
            raise upstream_failed("the model server's answer is not what was asked for")
        if answer.get("model") not in (None, call.model):
            body = orjson.dumps({**answer, "model": call.model})
        return Answer(body, _read_usage(answer))

    def guess(self, call: Call, body: bytes) -> Usage:
        return self._guess(call)


def _read_usage(answer: dict[str, Any]) -> Usage | None:
    """Input tokens, as Jina and llama.cpp tell them (`usage`) or as Cohere does (`meta.tokens`)."""
    usage = answer.get("usage")
    if isinstance(usage, dict):
        given = whole_number(usage.get("prompt_tokens", usage.get("total_tokens")))
        return None if given is None else Usage(given)
    meta = answer.get("meta")
    tokens = meta.get("tokens") if isinstance(meta, dict) else None
    given = whole_number(tokens.get("input_tokens")) if isinstance(tokens, dict) else None
    return None if given is None else Usage(given)


def _count_documents(call: Call) -> Usage:
    """No guess: the documents came with the request."""
    return Usage(extra=call.extra)


def _count_text(call: Call) -> Usage:
    return Usage(estimate_input(call), counted=True)


def _api(path: str, task: str | None, read: Callable[[bytes, Mapping[bytes, bytes]], Call], adapter: Any) -> Api:
    return Api(
        path,
        "openai",
        task,
        read,
        {"openai": adapter},
        lambda refusal, _: wire.error_body(refusal),
        lambda refusal, _: wire.error_event(refusal),
        otherwise=not_offered,
    )


RERANK_API = _api(RERANK, "text-rerank", read_rerank, JudgingAdapter(RERANK, _count_documents))
MODERATIONS_API = _api(MODERATIONS, None, read_moderation, JudgingAdapter(MODERATIONS, _count_text))
