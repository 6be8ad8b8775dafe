"""The list of models, as either vendor's own client reads it."""

from __future__ import annotations

import anthropic
import openai
import pytest

from tests.products.tokenfactory.world import World


async def test_both_clients_list_the_same_models(world: World) -> None:
    theirs = world.anthropic()
    listed = [model async for model in theirs.models.list()]
    async with world.openai() as client:
        ours = [model.id async for model in client.models.list()]
    assert [model.id for model in listed] == ours
    assert "plain" in ours
    one = await theirs.models.retrieve("plain")
    assert (one.type, one.display_name, one.created_at.year) == ("model", "plain", 2023)


async def test_a_path_of_both_dialects_refuses_in_the_callers(world: World) -> None:
    with pytest.raises(anthropic.NotFoundError) as theirs:
        await world.anthropic().models.retrieve("nope")
    assert isinstance(theirs.value.body, dict)
    assert theirs.value.body["type"] == "error"
    assert theirs.value.body["error"]["code"] == "model_not_found"
    with pytest.raises(openai.NotFoundError) as ours:
        await world.openai().models.retrieve("nope")
    assert ours.value.code == "model_not_found"


async def test_a_path_that_is_none_is_told_which_there_are(world: World) -> None:
    async with world.http() as http:
        for path in ("/chat/completions", "/v1/files"):
            error = (await http.post(path)).json()["error"]
            assert error["code"] == "unknown_url"
            assert f"'{path}'" in error["message"]
            assert "/v1/chat/completions, " in error["message"]
