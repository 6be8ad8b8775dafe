"""OpenAI's chat completions at an upstream that speaks Anthropic's Messages API.

What would change the answer and cannot be said there is refused, with the field's name; hints that a server may ignore
(`seed`, `store`, `prompt_cache_key`, …) are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from ironworks.products.tokenfactory.gateway.dialects.from_messages import MessagesSource, read_whole
from ironworks.products.tokenfactory.gateway.dialects.reading import (
    read_object,
    read_objects,
    read_text,
    untranslatable,
)
from ironworks.products.tokenfactory.gateway.dialects.to_chat import ChatSink
from ironworks.products.tokenfactory.gateway.dialects.translate import TranslatingAdapter
from ironworks.products.tokenfactory.gateway.model import Call, malformed

MESSAGES = "/v1/messages"
_DEFAULT_OUTPUT = 4096
"""Tokens, where neither the caller nor the target names a limit: Anthropic demands one."""
_REFUSED = {
    "logprobs": "this model's server tells no probabilities",
    "top_logprobs": "this model's server tells no probabilities",
    "logit_bias": "this model's server has no such thing",
    "frequency_penalty": "this model's server has no such thing",
    "presence_penalty": "this model's server has no such thing",
    "audio": "this model answers in text only",
    "web_search_options": "this model's server has no search",
}
_BUDGETS = {"low": 2048, "medium": 8192, "high": 16_384, "xhigh": 32_768, "max": 32_768}
_EFFORTS = frozenset({"none", "minimal", *_BUDGETS})
LEAST_THINKING = 1024
"""Tokens; Anthropic takes no smaller budget."""
_CHOICES = {"auto": "auto", "required": "any", "none": "none"}
_NO_SCHEMA: dict[str, Any] = {"type": "object", "properties": {}}


def translate(call: Call, served_as: str, max_output: int | None) -> dict[str, Any]:
    """The message request that asks for the same. Raises Refusal for what it cannot ask for."""
    payload = call.payload or {}
    _check(payload, call.choices)
    limit = max_output or call.max_output or _DEFAULT_OUTPUT
    system, messages = _conversation(payload)
    asked: dict[str, Any] = {"model": served_as, "max_tokens": limit, "messages": messages}
    if system:
        asked["system"] = system
    asked |= {name: payload[name] for name in ("temperature", "top_p", "top_k") if payload.get(name) is not None}
    if call.stream:
        asked["stream"] = True
    stop = payload.get("stop")
    if stop:
        asked["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    if call.user:
        asked["metadata"] = {"user_id": call.user}
    asked |= _tools(payload) | _format(payload)
    return asked | _thinking(payload, asked)


def _check(payload: dict[str, Any], choices: int) -> None:
    if choices > 1:
        raise untranslatable("n", "this model's server gives one answer to a request")
    for field, why in _REFUSED.items():
        if payload.get(field):
            raise untranslatable(field, why)
    modalities = payload.get("modalities")
    if modalities is not None and modalities != ["text"]:
        raise untranslatable("modalities", "this model answers in text only")
    temperature = payload.get("temperature")
    if isinstance(temperature, int | float) and temperature > 1:
        raise untranslatable("temperature", "this model's server takes 0 to 1")


def _conversation(payload: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    """(system prompt, messages): neighbours of one role become one, as Anthropic's turns demand."""
    system: list[str] = []
    turns: list[dict[str, Any]] = []
    for at, message in enumerate(read_objects(payload.get("messages"), "messages")):
        where = f"messages.{at}"
        role = message.get("role")
        if role in ("system", "developer"):
            system += [part["text"] for part in _parts(message.get("content"), f"{where}.content")]
            continue
        if role == "assistant":
            blocks = list(_assistant(message, where))
        elif role in ("tool", "function"):
            role, blocks = "user", [_result(message, where)]
        elif role == "user":
            blocks = list(_parts(message.get("content"), f"{where}.content"))
        else:
            raise malformed(f"{where}.role {role!r} is not known", f"{where}.role")
        if blocks and turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    if not turns:
        raise malformed("'messages' must hold at least one message of a user", "messages")
    return "\n".join(system), turns


def _parts(content: object, where: str) -> Iterator[dict[str, Any]]:
    """Content blocks; empty texts are left out, which Anthropic refuses."""
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    for at, part in enumerate(read_objects(content, where)):
        here = f"{where}.{at}"
        match part.get("type"):
            case "text":
                if text := read_text(part.get("text"), f"{here}.text"):
                    yield {"type": "text", "text": text}
            case "refusal":
                yield {"type": "text", "text": read_text(part.get("refusal"), f"{here}.refusal")}
            case "image_url":
                image = read_object(part.get("image_url"), f"{here}.image_url")
                yield {"type": "image", "source": _source(image.get("url"), f"{here}.image_url.url")}
            case "file":
                file = read_object(part.get("file"), f"{here}.file")
                if not file.get("file_data"):
                    raise untranslatable(f"{here}.file", "send the file itself, as 'file_data'")
                source = _source(file["file_data"], f"{here}.file.file_data")
                yield {"type": "document", "source": source}
            case kind:
                raise untranslatable(f"{here}.type", f"this model's server has no content of type {kind!r}")


def _source(url: object, where: str) -> dict[str, Any]:
    """Where an image or file is: `data:<type>;base64,<data>` or an address."""
    url = read_text(url, where)
    if url.startswith(("https://", "http://")):
        return {"type": "url", "url": url}
    kind, comma, data = url.removeprefix("data:").partition(";base64,")
    if not url.startswith("data:") or not comma:
        raise malformed(f"{where!r} must be an http address or 'data:<type>;base64,<data>'", where)
    return {"type": "base64", "media_type": kind, "data": data}


def _assistant(message: dict[str, Any], where: str) -> Iterator[dict[str, Any]]:
    for block in read_objects(message.get("thinking_blocks"), f"{where}.thinking_blocks"):
        yield {name: value for name, value in block.items() if name != "index"}
    yield from _parts(message.get("content") or [], f"{where}.content")
    if message.get("refusal"):
        yield {"type": "text", "text": read_text(message["refusal"], f"{where}.refusal")}
    for at, call in enumerate(read_objects(message.get("tool_calls"), f"{where}.tool_calls")):
        here = f"{where}.tool_calls.{at}"
        function = read_object(call.get("function"), f"{here}.function")
        yield _use(call.get("id"), function, f"{here}.function")
    if message.get("function_call"):
        function = read_object(message["function_call"], f"{where}.function_call")
        yield _use(f"function_{function.get('name')}", function, f"{where}.function_call")


def _use(identifier: object, function: dict[str, Any], where: str) -> dict[str, Any]:
    arguments = read_text(function.get("arguments") or "{}", f"{where}.arguments")
    try:
        given = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        given = None
    if not isinstance(given, dict):
        raise malformed(f"'{where}.arguments' must be a JSON object, as text", f"{where}.arguments")
    return {"type": "tool_use", "id": identifier, "name": function.get("name"), "input": given}


def _result(message: dict[str, Any], where: str) -> dict[str, Any]:
    content = message.get("content")
    blocks = content if isinstance(content, str) else list(_parts(content, f"{where}.content"))
    identifier = message.get("tool_call_id") or f"function_{message.get('name')}"
    return {"type": "tool_result", "tool_use_id": identifier, "content": blocks}


def _tools(payload: dict[str, Any]) -> dict[str, Any]:
    """Tools and their choice; `functions` and `function_call` are their older names."""
    tools = [_tool(tool, f"tools.{at}") for at, tool in enumerate(read_objects(payload.get("tools"), "tools"))]
    functions = read_objects(payload.get("functions"), "functions")
    tools += [_function(function, f"functions.{at}") for at, function in enumerate(functions)]
    if not tools:
        return {}
    asked: dict[str, Any] = {"tools": tools}
    choice = payload.get("tool_choice") or payload.get("function_call")
    if isinstance(choice, str) and choice in _CHOICES:
        asked["tool_choice"] = {"type": _CHOICES[choice]}
    elif isinstance(choice, dict):
        function = read_object(choice.get("function", choice), "tool_choice.function")
        asked["tool_choice"] = {"type": "tool", "name": read_text(function.get("name"), "tool_choice.function.name")}
    elif choice is not None:
        raise untranslatable("tool_choice", "this model's server knows 'auto', 'none', 'required' or one function")
    if payload.get("parallel_tool_calls") is False:
        chosen = asked.setdefault("tool_choice", {"type": "auto"})
        if chosen["type"] != "none":
            chosen["disable_parallel_tool_use"] = True
    return asked


def _tool(tool: dict[str, Any], where: str) -> dict[str, Any]:
    if tool.get("type") != "function":
        raise untranslatable(f"{where}.type", "this model takes tools of type 'function' only")
    return _function(read_object(tool.get("function"), f"{where}.function"), f"{where}.function")


def _function(function: dict[str, Any], where: str) -> dict[str, Any]:
    schema = function.get("parameters") or _NO_SCHEMA
    tool = {"name": read_text(function.get("name"), f"{where}.name"), "input_schema": schema}
    return tool | {name: function[name] for name in ("description", "strict") if function.get(name) is not None}


def _format(payload: dict[str, Any]) -> dict[str, Any]:
    shape = payload.get("response_format")
    if shape is None or read_object(shape, "response_format").get("type") == "text":
        return {}
    if shape.get("type") != "json_schema":
        raise untranslatable("response_format", "this model's server needs a schema: use type 'json_schema'")
    schema = read_object(shape.get("json_schema"), "response_format.json_schema").get("schema")
    schema = read_object(schema, "response_format.json_schema.schema")
    return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}


def _thinking(payload: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    """A budget for `reasoning_effort`, where Anthropic's rules let the model think in this request.

    They want room for it in `max_tokens`, a free choice of tools, the default temperature, and in the middle of a
    tool's use the thoughts that led to it; where one is missing, the model answers without thinking.
    """
    effort = payload.get("reasoning_effort")
    if effort is None:
        return {}
    if read_text(effort, "reasoning_effort") not in _EFFORTS:
        raise malformed(f"'reasoning_effort' must be one of {', '.join(sorted(_EFFORTS))}", "reasoning_effort")
    budget = min(_BUDGETS.get(effort, 0), asked["max_tokens"] // 2)
    forced = asked.get("tool_choice", {}).get("type") in ("any", "tool")
    tuned = asked.get("temperature", 1) != 1 or "top_k" in asked
    if budget < LEAST_THINKING or forced or tuned or _in_the_middle(asked["messages"]):
        return {}
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}


def _in_the_middle(turns: list[dict[str, Any]]) -> bool:
    """Whether the last answer called a tool and its thoughts did not come back with it."""
    last = next((turn for turn in reversed(turns) if turn["role"] == "assistant"), None)
    if last is None or turns[-1]["content"][0].get("type") != "tool_result":
        return False
    return bool(last["content"][0].get("type") not in ("thinking", "redacted_thinking"))


ADAPTER = TranslatingAdapter(
    MESSAGES, translate, MessagesSource, read_whole, lambda call: ChatSink(call.model, call.show_usage)
)
