"""What an engine version lets through."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from ironworks.products.inference import engines
from ironworks.products.inference.engines.model import EngineSpec, ValuesSchema
from ironworks.shared.kind import Resource
from tests.products.inference.world import ScriptedCluster, World

SCHEMA = ValuesSchema.model_validate(
    {
        "properties": {
            "ctx_size": {"type": "integer", "minimum": 1, "maximum": 10},
            "mode": {"type": "string", "enum": ["a", "b"]},
            "text": {"type": "string", "maxLength": 3},
            "heat": {"type": "number", "minimum": 0},
            "fast": {"type": "boolean"},
        }
    }
)


@pytest.mark.parametrize(
    "args", [{}, {"ctx_size": 10}, {"mode": "a", "heat": 1}, {"heat": 0.5, "fast": False}, {"text": "abc"}]
)
def test_what_fits_passes(args: dict[str, Any]) -> None:
    assert SCHEMA.problems(args, "spec") == []


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"ctx_size": 11}, "at most 10"),
        ({"ctx_size": 0}, "at least 1"),
        ({"ctx_size": "4"}, "type integer"),
        ({"ctx_size": True}, "type integer"),
        ({"ctx_size": None}, "type integer"),
        ({"heat": [1]}, "type number"),
        ({"mode": "c"}, "one of a, b"),
        ({"text": "abcd"}, "at most 3"),
        ({"text": "a\0"}, "NUL"),
        ({"fast": 1}, "type boolean"),
        ({"model": "/etc/passwd"}, "no argument"),
    ],
)
def test_what_does_not_is_told_by_field(args: dict[str, Any], words: str) -> None:
    [problem] = SCHEMA.problems(args, "spec.variables.engine_args")
    assert problem["field"] == f"spec.variables.engine_args.{next(iter(args))}"
    assert words in problem["problem"]


def test_all_problems_are_told_at_once() -> None:
    assert len(SCHEMA.problems({"ctx_size": 0, "mode": "c", "x": 1}, "spec")) == 3


def _engine(*versions: str) -> engines.Engine:
    every = [{"version": v, "runtime": "llamacpp", "supported_tasks": ["text-generation"]} for v in versions]
    metadata = {
        "name": "e", "scope": "-", "uid": "00000000-0000-0000-0000-000000000001",
        "creation_timestamp": "2026-01-01T00:00:00Z", "update_timestamp": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    document = {"kind": "Engine", "metadata": metadata, "spec": {"versions": every}, "status": {}}
    return Resource[EngineSpec, engines.ENGINE.status].model_validate(document)  # type: ignore[name-defined]


@pytest.mark.parametrize(
    ("versions", "highest"),
    [(("0.9", "0.10"), "0.10"), (("v1.2.3", "v1.10.0"), "v1.10.0"), (("2026.9", "2026.10.1", "2026.10"), "2026.10.1")],
)
def test_without_a_wish_the_highest_version_is_meant(versions: tuple[str, ...], highest: str) -> None:
    assert engines.choose_version(_engine(*versions), None).version == highest


def test_a_version_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(engines.EngineVersionNotFound, match=r"0\.9"):
        engines.choose_version(_engine("0.9"), "1.0")


@pytest.mark.parametrize(
    "spec",
    [
        {"versions": []},
        {"versions": [{"version": "1", "runtime": "sh", "supported_tasks": ["text-generation"]}]},
        {"versions": [{"version": "1", "runtime": "llamacpp", "supported_tasks": []}]},
        {"versions": [{"version": "1", "runtime": "llamacpp", "supported_tasks": ["text-generation"]}] * 2},
    ],
)
def test_an_engine_that_makes_no_sense_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        EngineSpec.model_validate(spec)


async def test_the_builtin_engine_becomes_ready_and_says_what_it_can(world: World, cluster: ScriptedCluster) -> None:
    uid = await world.admin.fetchval("select uid from inference_engines.engine")
    await world.run(await world.worker(), cluster, rounds=1)
    status = await world.status(uid, engines.ENGINE)
    assert status["phase"] == "Ready"
    assert status["supported_tasks"] == ["text-embedding", "text-generation", "text-rerank"]
