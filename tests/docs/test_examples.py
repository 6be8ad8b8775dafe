"""Every file under `examples/` can be applied, and applied again without changing anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ironworks.cli.documents import in_order, read_documents
from ironworks.products.inference import clusters, engines, models
from ironworks.sdk.kinds import Kinds
from tests.support.api import BootstrappedPlace, api_world, bootstrapped_database
from tests.support.postgres import Server

CHECKOUT = Path(__file__).parents[2]
EXAMPLES = CHECKOUT / "examples"


@pytest.fixture
def place(postgres: Server, run_folder: Path) -> Iterator[BootstrappedPlace]:
    made = bootstrapped_database(postgres, run_folder)
    yield made
    postgres.drop_database(made)


async def test_all_examples_apply_and_then_change_nothing(place: BootstrappedPlace) -> None:
    documents = read_documents((str(EXAMPLES),))
    async with api_world(place) as world:
        kinds = Kinds((await world.operator.get("kinds"))["items"])

        async def apply(document: dict[str, Any]) -> str:
            kind, meta = kinds.find(document["kind"]), document["metadata"]
            assert kind is not None
            url = f"scopes/{meta['scope']}/{kind.plural}/{meta['name']}:apply"
            return str((await world.operator.expect(200, "POST", url, document))["action"])

        for domain in (engines, models, clusters):
            for manifest in domain.builtins():
                await apply(manifest)
        assert {await apply(document) for document in in_order(documents, kinds)} == {"created"}
        assert {await apply(document) for document in in_order(documents, kinds)} == {"unchanged"}


def test_every_example_says_how_to_apply_it() -> None:
    for file in EXAMPLES.glob("*.yaml"):
        assert f"# ironworks apply -f examples/{file.name}" in file.read_text()
