"""One whole installation for the tests that leave it as they found it; those that do not make their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.site import EMBED, EMBEDDING_MODEL, Site, fresh_home
from tests.support.installation import installation


@pytest.fixture(scope="session")
def site(run_folder: Path) -> Iterator[Site]:
    """An installation with the demo's chat model and an embedding model; one per worker of a parallel run."""
    with installation(fresh_home(run_folder)) as installed:
        started = installed.run("up")
        assert started.returncode == 0, started.stdout + started.stderr
        found = Site(installed)
        found.endpoint(EMBED, EMBEDDING_MODEL)
        yield found
