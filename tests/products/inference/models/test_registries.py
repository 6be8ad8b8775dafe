"""Which model a name means, and who may offer which."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from ironworks.products.inference import models
from ironworks.products.inference.models.model import FileSource, ModelRegistrySpec, PackagedModel, package_source
from ironworks.shared.kind import Resource
from tests.products.inference.world import TENANT, ScriptedCluster, World

PINNED: dict[str, Any] = {"package": "p", "package_version": "1.0", "sha256": "a" * 64, "file": "p/m.gguf"}


def _registry(**spec: Any) -> models.ModelRegistry:
    metadata = {
        "name": "r", "scope": "-", "uid": "00000000-0000-0000-0000-000000000001",
        "creation_timestamp": "2026-01-01T00:00:00Z", "update_timestamp": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    document = {"kind": "ModelRegistry", "metadata": metadata, "spec": spec, "status": {}}
    return Resource[ModelRegistrySpec, models.MODEL_REGISTRY.status].model_validate(document)  # type: ignore[name-defined]


def _packages(*names: tuple[str, str]) -> models.ModelRegistry:
    return _registry(type="package", models=[{"name": n, "version": v, **PINNED} for n, v in names])


def write_gguf(path: Path, architecture: str = "llama") -> None:
    """As much of a model file as a registry looks at."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    path.parent.mkdir(parents=True, exist_ok=True)
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, 1)
    path.write_bytes(head + text("general.architecture") + struct.pack("<I", 8) + text(architecture))


def test_a_name_alone_is_enough_when_it_fits_one() -> None:
    assert models.find_model(_packages(("a", "1"), ("b", "1")), "a", None, None).version == "1"


def test_a_name_that_fits_several_is_not_guessed() -> None:
    registry = _packages(("a", "1"), ("a", "2"))
    with pytest.raises(models.ModelNotFound, match="ambiguous"):
        models.find_model(registry, "a", None, None)
    assert models.find_model(registry, "a", "2", None).version == "2"


def test_a_name_that_fits_none_is_told_with_those_that_are_there() -> None:
    with pytest.raises(models.ModelNotFound, match="it has a, b"):
        models.find_model(_packages(("b", "1"), ("a", "1")), "c", None, None)


def test_the_same_bytes_have_one_address_whatever_they_are_called() -> None:
    one = package_source(PackagedModel(name="a", **PINNED))
    assert package_source(PackagedModel(name="b", version="9", size_bytes=5, **PINNED)).key == one.key
    assert package_source(PackagedModel(name="a", **{**PINNED, "sha256": "b" * 64})).key != one.key
    assert package_source(PackagedModel(name="a", format="sentence-transformer", **PINNED)).key != one.key


def test_a_folder_is_listed_by_its_layout(tmp_path: Path) -> None:
    write_gguf(tmp_path / "solo.gguf")
    write_gguf(tmp_path / "pair" / "q4.gguf")
    write_gguf(tmp_path / "pair" / "q8.gguf")
    write_gguf(tmp_path / "versioned" / "v2" / "m.gguf", "bert")
    write_gguf(tmp_path / "too" / "deep" / "down" / "m.gguf")
    (tmp_path / "notes.txt").write_text("no model")
    (tmp_path / "empty.gguf").write_bytes(b"")
    registry = _registry(type="directory", directory=str(tmp_path))
    listed = {(m.name, m.version, m.file, m.task) for m in models.list_models(registry)}
    assert listed == {
        ("solo", "", "solo.gguf", "text-generation"),
        ("pair", "", "pair/q4.gguf", "text-generation"),
        ("pair", "", "pair/q8.gguf", "text-generation"),
        ("versioned", "v2", "versioned/v2/m.gguf", "text-embedding"),
        ("empty", "", "empty.gguf", "text-generation"),
    }
    source = models.find_model(registry, "pair", None, "pair/q8.gguf")
    assert isinstance(source.origin, FileSource)
    assert source.origin.path == str(tmp_path / "pair" / "q8.gguf")


def test_a_file_that_changes_is_another_model(tmp_path: Path) -> None:
    write_gguf(tmp_path / "m.gguf")
    registry = _registry(type="directory", directory=str(tmp_path))
    before = models.find_model(registry, "m", None, None).key
    write_gguf(tmp_path / "m.gguf", "qwen2")
    assert models.find_model(registry, "m", None, None).key != before


def test_a_folder_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(models.RegistryUnreadable, match="cannot be read"):
        models.list_models(_registry(type="directory", directory=str(tmp_path / "none")))


@pytest.mark.parametrize(
    "spec",
    [
        {"type": "directory"},
        {"type": "directory", "directory": "relative"},
        {"type": "directory", "directory": "/a", "models": [{"name": "a", **PINNED}]},
        {"type": "package", "directory": "/a"},
        {"type": "package", "models": [{"name": "a", **PINNED}, {"name": "a", **PINNED}]},
        {"type": "package", "models": [{"name": "a", **PINNED, "sha256": "abc"}]},
        {"type": "package", "models": [{"name": "a", **PINNED, "file": "../../etc/passwd"}]},
        {"type": "package", "models": [{"name": "a", **PINNED, "file": "/etc/passwd"}]},
        {"type": "package", "models": [{"name": "a", **PINNED, "package": "p; rm -rf /"}]},
        {"type": "package", "models": [{"name": "a", **PINNED, "package": "-r"}]},
        {"type": "package", "models": [{"name": "a", **PINNED, "package_version": "1 --index-url=x"}]},
        {"type": "hugging-face"},
    ],
)
def test_a_registry_that_makes_no_sense_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ModelRegistrySpec.model_validate(spec)


async def test_registries_connect_and_count_their_models(
    world: World, cluster: ScriptedCluster, tmp_path: Path
) -> None:
    write_gguf(tmp_path / "m.gguf")
    folder = await world.insert(models.MODEL_REGISTRY, "", "folder", {"type": "directory", "directory": str(tmp_path)})
    missing = await world.insert(
        models.MODEL_REGISTRY, "", "missing", {"type": "directory", "directory": str(tmp_path / "none")}
    )
    builtin = await world.admin.fetchval("select uid from inference_models.model_registry where name = 'builtin'")
    await world.run(await world.worker(), cluster, rounds=3)
    for uid, count in ((folder, 1), (builtin, 2)):
        status = await world.status(uid, models.MODEL_REGISTRY)
        assert (status["phase"], status["stats"]["model_count"]) == ("Connected", count)
    assert (await world.status(missing, models.MODEL_REGISTRY))["phase"] == "Failed"
    assert (await world.condition(missing, models.MODEL_REGISTRY))["reason"] == "RegistryUnreadable"


async def test_an_endpoint_serves_a_model_of_a_folder(world: World, cluster: ScriptedCluster, tmp_path: Path) -> None:
    write_gguf(tmp_path / "mine.gguf")
    await world.insert(models.MODEL_REGISTRY, TENANT, "folder", {"type": "directory", "directory": str(tmp_path)})
    uid = await world.endpoint(model={"registry": "folder", "name": "mine"})
    await world.run(await world.worker(), cluster)
    assert (await world.status(uid))["phase"] == "Running"
    assert (await world.status(uid))["model"]["name"] == "mine"
