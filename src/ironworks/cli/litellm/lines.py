"""YAML that remembers on which line everything stands, so that a refusal can say where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import yaml

Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that cannot be taken over as it is, and what to do about it."""

    line: int
    where: str
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.where}: {self.message}"


class NotAConfig(ValueError):
    """The file is no configuration of LiteLLM's; the message says why."""


@dataclass(slots=True)
class Config:
    """The file's values and where they stand; problems and notes are gathered here while it is read.

    Args:
        environ: where `os.environ/NAME` is looked up, the file's own `environment_variables` before it.
    """

    values: dict[str, Any]
    lines: dict[Path, int]
    environ: Mapping[str, str]
    problems: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)

    def refuse(self, path: Path, message: str) -> None:
        """It cannot be taken over."""
        self.problems.append(Problem(self.line(path), show(path), message))

    def note(self, path: Path, message: str) -> None:
        """It is taken over, or needs not to be, but differs in a way that one should know."""
        self.notes.append(Problem(self.line(path), show(path), message))

    def line(self, path: Path) -> int:
        """Where `path` stands, or the nearest thing around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def section(self, name: str) -> dict[str, Any]:
        """A mapping at the top, empty where there is none."""
        found = self.values.get(name)
        if found is not None and not isinstance(found, dict):
            self.refuse((name,), "is not a mapping")
        return found if isinstance(found, dict) else {}

    def variable(self, name: str) -> str | None:
        """An environment variable's value, or None where it has none."""
        own = self.section("environment_variables").get(name)
        return str(own) if own is not None else self.environ.get(name)


def read_config(text: str, environ: Mapping[str, str]) -> Config:
    """The file's values with their lines. Raises NotAConfig, naming the line where it can."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        lines: dict[Path, int] = {}
        value = _value(loader, node, (), lines) if node is not None else None
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        raise NotAConfig(f"{where}{getattr(problem, 'problem', None) or problem}") from None
    except RecursionError:
        raise NotAConfig("is nested too deeply") from None
    finally:
        loader.dispose()
    if not isinstance(value, dict) or "model_list" not in value:
        raise NotAConfig("has no model_list: it is no configuration of LiteLLM's proxy")
    return Config(value, lines, environ)


def _value(loader: yaml.SafeLoader, node: yaml.Node, path: Path, lines: dict[Path, int]) -> Any:
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        loader.flatten_mapping(node)
        found = {}
        for key_node, value_node in node.value:
            key = str(loader.construct_object(key_node))
            found[key] = _value(loader, value_node, (*path, key), lines)
            lines[*path, key] = key_node.start_mark.line + 1
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_value(loader, item, (*path, number), lines) for number, item in enumerate(node.value)]
    return loader.construct_object(node)


def show(path: Path) -> str:
    """`model_list[2].litellm_params.model`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".") or "file"


def entries(config: Config, path: Path, value: Any) -> Iterator[tuple[Path, Any]]:
    """(path, element) of a list; anything else is refused."""
    if not isinstance(value, list):
        config.refuse(path, "is not a list")
        return
    for number, item in enumerate(value):
        yield (*path, number), item
