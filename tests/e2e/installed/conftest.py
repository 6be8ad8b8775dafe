"""One whole installation for all tests in this folder, which run one after the other on one worker.

They leave it as they found it; a test that cannot makes one of its own, in the folder above.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.site import EMBED, EMBEDDING_MODEL, Site, fresh_home
from tests.support.installation import installation


@pytest.fixture(scope="session")
def site(run_folder: Path) -> Iterator[Site]:
    """An installation with the demo's chat model and an embedding model."""
    with installation(fresh_home(run_folder)) as installed:
        started = installed.run("up")
        assert started.returncode == 0, started.stdout + started.stderr
        found = Site(installed)
        found.endpoint(EMBED, EMBEDDING_MODEL)
        yield found
