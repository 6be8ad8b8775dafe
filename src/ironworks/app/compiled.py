"""The gateway's hot modules as native code, where somebody compiled them: which ones, where they lie, and how they come
in the place of their sources.

Sources are the same either way, and so is what they do; see decision 0018. Native code lies in a folder named after
everything that it came from, so that a change of one line, or another Python, leaves it unused and the sources are run.
"""

from __future__ import annotations

import hashlib
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Final

import ironworks

SOURCES: Final = Path(ironworks.__file__).parent
GROUP: Final = "ironworks_gateway"
"""The one library that holds all of them; each module's own file only points into it."""
_SUFFIX: Final = sysconfig.get_config_var("EXT_SUFFIX")
_HOT: Final[Mapping[str, str]] = {
    "gateway": """admission answers cache cells client core costs ending exchange heads identifiers limiting metrics
        model observing operations paying receiving segments snapshot spool stream sync upstream waiting wire""",
    "gateway.dialects": "base native reading",
    "limits": "desk grants headers plans refusals table",
    "budgets": "desk refusals slices talks",
    "routing": "balance health queueing",
}
MODULES: Final = tuple(
    f"ironworks.products.tokenfactory.{package}.{name}" for package, names in _HOT.items() for name in names.split()
)
"""All that a request passes through. Models of pydantic cannot be compiled, nor what it reads annotations of: the rows
of the snapshot that is kept on disk. What runs seldom need not be."""


class _Finder(MetaPathFinder):
    """Finds the compiled modules of one folder before their sources are found."""

    def __init__(self, folder: Path) -> None:
        self._files = {name: folder.joinpath(*name.split(".")).with_suffix(_SUFFIX) for name in MODULES}
        self._files[f"{GROUP}__mypyc"] = folder / f"{GROUP}__mypyc{_SUFFIX}"

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        file = self._files.get(fullname)
        return spec_from_file_location(fullname, file) if file is not None else None


def folder_below(home: Path) -> Path:
    """Where native code of exactly these sources, for exactly this Python, lies if there is any."""
    return home / "compiled" / fingerprint(SOURCES)


def fingerprint(sources: Path) -> str:
    """32 hexadecimal digits that stand for every source file of ours and the Python that runs them.

    Every file, though few are compiled: constants and shapes of others are in native code too.
    """
    digest = hashlib.sha256(f"{sys.version}\0{_SUFFIX}\0{MODULES}".encode())
    for path in sorted(sources.rglob("*.py")):
        content = path.read_bytes()
        digest.update(f"\0{path.relative_to(sources).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:32]


def prefer_compiled(home: Path) -> bool:
    """Have native code imported from now on, where it is there; whether it is.

    Call it before any of MODULES is imported, and where that is right for the whole process.
    """
    folder = folder_below(home)
    if not folder.is_dir():
        return False
    sys.meta_path.insert(0, _Finder(folder))
    return True


def is_compiled() -> bool:
    """Whether this process prefers native code."""
    return any(isinstance(each, _Finder) for each in sys.meta_path)


def source_files() -> Iterator[Path]:
    """The sources of MODULES."""
    for name in MODULES:
        yield SOURCES.parent.joinpath(*name.split(".")).with_suffix(".py")
