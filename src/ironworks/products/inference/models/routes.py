"""The models of a registry, over HTTP."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel

from ironworks.products.inference.models import service
from ironworks.products.inference.models.model import MODEL_REGISTRY
from ironworks.shared.http import Call, Router
from ironworks.shared.lookup import load
from ironworks.shared.path import parse_path
from ironworks.shared.shapes import Shape

router = Router("inference.models")


class ModelView(Shape):
    """A model that an endpoint can name. `size_bytes` is what is downloaded or read, 0 when unknown."""

    name: str
    version: str
    task: str
    file: str
    size_bytes: int
    license: str
    description: str


class ModelList(BaseModel):
    items: list[ModelView]


@router.get(
    "/api/v1/scopes/{path}/model-registries/{name}/models",
    permission=MODEL_REGISTRY.permission("read"),
    rows_decide=True,
    calls_out=True,
    summary="List the models of a registry",
)
async def list_registry_models(call: Call, path: str, name: str) -> ModelList:
    async with call.transaction() as ctx:
        registry = await load(ctx, MODEL_REGISTRY, parse_path(path), name)
    models = await asyncio.to_thread(service.list_models, registry)
    return ModelList(items=[ModelView.show(model) for model in models])
