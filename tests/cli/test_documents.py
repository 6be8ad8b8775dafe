"""Files of resources, as people write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest

from ironworks.cli.documents import read_documents


def read(folder: Path, text: str) -> list[dict[str, Any]]:
    file = folder / "given.yaml"
    file.write_text(text)
    return read_documents((str(file),))


def one(spec: str) -> str:
    return f"kind: ApiKey\nmetadata: {{name: app}}\nspec: {spec}\n"


@pytest.mark.parametrize("moment", ["2030-01-01", "2030-01-01T00:00:00Z", "2030-01-01 12:30:00 +2"])
def test_a_moment_stays_the_text_that_was_written(tmp_path: Path, moment: str) -> None:
    [document] = read(tmp_path, one(f"{{expires_at: {moment}}}"))
    assert document["spec"] == {"expires_at": moment}
    json.dumps(document)


@pytest.mark.parametrize("odd", ["{a: .nan}", "{a: !!binary aGk=}", "&a [*a]", "{a: !!set {x}}", "{? [1, 2] : x}"])
def test_what_json_cannot_hold_is_refused_with_its_place(tmp_path: Path, odd: str) -> None:
    with pytest.raises(click.UsageError, match=r"given\.yaml"):
        read(tmp_path, one(odd))


def test_several_documents_and_lists_are_taken_apart(tmp_path: Path) -> None:
    listed = "items:\n- {kind: Role, metadata: {name: a}}\n- {kind: Role, metadata: {name: b}}\n"
    found = read(tmp_path, f"{listed}---\n---\n{one('{}')}")
    assert [document["metadata"]["name"] for document in found] == ["a", "b", "app"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no resource"),
        ("[]", "not a resource"),
        ("kind: Role", "metadata.name"),
        ("kind: Role\nmetadata: {name: 1}", "quote it"),
        ("a: [", "line 1"),
    ],
)
def test_what_is_no_resource_is_told_with_a_remedy(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(click.UsageError, match=says):
        read(tmp_path, text)
