"""SQL keeps to its own schema: a domain's tables are nobody else's business.

A domain's SQL, in `sql/*.sql` and in the strings of its Python modules, may name its own schema and `shared`. The one
exception are foreign keys, which `shared.create_kind_table` makes from the references that a Kind declares. `shared`
may name the functions behind its late-bound hooks, and no table.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path("src/ironworks")
HOOKS = frozenset(
    {
        "platform_iam.granted",
        "platform_iam.visible",
        "platform_tenancy.scope_open",
        "platform_registry.current_version",
        "platform_registry.enabled",
    }
)
"""Functions that `shared` calls late-bound, so that lower schemas need not exist for higher ones to be created."""

_KIND_TABLE = re.compile(r"shared\.create_kind_table\s*\((?:[^()']|'[^']*')*\)", re.S)
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.S)


def domains(package: Path = PACKAGE) -> dict[Path, str]:
    """Folder → Postgres schema of every domain, and of `shared`."""
    found = {package / "shared": "shared"}
    for pattern in ("platform/*", "products/*/*"):
        for folder in sorted(package.glob(pattern)):
            if (folder / "__init__.py").exists():
                found[folder] = "_".join(folder.parts[-2:])
    return found


def foreign_names(sql: str, own: str, schemas: set[str], allowed: frozenset[str] = frozenset()) -> list[str]:
    """What `sql` names in the schemas of other domains."""
    plain = _KIND_TABLE.sub("", _COMMENT.sub("", sql))
    others = "|".join(sorted(schemas - {own, "shared"}))
    found = re.findall(rf'(?<![\w.])(?:{others})"?\."?[a-z_]\w*', plain)
    return sorted({name.replace('"', "") for name in found} - allowed)


def problems(package: Path = PACKAGE) -> list[str]:
    """`file: name` for everything that another domain owns."""
    schemas = set(domains(package).values())
    found = []
    for folder, own in domains(package).items():
        allowed = HOOKS if own == "shared" else frozenset()
        for file in sorted([*folder.rglob("*.sql"), *folder.rglob("*.py")]):
            texts = [file.read_text()] if file.suffix == ".sql" else _strings(file)
            names = {name for text in texts for name in foreign_names(text, own, schemas, allowed)}
            found += [f"{file}: {name} is another domain's" for name in sorted(names)]
    return found


def _strings(file: Path) -> Iterator[str]:
    """The string constants of a module, without its documentation; an f-string is several."""
    tree = ast.parse(file.read_text())
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.value


def main() -> int:
    found = problems()
    for problem in found:
        print(problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
