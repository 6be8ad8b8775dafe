"""Features of the console, where they come from, and what a shell is told."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any, Final, Protocol

from ironworks.sdk import FeatureManifest
from ironworks.shared import telemetry
from ironworks.shared.errors import Conflict, NotFound, invalid
from ironworks.shared.ratelimit import RateLimiter

REGISTER: Final = "console-feature:register"
SWITCH: Final = "platform:update"
MAX_MODULE: Final = 900 * 1024
"""Bytes of a feature's module; a body of the API may have 1 MiB."""
MAX_FEATURES: Final = 200
MAX_SCOPES: Final = 500
"""Scopes that a shell is told at once; the search finds the others."""
REPORT_RATE: Final = 0.5
REPORT_BURST: Final = 30.0
"""Reports that one subject may send: one in two seconds, and thirty at once."""

log = telemetry.logger(__name__)


class UnknownFeature(NotFound):
    """Neither built in nor registered."""

    code = "UNKNOWN_FEATURE"

    def __init__(self, feature: str, known: Iterable[str]) -> None:
        names = ", ".join(sorted(known)) or "none"
        super().__init__(f"no feature {feature[:63]!r}; there are: {names}", feature=feature[:63])


class AlwaysThere(Conflict):
    """Without this feature people could not even change their password."""

    code = "FEATURE_ALWAYS_THERE"

    def __init__(self, feature: str) -> None:
        super().__init__(f"the feature {feature!r} is always there and cannot be switched off")


class BuiltFeatures(Protocol):
    """The console's build, which says what features are in it; `app.console.Build` is one."""

    def manifests(self) -> bytes:
        """A JSON array of manifests."""
        ...


@dataclass(frozen=True, slots=True)
class ShellKind:
    """A kind as navigation, lists and the palette need it; its schemas are in `GET /api/v1/kinds`."""

    name: str
    plural: str
    short: str
    description: str
    domain: str
    levels: tuple[str, ...]
    inherited: bool
    node: bool
    columns: tuple[str, ...]
    phases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShellTopic:
    """What the stream of changes tells besides kinds, and the permission that it takes."""

    name: str
    permission: str


@dataclass
class Shell:
    """What one API process tells every shell, and how often it listens to one.

    Args:
        services: what else of this installation pages may call, by its name, and at which address.
        mail: mails are sent; else they are files of the operator's.
    """

    version: str
    kinds: Sequence[ShellKind]
    topics: Sequence[ShellTopic]
    built: BuiltFeatures
    services: Mapping[str, str] = field(default_factory=dict)
    mail: bool = False
    reports: RateLimiter = field(default_factory=lambda: RateLimiter(REPORT_RATE, REPORT_BURST))

    def built_in(self) -> Mapping[str, FeatureManifest]:
        """The features of the build by their id; one that is no manifest is left out and logged."""
        return _parsed(self.built.manifests())


@lru_cache(maxsize=2)
def _parsed(content: bytes) -> Mapping[str, FeatureManifest]:
    found: dict[str, FeatureManifest] = {}
    try:
        documents = json.loads(content)
        for document in documents if isinstance(documents, list) else []:
            manifest = FeatureManifest.model_validate(document)
            found[manifest.id] = manifest
    except ValueError as problem:
        log.warning("the console's build names a feature that is none", error=str(problem))
    return found


@dataclass(frozen=True)
class Module:
    """The code of a feature: an ES module whose default export makes its definition from what the shell hands it."""

    content: bytes = field(repr=False)

    @cached_property
    def digest(self) -> str:
        """SHA-384 in hex, which names it in its address."""
        return hashlib.sha384(self.content).hexdigest()


@dataclass(frozen=True, slots=True)
class RegisteredFeature:
    """A feature that an operator added while the installation runs."""

    manifest: FeatureManifest
    digest: str
    registered_by: str
    registered_at: datetime

    @property
    def url(self) -> str:
        """Where browsers get its module."""
        return f"/console/features/{self.digest}/index.js"

    @property
    def integrity(self) -> str:
        """The same digest as browsers check it (Subresource Integrity)."""
        return integrity_of(self.digest)


@dataclass(frozen=True, slots=True)
class ShownFeature:
    """A feature as one platform has it. `registered`: None for what is built in."""

    manifest: FeatureManifest
    enabled: bool
    registered: RegisteredFeature | None


def integrity_of(digest: str) -> str:
    """`sha384-<base64>` of a digest in hex."""
    return "sha384-" + base64.b64encode(bytes.fromhex(digest)).decode()


def check_module(text: str, integrity: str | None) -> Module:
    """The module that a caller sends. Raises Invalid for one that is empty, too large, or not what he says it is."""
    module = Module(text.encode())
    if not 0 < len(module.content) <= MAX_MODULE:
        raise invalid("module", f"has {len(module.content)} bytes", f"send 1 to {MAX_MODULE}")
    if integrity is not None and integrity != integrity_of(module.digest):
        raise invalid("integrity", f"is not that of the module, {integrity_of(module.digest)}", "send both again")
    return module


def check_manifest(feature: str, manifest: FeatureManifest, built_in: Collection[str]) -> None:
    """Raises Invalid, Conflict for a manifest that cannot be registered under the name `feature`."""
    if manifest.id != feature:
        raise invalid("manifest.id", f"is {manifest.id!r}, the address says {feature!r}", "use one name")
    if manifest.always:
        raise invalid("manifest.always", "is for what is built in", "leave it out")
    if manifest.id in built_in:
        raise Conflict(f"the feature {feature!r} is built in: choose another id")


def show_features(
    built_in: Mapping[str, FeatureManifest],
    registered: Sequence[RegisteredFeature],
    switches: Mapping[str, bool],
) -> list[ShownFeature]:
    """Every feature, with whether the platform whose `switches` these are has it."""
    found = {feature.manifest.id: feature for feature in registered}
    manifests = {feature.manifest.id: feature.manifest for feature in registered} | dict(built_in)
    return [
        ShownFeature(
            manifest,
            manifest.always or switches.get(name, manifest.default_enabled),
            None if name in built_in else found[name],
        )
        for name, manifest in sorted(manifests.items())
    ]


def permissions_by_scope(grants: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Permission → the topmost scopes at which it is held, of grants as `iam.describe_caller` tells them."""
    held: dict[str, set[str]] = {}
    for grant in grants:
        for permission in grant["permissions"]:
            held.setdefault(permission, set()).add(grant["scope"])
    return {permission: _topmost(scopes) for permission, scopes in sorted(held.items())}


def _topmost(scopes: set[str]) -> list[str]:
    if "-" in scopes:
        return ["-"]
    return sorted(s for s in scopes if not any(s.startswith(f"{other}.") for other in scopes))
