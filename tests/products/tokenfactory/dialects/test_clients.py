"""The official clients of OpenAI and Anthropic, each before upstreams of both dialects: what they ask, what they get,
and what is billed is the same."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import openai
import pytest
from pydantic import BaseModel, TypeAdapter

from tests.products.tokenfactory.dialects.server import BILLED, SIGNATURE, TEXT, THOUGHTS, Models
from tests.products.tokenfactory.world import World

DIALECTS = pytest.mark.parametrize("dialect", ["openai", "anthropic"])
STREAMED = pytest.mark.parametrize("stream", [False, True])
SAID = "".join(TEXT)
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
PNG = "iVBORw0KGgo="


def strict(value: BaseModel) -> None:
    """Raises where `value` is not of its own type: the clients build what they get without a check."""
    TypeAdapter(type(value)).validate_python(value.to_dict(), strict=False)  # type: ignore[attr-defined]


async def billed(world: World) -> tuple[int, int, int, bool]:
    record = (await world.ledger.expect(1))[0]
    return record.input_tokens, record.cached_tokens, record.output_tokens, record.counted


async def ask_message(world: World, stream: bool, model: str, **more: Any) -> anthropic.types.Message:
    asked: dict[str, Any] = {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}], **more}
    if not stream:
        return await world.anthropic().messages.create(**asked)
    async with world.anthropic().messages.stream(**asked) as events:
        async for event in events:
            assert event.type != "error"
        return await events.get_final_message()


@DIALECTS
@STREAMED
async def test_messages(world: World, dialect: str, stream: bool) -> None:
    message = await ask_message(world, stream, f"{dialect}-plain")
    strict(message)
    assert (message.type, message.role, message.model) == ("message", "assistant", f"{dialect}-plain")
    assert [block.to_dict() for block in message.content] == [{"type": "text", "text": SAID}]
    assert (message.stop_reason, message.stop_sequence) == ("end_turn", None)
    usage = message.usage
    given = usage.input_tokens + (usage.cache_creation_input_tokens or 0) + (usage.cache_read_input_tokens or 0)
    assert (given, usage.cache_read_input_tokens, usage.output_tokens) == BILLED[:3]
    assert await billed(world) == BILLED
    record = (await world.ledger.expect(1))[0]
    assert (record.operation, record.reasoning_tokens) == ("/v1/messages", 3)


@DIALECTS
@STREAMED
async def test_messages_with_tools(world: World, models: Models, dialect: str, stream: bool) -> None:
    tool = {"name": "weather", "description": "Tells it", "input_schema": SCHEMA}
    message = await ask_message(
        world,
        stream,
        f"{dialect}-two-tools",
        tools=[tool],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
    )
    strict(message)
    assert message.stop_reason == "tool_use"
    calls = [block for block in message.content if block.type == "tool_use"]
    assert [(call.id, call.name, call.input) for call in calls] == [
        ("call_0", "weather", {"city": "Paris"}),
        ("call_1", "weather", {"city": "Paris"}),
    ]
    if dialect == "openai":
        function = {"name": "weather", "description": "Tells it", "parameters": SCHEMA}
        assert models.last["tools"] == [{"type": "function", "function": function}]
        assert (models.last["tool_choice"], models.last["parallel_tool_calls"]) == ("required", False)


@DIALECTS
async def test_messages_that_answer_a_call(world: World, models: Models, dialect: str) -> None:
    image = {"type": "base64", "media_type": "image/png", "data": PNG}
    await ask_message(
        world,
        False,
        f"{dialect}-plain",
        system=[{"type": "text", "text": "Be brief", "cache_control": {"type": "ephemeral"}}],
        stop_sequences=["END"],
        extra_body={"top_k": 5, "temperature": 0.5},
        metadata={"user_id": "u-1"},
        messages=[
            {"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm", "signature": SIGNATURE},
                    {"type": "text", "text": "Looking"},
                    {"type": "tool_use", "id": "call_0", "name": "weather", "input": {"city": "Paris"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Well?"},
                    {
                        "type": "tool_result",
                        "tool_use_id": "call_0",
                        "content": [{"type": "text", "text": "Rain"}, {"type": "image", "source": image}],
                    },
                ],
            },
        ],
    )
    record = (await world.ledger.expect(1))[0]
    assert record.user == "u-1"
    if dialect == "openai":
        call = {
            "id": "call_0",
            "type": "function",
            "function": {"name": "weather", "arguments": '{"city":"Paris"}'},
        }
        assert models.last["messages"] == [
            {"role": "system", "content": "Be brief"},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]},
            {"role": "assistant", "content": "Looking", "reasoning_content": "Hm", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_0", "content": "Rain"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Well?"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
                ],
            },
        ]
        assert models.last["stop"] == ["END"]
        assert (models.last["top_k"], models.last["user"], models.last["max_tokens"]) == (5, "u-1", 100)
    else:
        assert models.asked[-1].headers["x-api-key"] == "secret"
        assert models.asked[-1].headers["anthropic-version"]
        assert models.last["system"][0]["cache_control"] == {"type": "ephemeral"}


@DIALECTS
@STREAMED
async def test_messages_with_thinking(world: World, models: Models, dialect: str, stream: bool) -> None:
    message = await ask_message(
        world, stream, f"{dialect}-thinking", thinking={"type": "enabled", "budget_tokens": 5000}, max_tokens=9000
    )
    strict(message)
    thought = message.content[0]
    assert thought.type == "thinking"
    assert thought.thinking == "".join(THOUGHTS)
    if dialect == "openai":
        assert models.last["reasoning_effort"] == "medium"
    else:
        assert thought.signature == SIGNATURE
        assert message.content[1].type == "redacted_thinking"
    assert (await world.ledger.expect(1))[0].reasoning_tokens == 3


@DIALECTS
@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("too-long", anthropic.BadRequestError),
        ("busy", anthropic.RateLimitError),
        ("overloaded", anthropic.RateLimitError),
        ("broken", anthropic.InternalServerError),
        ("html", anthropic.InternalServerError),
        ("nothing", anthropic.NotFoundError),
    ],
)
async def test_errors_of_messages(world: World, dialect: str, said: str, error: type[anthropic.APIStatusError]) -> None:
    with pytest.raises(error) as caught:
        await ask_message(world, False, f"{dialect}-{said}")
    body: Any = caught.value.body
    assert body["type"] == "error"
    assert body["error"]["code"]
    assert "deadbeef" not in json.dumps(body)
    assert body["request_id"] == caught.value.response.headers["x-request-id"]


async def test_a_wrong_key_is_refused_in_the_callers_dialect(world: World) -> None:
    wrong = world.anthropic("iwk_wrong")
    with pytest.raises(anthropic.AuthenticationError) as caught:
        await wrong.messages.create(model="x", max_tokens=1, messages=[{"role": "user", "content": "Hi"}])
    assert caught.value.body["error"]["type"] == "authentication_error"  # type: ignore[index, call-overload]


@DIALECTS
async def test_an_error_in_a_stream_of_messages(world: World, dialect: str) -> None:
    with pytest.raises(anthropic.APIStatusError) as caught:
        await ask_message(world, True, f"{dialect}-error-in-stream")
    assert "reported an error" in str(caught.value)
    record = (await world.ledger.expect(1))[0]
    assert (record.status, record.counted) == (502, True)
    assert record.output_tokens > 0


async def ask_chat(world: World, stream: bool, model: str, **more: Any) -> Any:
    """A chat completion, put together from its chunks by the client's own helper where it streams."""
    asked: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": "Hi"}], **more}
    if not stream:
        return await world.openai().chat.completions.create(**asked)
    options = {"include_usage": True}
    async with world.openai().chat.completions.stream(**asked, stream_options=options) as events:
        async for _ in events:
            pass
        return await events.get_final_completion()


@DIALECTS
@STREAMED
async def test_chat(world: World, dialect: str, stream: bool) -> None:
    answer = await ask_chat(world, stream, f"{dialect}-plain")
    assert answer.model == f"{dialect}-plain"
    assert answer.choices[0].message.content == SAID
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.to_dict().items() >= {"prompt_tokens": 23, "completion_tokens": 9, "total_tokens": 32}.items()
    assert answer.usage.prompt_tokens_details.cached_tokens == 7
    assert answer.usage.completion_tokens_details.reasoning_tokens == 3
    assert await billed(world) == BILLED


@DIALECTS
@STREAMED
async def test_chat_with_tools(world: World, models: Models, dialect: str, stream: bool) -> None:
    function = {"name": "weather", "description": "Tells it", "parameters": SCHEMA}
    answer = await ask_chat(
        world,
        stream,
        f"{dialect}-two-tools",
        tools=[{"type": "function", "function": function}],
        tool_choice="required",
        parallel_tool_calls=False,
    )
    calls = answer.choices[0].message.tool_calls
    assert answer.choices[0].finish_reason == "tool_calls"
    assert [(call.id, call.function.name, json.loads(call.function.arguments)) for call in calls] == [
        ("call_0", "weather", {"city": "Paris"}),
        ("call_1", "weather", {"city": "Paris"}),
    ]
    if dialect == "anthropic":
        assert models.last["tools"] == [{"name": "weather", "description": "Tells it", "input_schema": SCHEMA}]
        assert models.last["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}


async def test_chat_over_anthropic_says_all_that_can_be_said(world: World, models: Models) -> None:
    call = {"id": "call_0", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Paris"}'}}
    image = {"url": f"data:image/png;base64,{PNG}"}
    await ask_chat(
        world,
        False,
        "anthropic-plain",
        messages=[
            {"role": "system", "content": "Be brief"},
            {"role": "user", "content": [{"type": "text", "text": "Look"}, {"type": "image_url", "image_url": image}]},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_0", "content": "Rain"},
            {"role": "user", "content": "Well?"},
        ],
        tools=[{"type": "function", "function": {"name": "weather"}}],
        max_completion_tokens=50,
        stop="END",
        user="u-1",
        seed=7,
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}},
    )
    assert models.last == {
        "model": "plain",
        "max_tokens": 50,
        "system": "Be brief",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Look"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                ],
            },
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "call_0", "name": "weather", "input": {"city": "Paris"}}],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "call_0", "content": "Rain"},
                    {"type": "text", "text": "Well?"},
                ],
            },
        ],
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u-1"},
        "tools": [{"name": "weather", "input_schema": {"type": "object", "properties": {}}}],
        "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
    }


@STREAMED
async def test_thoughts_go_back_to_their_author(world: World, models: Models, stream: bool) -> None:
    answer = await ask_chat(world, stream, "anthropic-thinking", reasoning_effort="high", max_tokens=40_000)
    assert models.last["thinking"] == {"type": "enabled", "budget_tokens": 16_384}
    message = answer.choices[0].message.to_dict()
    assert message["reasoning_content"] == "".join(THOUGHTS)
    again = [{"role": "user", "content": "Hi"}, message, {"role": "user", "content": "And?"}]
    await ask_chat(world, False, "anthropic-plain", messages=again)
    assert models.last["messages"][1]["content"][0] == {
        "type": "thinking",
        "thinking": "".join(THOUGHTS),
        "signature": SIGNATURE,
    }
    assert models.last["messages"][1]["content"][1]["type"] == "redacted_thinking"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 2),
        ("logprobs", True),
        ("logit_bias", {"5": 1}),
        ("frequency_penalty", 0.5),
        ("temperature", 1.5),
        ("response_format", {"type": "json_object"}),
        ("modalities", ["text", "audio"]),
        ("tools", [{"type": "custom", "custom": {"name": "x"}}]),
        ("messages", [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]),
    ],
)
async def test_what_anthropic_cannot_say_is_refused_by_name(world: World, field: str, value: Any) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await ask_chat(world, False, "anthropic-plain", **{field: value})
    assert str(caught.value.param).split(".")[0] == field
    assert caught.value.code == "unsupported_parameter"


async def ask_response(world: World, stream: bool, model: str, **more: Any) -> openai.types.responses.Response:
    asked: dict[str, Any] = {"model": model, "input": "Hi", **more}
    if not stream:
        return await world.openai().responses.create(**asked)
    async with world.openai().responses.stream(**asked) as events:
        async for _ in events:
            pass
        return await events.get_final_response()  # type: ignore[no-any-return]


@DIALECTS
@STREAMED
async def test_responses(world: World, dialect: str, stream: bool) -> None:
    response = await ask_response(world, stream, f"{dialect}-plain", instructions="Be brief", metadata={"team": "a"})
    assert (response.status, response.model, response.output_text) == ("completed", f"{dialect}-plain", SAID)
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (23, 9)
    assert response.usage.input_tokens_details.cached_tokens == 7
    assert response.usage.output_tokens_details.reasoning_tokens == 3
    assert await billed(world) == BILLED
    assert (await world.ledger.expect(1))[0].metadata == {"team": "a"}


@DIALECTS
@STREAMED
async def test_responses_with_tools(world: World, models: Models, dialect: str, stream: bool) -> None:
    tool = {"type": "function", "name": "weather", "description": "Tells it", "parameters": SCHEMA, "strict": True}
    response = await ask_response(world, stream, f"{dialect}-two-tools", tools=[tool])
    calls = [item for item in response.output if item.type == "function_call"]
    assert [(call.call_id, call.name, json.loads(call.arguments)) for call in calls] == [
        ("call_0", "weather", {"city": "Paris"}),
        ("call_1", "weather", {"city": "Paris"}),
    ]
    again: list[Any] = [{"role": "user", "content": "Hi"}, *(item.to_dict() for item in response.output)]
    again += [{"type": "function_call_output", "call_id": call.call_id, "output": "Rain"} for call in calls]
    models.asked.clear()
    await ask_response(world, False, f"{dialect}-plain", input=again)
    roles = [message["role"] for message in models.last["messages"]]
    assert roles == (["user", "assistant", "tool", "tool"] if dialect == "openai" else ["user", "assistant", "user"])


@DIALECTS
@STREAMED
async def test_responses_with_reasoning(world: World, models: Models, dialect: str, stream: bool) -> None:
    response = await ask_response(world, stream, f"{dialect}-thinking", reasoning={"effort": "low"})
    thought = response.output[0]
    assert thought.type == "reasoning"
    assert thought.content is not None
    assert thought.content[0].text == "".join(THOUGHTS)
    again: list[Any] = [{"role": "user", "content": "Hi"}, *(item.to_dict() for item in response.output)]
    await ask_response(world, False, f"{dialect}-plain", input=[*again, {"role": "user", "content": "And?"}])
    said = models.last["messages"][1]
    if dialect == "openai":
        assert said["reasoning_content"] == "".join(THOUGHTS)
        assert "thinking_blocks" not in said
    else:
        assert [block["type"] for block in said["content"]] == ["thinking", "redacted_thinking", "text"]


FAILURES = pytest.mark.parametrize(
    ("said", "error", "code"),
    [
        ("too-long", openai.BadRequestError, "invalid_request"),
        ("busy", openai.RateLimitError, "model_overloaded"),
        ("overloaded", openai.RateLimitError, "model_overloaded"),
        ("broken", openai.InternalServerError, "upstream_error"),
        ("html", openai.InternalServerError, "upstream_error"),
        ("nothing", openai.NotFoundError, "model_not_found"),
    ],
)


@DIALECTS
@FAILURES
async def test_errors_of_chat_and_responses(
    world: World, dialect: str, said: str, error: type[openai.APIStatusError], code: str
) -> None:
    for ask in (ask_chat, ask_response):
        with pytest.raises(error) as caught:
            await ask(world, False, f"{dialect}-{said}")
        assert caught.value.code == code
        assert "deadbeef" not in str(caught.value)
        assert caught.value.request_id == caught.value.response.headers["x-request-id"]


@DIALECTS
async def test_an_error_in_a_stream_of_chat_or_responses(world: World, dialect: str) -> None:
    for ask in (ask_chat, ask_response):
        with pytest.raises(openai.APIError, match="reported an error"):
            await ask(world, True, f"{dialect}-error-in-stream")
    for record in await world.ledger.expect(2):
        assert (record.status, record.counted) == (502, True)
        assert record.output_tokens > 0


@DIALECTS
async def test_a_response_to_an_image(world: World, models: Models, dialect: str) -> None:
    parts: list[Any] = [
        {"type": "input_text", "text": "What is it?"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "low"},
    ]
    await ask_response(world, False, f"{dialect}-plain", input=[{"role": "user", "content": parts}])
    told = models.last["messages"][0]["content"][1]
    if dialect == "openai":
        assert told == {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"}}
    else:
        assert told == {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}


@DIALECTS
async def test_a_response_goes_on_from_one_that_is_not_kept(world: World, dialect: str) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await ask_response(world, False, f"{dialect}-plain", previous_response_id="resp_none")
    assert caught.value.param == "previous_response_id" or caught.value.code == "response_not_found"


@DIALECTS
@STREAMED
async def test_a_response_that_is_cut_says_so(world: World, dialect: str, stream: bool) -> None:
    asked: dict[str, Any] = {"model": f"{dialect}-cut", "input": "Hi", "max_output_tokens": 9}
    if stream:
        last: Any = [event async for event in await world.openai().responses.create(**asked, stream=True)][-1]
        assert last.type == "response.incomplete"
        response = last.response
    else:
        response = await world.openai().responses.create(**asked)
    assert response.status == "incomplete"
    assert response.incomplete_details.reason == "max_output_tokens"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tools", [{"type": "web_search"}]),
        ("background", True),
        ("conversation", "conv_1"),
        ("prompt", {"id": "p"}),
        ("truncation", "auto"),
        ("input", [{"type": "item_reference", "id": "x"}]),
    ],
)
async def test_what_needs_openais_own_services_is_refused_by_name(world: World, field: str, value: Any) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await ask_response(world, False, "openai-plain", **{field: value})
    assert str(caught.value.param).split(".")[0] == field


@pytest.mark.parametrize(("dialect", "stream"), [("openai", False), ("openai", True), ("anthropic", False)])
async def test_an_answer_without_usage_is_counted_and_marked(world: World, dialect: str, stream: bool) -> None:
    message = await ask_message(world, stream, f"{dialect}-no-usage")
    record = (await world.ledger.expect(1))[0]
    assert record.counted
    assert record.output_tokens > 0
    if dialect == "openai":
        assert (message.usage.input_tokens, message.usage.output_tokens) == (record.input_tokens, record.output_tokens)


@DIALECTS
async def test_tokens_are_counted_for_nothing(world: World, dialect: str) -> None:
    asked: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}
    counting = world.anthropic().messages.with_raw_response
    exact = await counting.count_tokens(model=f"{dialect}-plain", **asked)
    assert (await exact.parse()).input_tokens == 23
    assert "x-ironworks-estimated" not in exact.headers
    rough = await counting.count_tokens(model=f"{dialect}-elsewhere", **asked)
    assert (await rough.parse()).input_tokens > 0
    assert rough.headers["x-ironworks-estimated"] == "true"
    for record in await world.ledger.expect(2):
        assert (record.input_tokens, record.output_tokens, record.counted) == (0, 0, False)
