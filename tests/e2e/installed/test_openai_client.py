"""The official OpenAI client against the gateway: what it says was used is what is billed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.e2e.site import CHAT, EMBED, TENANT, Site

MESSAGES: Any = [{"role": "user", "content": "Say hello."}]


@pytest.fixture
def client(site: Site) -> Iterator[openai.OpenAI]:
    """As its documentation says: the address and the key come from the environment that `ironworks env` prints."""
    with openai.OpenAI(base_url=site.env["OPENAI_BASE_URL"], api_key=site.env["OPENAI_API_KEY"], timeout=60) as made:
        yield made


def _is_billed(site: Site, request_id: str, usage: Any, model: str) -> None:
    """The bill holds what the client was told, meter by meter, down to the transfers."""
    chain = site.explain(request_id)
    used = chain["usage"]["quantities"]
    assert used.get("input_tokens", 0) + used.get("cached_input_tokens", 0) == usage.prompt_tokens
    assert used.get("output_tokens", 0) == getattr(usage, "completion_tokens", 0)
    assert chain["usage"]["scope"] == TENANT
    assert chain["usage"]["endpoint"] == f"{TENANT}/{model}"
    assert {line["meter"]: line["quantity"] for line in chain["lines"]} == {m: n for m, n in used.items() if n}
    assert chain["unrated"] == []
    assert {line["transfer_id"] for line in chain["lines"]} == {transfer["id"] for transfer in chain["transfers"]}
    assert sum(line["cost"]["nano"] for line in chain["lines"]) == chain["total"][0]["nano"] > 0


def test_models(client: openai.OpenAI, site: Site) -> None:
    listed = {model.id for model in client.models.list()}
    assert {CHAT, EMBED} <= listed
    found = client.models.retrieve(CHAT)
    assert (found.id, found.object) == (CHAT, "model")


def test_chat(client: openai.OpenAI, site: Site) -> None:
    raw = client.chat.completions.with_raw_response.create(model=CHAT, messages=MESSAGES, max_tokens=8)
    answer = raw.parse()
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason in ("stop", "length")
    assert answer.model
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    _is_billed(site, raw.headers["x-request-id"], answer.usage, CHAT)


def test_chat_streamed(client: openai.OpenAI, site: Site) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model=CHAT, messages=MESSAGES, max_tokens=8, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(raw.parse())
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] in ("stop", "length")
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 0
    _is_billed(site, raw.headers["x-request-id"], chunks[-1].usage, CHAT)


def test_a_stream_without_usage_shows_none_and_is_billed_all_the_same(client: openai.OpenAI, site: Site) -> None:
    raw = client.chat.completions.with_raw_response.create(model=CHAT, messages=MESSAGES, max_tokens=4, stream=True)
    chunks = list(raw.parse())
    assert all(chunk.choices for chunk in chunks)
    assert all(chunk.usage is None for chunk in chunks)
    chain = site.explain(raw.headers["x-request-id"])
    assert 0 < chain["usage"]["quantities"]["output_tokens"] <= 4
    assert not chain["usage"]["counted"]


def test_completions(client: openai.OpenAI, site: Site) -> None:
    raw = client.completions.with_raw_response.create(model=CHAT, prompt="The sky is", max_tokens=5)
    answer = raw.parse()
    assert answer.choices[0].text
    assert answer.usage is not None
    _is_billed(site, raw.headers["x-request-id"], answer.usage, CHAT)


def test_completions_streamed(client: openai.OpenAI, site: Site) -> None:
    raw = client.completions.with_raw_response.create(
        model=CHAT, prompt="One, two, three,", max_tokens=5, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(raw.parse())
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)
    assert chunks[-1].usage is not None
    _is_billed(site, raw.headers["x-request-id"], chunks[-1].usage, CHAT)


def test_embeddings(client: openai.OpenAI, site: Site) -> None:
    raw = client.embeddings.with_raw_response.create(model=EMBED, input=["iron", "steel", "a sonnet"])
    answer = raw.parse()
    assert [each.index for each in answer.data] == [0, 1, 2]
    iron, steel, sonnet = (each.embedding for each in answer.data)
    assert len(iron) == 384
    assert _likeness(iron, steel) > _likeness(iron, sonnet)
    _is_billed(site, raw.headers["x-request-id"], answer.usage, EMBED)


def _likeness(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


async def test_the_asynchronous_client(site: Site) -> None:
    key, url = site.env["OPENAI_API_KEY"], site.env["OPENAI_BASE_URL"]
    async with openai.AsyncOpenAI(base_url=url, api_key=key, timeout=60) as client:
        stream = await client.chat.completions.create(model=CHAT, messages=MESSAGES, max_tokens=4, stream=True)
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


def test_a_wrong_key(site: Site) -> None:
    with openai.OpenAI(base_url=site.env["OPENAI_BASE_URL"], api_key="iwk_not-a-key", max_retries=0) as stranger:
        with pytest.raises(openai.AuthenticationError) as refused:
            stranger.chat.completions.create(model=CHAT, messages=MESSAGES)
        assert refused.value.code == "invalid_api_key"
        assert refused.value.request_id
        with pytest.raises(openai.AuthenticationError):
            stranger.models.list()


def test_an_unknown_model(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        client.chat.completions.create(model="gpt-nothing", messages=MESSAGES)
    assert refused.value.code == "model_not_found"
    assert "gpt-nothing" in refused.value.message
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-nothing")


def test_what_is_malformed(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=CHAT, messages="hello")  # type: ignore[call-overload]
    assert "messages" in refused.value.message


def test_a_model_for_something_else(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.embeddings.create(model=CHAT, input="hello")
    assert (refused.value.code, refused.value.param) == ("model_not_supported", "model")
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model=EMBED, messages=MESSAGES)
