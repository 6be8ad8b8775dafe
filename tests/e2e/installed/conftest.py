"""One whole installation for each worker that runs tests of this folder, one after the other.

Stories and pages of the console take as long as all others together, so that each of these three may have a worker. All
leave the installation as they found it; a test that cannot makes one of its own, in the folder above.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.site import EMBED, EMBEDDING_MODEL, Site, fresh_home
from tests.support.browser import Stage, build_console, find_browser, pictures
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


@pytest.fixture(scope="session")
def dist() -> Path:
    """The console, built."""
    return build_console()


@pytest.fixture(scope="session")
def stage(site: Site, dist: Path) -> Stage:
    """A browser before the installation."""
    settings = site.installation.settings
    key = (settings.home / "credentials" / "operator-token").read_text().strip()
    return Stage(find_browser(), settings.api_url, key, pictures())
