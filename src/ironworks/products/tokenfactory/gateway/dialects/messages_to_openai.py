"""Anthropic's Messages API at an upstream that speaks OpenAI's chat completions.

`cache_control` and what else only tunes Anthropic's service is left out; what would change the answer and cannot be
said is refused, with the field's name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from ironworks.products.tokenfactory.gateway.dialects.from_chat import ChatSource, read_whole
from ironworks.products.tokenfactory.gateway.dialects.native import CHAT, limited
from ironworks.products.tokenfactory.gateway.dialects.reading import (
    read_object,
    read_objects,
    read_text,
    untranslatable,
)
from ironworks.products.tokenfactory.gateway.dialects.to_messages import MessagesSink
from ironworks.products.tokenfactory.gateway.dialects.translate import TranslatingAdapter
from ironworks.products.tokenfactory.gateway.model import Call, malformed

_SAME = ("temperature", "top_p", "top_k", "stream")
_CHOICES: dict[str, str] = {"auto": "auto", "any": "required", "none": "none"}
_EFFORTS = {"low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "xhigh"}
_LOW_BUDGET = 4096
_MEDIUM_BUDGET = 16_384


def translate(call: Call, served_as: str, max_output: int | None) -> dict[str, Any]:
    """The chat completion that asks for the same. Raises Refusal for what it cannot ask for."""
    payload = call.payload or {}
    for field in ("mcp_servers", "container"):
        if payload.get(field):
            raise untranslatable(field, "the model's server has no such thing")
    asked: dict[str, Any] = {"model": served_as, "messages": [*_system(payload), *_messages(payload)]}
    asked |= {name: payload[name] for name in _SAME if payload.get(name) is not None}
    asked = limited(asked, served_as, max_output or call.max_output)
    if call.stream:
        asked["stream_options"] = {"include_usage": True}
    if payload.get("stop_sequences"):
        asked["stop"] = payload["stop_sequences"]
    if call.user:
        asked["user"] = call.user
    return asked | _tools(payload) | _thinking(payload)


def _system(payload: dict[str, Any]) -> Iterator[dict[str, Any]]:
    system = payload.get("system")
    if isinstance(system, list):
        blocks = enumerate(read_objects(system, "system"))
        system = "\n".join(read_text(block.get("text"), f"system.{at}.text") for at, block in blocks)
    if system:
        yield {"role": "system", "content": read_text(system, "system")}


def _messages(payload: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for at, message in enumerate(read_objects(payload.get("messages"), "messages")):
        where = f"messages.{at}"
        role, content = message.get("role"), message.get("content")
        if role not in ("user", "assistant", "system"):
            raise malformed(f"{where}.role must be 'user', 'assistant' or 'system'", f"{where}.role")
        if isinstance(content, str):
            yield {"role": role, "content": content}
        elif role == "assistant":
            yield _assistant(read_objects(content, f"{where}.content"), f"{where}.content")
        else:
            yield from _user(role, read_objects(content, f"{where}.content"), f"{where}.content")


def _user(role: str, blocks: list[dict[str, Any]], where: str) -> Iterator[dict[str, Any]]:
    """The results of tools come first: they must follow the call right away. Their images go with the rest."""
    parts: list[dict[str, Any]] = []
    for at, block in enumerate(blocks):
        if block.get("type") == "tool_result":
            text, images = _result(block, f"{where}.{at}")
            yield {"role": "tool", "tool_call_id": block.get("tool_use_id"), "content": text}
            parts += images
        else:
            parts.append(_part(block, f"{where}.{at}"))
    if parts and all(part["type"] == "text" for part in parts):
        # many chat templates take nothing but a text
        yield {"role": role, "content": "\n".join(part["text"] for part in parts)}
    elif parts:
        yield {"role": role, "content": parts}


def _result(block: dict[str, Any], where: str) -> tuple[str, list[dict[str, Any]]]:
    content = block.get("content")
    if isinstance(content, str) or content is None:
        text, images = content or "", []
    else:
        blocks = read_objects(content, f"{where}.content")
        parts = [_part(inner, f"{where}.content.{at}") for at, inner in enumerate(blocks)]
        text = "\n".join(part["text"] for part in parts if part["type"] == "text")
        images = [part for part in parts if part["type"] != "text"]
    return (f"Error: {text}" if block.get("is_error") else text), images


def _part(block: dict[str, Any], where: str) -> dict[str, Any]:
    match block.get("type"):
        case "text":
            return {"type": "text", "text": read_text(block.get("text"), f"{where}.text")}
        case "image":
            source = read_object(block.get("source"), f"{where}.source")
            return {"type": "image_url", "image_url": {"url": _address(source, f"{where}.source")}}
        case "document":
            return _document(block, where)
        case kind:
            raise untranslatable(f"{where}.type", f"the model's server has no content of type {kind!r}")


def _document(block: dict[str, Any], where: str) -> dict[str, Any]:
    source = read_object(block.get("source"), f"{where}.source")
    if source.get("type") == "text":
        return {"type": "text", "text": read_text(source.get("data"), f"{where}.source.data")}
    name = block.get("title") or "document.pdf"
    if source.get("type") != "base64":
        raise untranslatable(f"{where}.source.type", "send the document itself, as text or base64")
    return {"type": "file", "file": {"filename": name, "file_data": _address(source, f"{where}.source")}}


def _address(source: dict[str, Any], where: str) -> str:
    """A source as a URL, which holds the data itself where they came with the request."""
    if source.get("type") == "url":
        return read_text(source.get("url"), f"{where}.url")
    if source.get("type") != "base64":
        raise untranslatable(f"{where}.type", "send the data itself, as base64, or their URL")
    kind = read_text(source.get("media_type"), f"{where}.media_type")
    return f"data:{kind};base64,{read_text(source.get('data'), f'{where}.data')}"


def _assistant(blocks: list[dict[str, Any]], where: str) -> dict[str, Any]:
    texts, thoughts, calls = [], [], []
    for at, block in enumerate(blocks):
        match block.get("type"):
            case "text":
                texts.append(read_text(block.get("text"), f"{where}.{at}.text"))
            case "thinking":
                thoughts.append(read_text(block.get("thinking"), f"{where}.{at}.thinking"))
            case "redacted_thinking":
                pass  # for its author's eyes, and its author is another
            case "tool_use":
                arguments = orjson.dumps(block.get("input") or {}).decode()
                function = {"name": read_text(block.get("name"), f"{where}.{at}.name"), "arguments": arguments}
                calls.append({"id": block.get("id"), "type": "function", "function": function})
            case kind:
                raise untranslatable(f"{where}.{at}.type", f"the model's server has no content of type {kind!r}")
    message: dict[str, Any] = {"role": "assistant", "content": "".join(texts) or (None if calls else "")}
    if thoughts:
        message["reasoning_content"] = "\n".join(thoughts)
    if calls:
        message["tool_calls"] = calls
    return message


def _tools(payload: dict[str, Any]) -> dict[str, Any]:
    asked: dict[str, Any] = {}
    tools = read_objects(payload.get("tools"), "tools")
    if tools:
        asked["tools"] = [_tool(tool, f"tools.{at}") for at, tool in enumerate(tools)]
    choice = payload.get("tool_choice")
    if choice is None:
        return asked
    kind = read_object(choice, "tool_choice").get("type")
    if kind == "tool":
        name = read_text(choice.get("name"), "tool_choice.name")
        asked["tool_choice"] = {"type": "function", "function": {"name": name}}
    elif isinstance(kind, str) and kind in _CHOICES:
        asked["tool_choice"] = _CHOICES[kind]
    else:
        raise malformed("'tool_choice.type' must be 'auto', 'any', 'tool' or 'none'", "tool_choice.type")
    if choice.get("disable_parallel_tool_use"):
        asked["parallel_tool_calls"] = False
    return asked


def _tool(tool: dict[str, Any], where: str) -> dict[str, Any]:
    if tool.get("type") not in (None, "custom"):
        raise untranslatable(
            f"{where}.type", f"{tool['type']!r} runs at Anthropic; this model takes your own tools only"
        )
    function = {"name": read_text(tool.get("name"), f"{where}.name"), "parameters": tool.get("input_schema") or {}}
    function |= {name: tool[name] for name in ("description", "strict") if tool.get(name) is not None}
    return {"type": "function", "function": function}


def _thinking(payload: dict[str, Any]) -> dict[str, Any]:
    """Thinking and output format: a budget becomes the effort that is nearest."""
    asked: dict[str, Any] = {}
    config = read_object(payload.get("output_config") or {}, "output_config")
    thinking = read_object(payload.get("thinking") or {}, "thinking")
    effort = config.get("effort")
    if effort is not None and read_text(effort, "output_config.effort") in _EFFORTS:
        asked["reasoning_effort"] = _EFFORTS[effort]
    elif thinking.get("type") == "enabled":
        budget = thinking.get("budget_tokens")
        if type(budget) is not int or budget < 1:
            raise malformed("'thinking.budget_tokens' must be a whole number from 1", "thinking.budget_tokens")
        asked["reasoning_effort"] = "low" if budget < _LOW_BUDGET else "medium" if budget < _MEDIUM_BUDGET else "high"
    if config.get("format") is not None:
        shape = read_object(config["format"], "output_config.format")
        if shape.get("type") != "json_schema":
            raise malformed("'output_config.format.type' must be 'json_schema'", "output_config.format.type")
        schema = {"name": "answer", "schema": shape.get("schema"), "strict": True}
        asked["response_format"] = {"type": "json_schema", "json_schema": schema}
    return asked


ADAPTER = TranslatingAdapter(
    CHAT,
    translate,
    ChatSource,
    read_whole,
    lambda call: MessagesSink(call.model, (call.payload or {}).get("stop_sequences")),
)
