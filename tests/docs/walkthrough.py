"""Reads a page of `docs/` as instructions: files to write, edits to make, commands to run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"^`([^`\n]+)`$", re.MULTILINE)


@dataclass(frozen=True)
class Write:
    """A whole file."""

    path: str
    text: str


@dataclass(frozen=True)
class Edit:
    """Lines added to or taken from a file; those it keeps say where."""

    path: str
    before: str
    after: str


@dataclass(frozen=True)
class Run:
    """A command, without its prompt, and the output that the page shows."""

    command: str
    output: str


def steps_of(page: str) -> Iterator[Write | Edit | Run]:
    """What the page asks for, in its order. A file's name stands alone on the line above its first block."""
    path, end = "", 0
    for block in _FENCE.finditer(page):
        named = _NAMED.findall(page, end, block.start())
        path, end = (named[-1] if named else path), block.end()
        language, text = block.groups()
        if language == "python":
            yield Write(path, text)
        elif language == "diff":
            lines = text.splitlines(keepends=True)
            before = "".join(line[1:] for line in lines if line[0] in " -")
            yield Edit(path, before, "".join(line[1:] for line in lines if line[0] in " +"))
        elif language == "console":
            for command, output in re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
                yield Run(command, output)


def carry_out(step: Write | Edit, root: Path) -> None:
    """Write or edit a file below `root`; fails where an edit does not fit exactly once."""
    file = root / step.path
    if isinstance(step, Write):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(step.text)
        return
    text = file.read_text()
    assert text.count(step.before) == 1, f"{step.path} does not hold, once:\n{step.before}"
    file.write_text(text.replace(step.before, step.after))
