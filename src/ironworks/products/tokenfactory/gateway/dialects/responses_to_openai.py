"""OpenAI's Responses API at an upstream that speaks chat completions.

Items become messages, function tools become tools. What needs a service behind the API (built-in tools, files by id,
conversations, background work) is refused, with the field's name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ironworks.products.tokenfactory.gateway.dialects.from_chat import ChatSource, read_whole
from ironworks.products.tokenfactory.gateway.dialects.native import CHAT, limited
from ironworks.products.tokenfactory.gateway.dialects.reading import (
    read_object,
    read_objects,
    read_text,
    untranslatable,
)
from ironworks.products.tokenfactory.gateway.dialects.thoughts import unseal
from ironworks.products.tokenfactory.gateway.dialects.to_responses import ResponsesSink
from ironworks.products.tokenfactory.gateway.dialects.translate import TranslatingAdapter
from ironworks.products.tokenfactory.gateway.model import Call, malformed

_SAME = ("temperature", "top_p", "stream")
_REFUSED = {
    "background": "send the request and wait, or stream",
    "conversation": "send the conversation as 'input', or use 'previous_response_id'",
    "prompt": "there are no stored prompts; send 'instructions' and 'input'",
    "context_management": "nothing is compacted here; send the input that you mean",
    "moderation": "call /v1/moderations",
    "top_logprobs": "responses tell no probabilities here",
}
_ROLES = ("user", "assistant", "system", "developer")


def translate(call: Call, served_as: str, max_output: int | None) -> dict[str, Any]:
    """The chat completion that asks for the same. Raises Refusal for what it cannot ask for."""
    asked = to_chat(call, served_as, max_output)
    for message in asked["messages"]:
        message.pop("thinking_blocks", None)  # their author is another
    return asked


def to_chat(call: Call, served_as: str, max_output: int | None) -> dict[str, Any]:
    """The same, with the `thinking_blocks` that only Anthropic's dialect can return to their author."""
    payload = call.payload or {}
    asked: dict[str, Any] = {"model": served_as, "messages": [*_instructions(payload), *_messages(payload)]}
    asked |= {name: payload[name] for name in _SAME if payload.get(name) is not None}
    asked = limited(asked, served_as, max_output or call.max_output)
    if call.stream:
        asked["stream_options"] = {"include_usage": True}
    if call.user:
        asked["user"] = call.user
    return asked | _tools(payload) | _text(payload) | _reasoning(payload)


def check(payload: dict[str, Any]) -> None:
    """Raises Refusal for what no upstream can do for the Responses API here."""
    for field, why in _REFUSED.items():
        if payload.get(field):
            raise untranslatable(field, why)
    if payload.get("truncation") not in (None, "disabled"):
        raise untranslatable("truncation", "nothing is cut off here: send what fits the model")
    include = payload.get("include") or []
    if isinstance(include, list) and "message.output_text.logprobs" in include:
        raise untranslatable("include", "responses tell no probabilities here")


def _instructions(payload: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if payload.get("instructions"):
        yield {"role": "system", "content": read_text(payload["instructions"], "instructions")}


def _messages(payload: dict[str, Any]) -> list[dict[str, Any]]:
    """The input's items as messages; reasoning, text and calls of one turn become one message of the assistant."""
    given = payload.get("input")
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    if not isinstance(given, list) or not given:
        raise malformed("'input' must be a text or a list of items", "input")
    messages: list[dict[str, Any]] = []
    for at, item in enumerate(read_objects(given, "input")):
        _add_item(messages, item, f"input.{at}")
    return messages


def _add_item(messages: list[dict[str, Any]], item: dict[str, Any], where: str) -> None:
    match item.get("type", "message"):
        case "message":
            _add_message(messages, item, where)
        case "function_call":
            function = {
                "name": read_text(item.get("name"), f"{where}.name"),
                "arguments": read_text(item.get("arguments"), f"{where}.arguments"),
            }
            call = {"id": read_text(item.get("call_id"), f"{where}.call_id"), "type": "function", "function": function}
            _turn(messages).setdefault("tool_calls", []).append(call)
        case "function_call_output":
            content = _content(item.get("output"), f"{where}.output")
            identifier = read_text(item.get("call_id"), f"{where}.call_id")
            messages.append({"role": "tool", "tool_call_id": identifier, "content": content})
        case "reasoning":
            _add_thoughts(_turn(messages), item, where)
        case kind:
            raise untranslatable(f"{where}.type", f"items of type {kind!r} cannot be given to this model")


def _add_message(messages: list[dict[str, Any]], item: dict[str, Any], where: str) -> None:
    role = item.get("role")
    if role not in _ROLES:
        raise malformed(f"'{where}.role' must be one of {', '.join(_ROLES)}", f"{where}.role")
    content = _content(item.get("content"), f"{where}.content")
    if role == "assistant":
        turn = _turn(messages)
        if turn.get("content") or turn.get("tool_calls"):
            turn = {"role": role}
            messages.append(turn)
        turn["content"] = content
    else:
        messages.append({"role": "system" if role == "developer" else role, "content": content})


def _turn(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """The assistant's message that the next item belongs to."""
    if not messages or messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant", "content": None})
    return messages[-1]


def _add_thoughts(turn: dict[str, Any], item: dict[str, Any], where: str) -> None:
    """Reasoning that its author sealed goes back as it was, any other as text."""
    sealed = unseal(item.get("encrypted_content"))
    if sealed is not None:
        turn.setdefault("thinking_blocks", []).extend(sealed)
    parts = [
        *read_objects(item.get("content"), f"{where}.content"),
        *read_objects(item.get("summary"), f"{where}.summary"),
    ]
    if thoughts := "\n".join(part["text"] for part in parts if isinstance(part.get("text"), str)):
        turn["reasoning_content"] = thoughts


def _content(content: object, where: str) -> str | list[dict[str, Any]]:
    """Parts as chat completions have them; one text where there is nothing else."""
    if isinstance(content, str):
        return content
    parts = [_part(part, f"{where}.{at}") for at, part in enumerate(read_objects(content, where))]
    if all(part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return parts


def _part(part: dict[str, Any], where: str) -> dict[str, Any]:
    match part.get("type"):
        case "input_text" | "output_text" | "text":
            return {"type": "text", "text": read_text(part.get("text"), f"{where}.text")}
        case "refusal":
            return {"type": "text", "text": read_text(part.get("refusal"), f"{where}.refusal")}
        case "input_image" if part.get("image_url"):
            image = {"url": read_text(part["image_url"], f"{where}.image_url")}
            if part.get("detail"):
                image["detail"] = part["detail"]
            return {"type": "image_url", "image_url": image}
        case "input_file" if part.get("file_data"):
            file = {name: part[name] for name in ("filename", "file_data") if part.get(name)}
            return {"type": "file", "file": file}
        case "input_image" | "input_file":
            raise untranslatable(where, "nothing is stored here: send the data themselves")
        case kind:
            raise untranslatable(f"{where}.type", f"this model takes no content of type {kind!r}")


def _tools(payload: dict[str, Any]) -> dict[str, Any]:
    tools = read_objects(payload.get("tools"), "tools")
    if not tools:
        return {}
    asked: dict[str, Any] = {"tools": [_tool(tool, f"tools.{at}") for at, tool in enumerate(tools)]}
    if payload.get("parallel_tool_calls") is not None:
        asked["parallel_tool_calls"] = payload["parallel_tool_calls"]
    choice = payload.get("tool_choice")
    if isinstance(choice, str):
        asked["tool_choice"] = choice
    elif choice is not None:
        asked |= _choice(read_object(choice, "tool_choice"), asked["tools"])
    return asked


def _tool(tool: dict[str, Any], where: str) -> dict[str, Any]:
    if tool.get("type") != "function":
        raise untranslatable(
            f"{where}.type", f"{tool.get('type')!r} runs at OpenAI; this model takes tools of type 'function' only"
        )
    function = {"name": read_text(tool.get("name"), f"{where}.name"), "parameters": tool.get("parameters") or {}}
    function |= {name: tool[name] for name in ("description", "strict") if tool.get(name) is not None}
    return {"type": "function", "function": function}


def _choice(choice: dict[str, Any], tools: list[dict[str, Any]]) -> dict[str, Any]:
    """One function, or some of those declared: then the others are not even shown to the model."""
    if choice.get("type") == "function":
        name = read_text(choice.get("name"), "tool_choice.name")
        return {"tool_choice": {"type": "function", "function": {"name": name}}}
    if choice.get("type") != "allowed_tools":
        raise untranslatable("tool_choice.type", "this model takes tools of type 'function' only")
    names = [tool.get("name") for tool in read_objects(choice.get("tools"), "tool_choice.tools")]
    allowed = [tool for tool in tools if tool["function"]["name"] in names]
    if not allowed:
        raise malformed("'tool_choice.tools' names none of the tools", "tool_choice.tools")
    return {"tools": allowed, "tool_choice": choice.get("mode") or "auto"}


def _text(payload: dict[str, Any]) -> dict[str, Any]:
    text = read_object(payload.get("text") or {}, "text")
    shape = read_object(text.get("format") or {"type": "text"}, "text.format")
    asked: dict[str, Any] = {"verbosity": text["verbosity"]} if text.get("verbosity") else {}
    if shape.get("type") == "json_object":
        asked["response_format"] = {"type": "json_object"}
    elif shape.get("type") == "json_schema":
        schema = {name: value for name, value in shape.items() if name != "type" and value is not None}
        asked["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif shape.get("type") != "text":
        raise malformed("'text.format.type' must be 'text', 'json_object' or 'json_schema'", "text.format.type")
    return asked


def _reasoning(payload: dict[str, Any]) -> dict[str, Any]:
    effort = read_object(payload.get("reasoning") or {}, "reasoning").get("effort")
    return {} if effort is None else {"reasoning_effort": read_text(effort, "reasoning.effort")}


def make_sink(call: Call) -> ResponsesSink:
    """What writes the response to `call`."""
    return ResponsesSink(call.model, call.payload or {}, call.response_id, call.stored)


ADAPTER = TranslatingAdapter(CHAT, translate, ChatSource, read_whole, make_sink)
