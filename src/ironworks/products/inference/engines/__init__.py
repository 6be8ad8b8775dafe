"""Engines: the inference servers there are, their versions, and what an endpoint may set on each.

Owns: the kind Engine; the check of engine arguments; the program that serves a model with llama.cpp (`llamacpp`).
Never: starts a program (a cluster does), or lets an engine declare a command of its own.
Invariants:
  - an argument that the version's schema does not list reaches no engine;
  - a replica program serves nobody without a key, and listens on the loopback address only.

The program `llamacpp` is started once per replica and lives in this package, so names are imported when they are first
asked for: it must not pay for a web framework's worth of modules that it never uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ironworks.products.inference.engines.declarations import builtins
    from ironworks.products.inference.engines.model import (
        ENGINE,
        Engine,
        EngineVersion,
        EngineVersionNotFound,
        choose_version,
    )

__all__ = ["ENGINE", "Engine", "EngineVersion", "EngineVersionNotFound", "builtins", "choose_version"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ironworks.products.inference.engines import declarations, model

    return getattr(declarations if name == "builtins" else model, name)
