"""OpenAI's Responses API at an upstream that speaks Anthropic's Messages API: by way of a chat completion."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ironworks.products.tokenfactory.gateway.dialects import openai_to_anthropic, responses_to_openai
from ironworks.products.tokenfactory.gateway.dialects.from_messages import MessagesSource, read_whole
from ironworks.products.tokenfactory.gateway.dialects.openai_to_anthropic import MESSAGES
from ironworks.products.tokenfactory.gateway.dialects.translate import TranslatingAdapter
from ironworks.products.tokenfactory.gateway.model import Call


def translate(call: Call, served_as: str, max_output: int | None) -> dict[str, Any]:
    """The message request that asks for the same. Raises Refusal for what it cannot ask for."""
    chat = responses_to_openai.to_chat(call, served_as, max_output)
    return openai_to_anthropic.translate(replace(call, payload=chat), served_as, max_output)


ADAPTER = TranslatingAdapter(MESSAGES, translate, MessagesSource, read_whole, responses_to_openai.make_sink)
