"""The list of models, as either vendor's own client reads it."""

from __future__ import annotations

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
