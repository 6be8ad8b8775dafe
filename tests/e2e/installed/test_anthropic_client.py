"""Anthropic's own client against the gateway, before a model server that is asked in OpenAI's dialect."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from tests.e2e.site import CHAT, Site

ASKED: Any = {"model": CHAT, "max_tokens": 8, "messages": [{"role": "user", "content": "Say hello."}]}


@pytest.fixture
def client(site: Site) -> Iterator[anthropic.Anthropic]:
    address = site.env["OPENAI_BASE_URL"].removesuffix("/v1")
    with anthropic.Anthropic(base_url=address, api_key=site.env["OPENAI_API_KEY"], timeout=60) as made:
        yield made


def _is_billed(site: Site, request_id: str, usage: anthropic.types.Usage) -> None:
    """The bill holds what the client was told."""
    used = site.explain(request_id)["usage"]["quantities"]
    assert used.get("input_tokens", 0) == usage.input_tokens
    assert used.get("cached_input_tokens", 0) == usage.cache_read_input_tokens
    assert used["output_tokens"] == usage.output_tokens > 0


def test_a_message(client: anthropic.Anthropic, site: Site) -> None:
    raw = client.messages.with_raw_response.create(**ASKED)
    message = raw.parse()
    assert message.stop_reason in ("end_turn", "max_tokens")
    assert message.content[0].type == "text"
    assert message.model == CHAT
    _is_billed(site, raw.headers["x-request-id"], message.usage)


def test_a_message_streamed(client: anthropic.Anthropic, site: Site) -> None:
    with client.messages.stream(**ASKED) as stream:
        assert "".join(stream.text_stream)
        message = stream.get_final_message()
        _is_billed(site, stream.response.headers["x-request-id"], message.usage)


def test_tokens_are_counted_by_the_models_own_tokenizer(client: anthropic.Anthropic) -> None:
    counted = client.messages.count_tokens(model=CHAT, messages=ASKED["messages"])
    message = client.messages.create(**ASKED)
    assert counted.input_tokens == message.usage.input_tokens + (message.usage.cache_read_input_tokens or 0)


def test_a_wrong_key_is_told_in_its_own_dialect(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.AuthenticationError) as caught:
        client.with_options(api_key="iwk_wrong").messages.create(**ASKED)
    assert caught.value.body["error"]["code"] == "invalid_api_key"  # type: ignore[index, call-overload]
