"""Makes the pictures of docs/console-pages.md and that page: `images.py` runs the stories that look at every page.

The stories take a picture of each page in both themes before a real installation. Here they become small WebP files,
docs/images/console/NAME-THEME.webp, and the page shows each as its reader's system is, light or dark. What a story no
longer looks at is removed. Called by `make docs-images` with the development environment's Python.
"""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images" / "console"
PAGE = ROOT / "docs" / "console-pages.md"
FOLDER = "tests/e2e/installed"
TESTS = (
    f"{FOLDER}/test_pages.py",
    f"{FOLDER}/test_console.py::test_somebody_is_invited_comes_in_and_forgets_the_password",
)
STORIES = ("pages", "money-pages")
"""What looks at pages that have an address, in the order of the page that is made of them."""
WIDTH = 1_120
QUALITY = 50
MOST = 3 * 1024 * 1024
"""Bytes that all pictures together may have in the repository."""
ELSEWHERE = {
    "sign-in": "Signing in",
    "forgot": "A forgotten password",
    "link-iwp": "A mailed link: setting a new password",
    "link-iws": "A mailed link: verifying the address of a sign-up",
    "link-invitation": "A mailed link: accepting an invitation",
    "link-nothing": "A link that does not work",
    "palette": "The command palette",
    "scopes": "Switching scopes",
    "shortcuts": "Keyboard shortcuts",
    "notifications": "What happened while the page is open",
    "account": "One's own menu",
    "not-found": "What is not there, or not for this person",
    "lost": "A lost connection",
}
"""Pictures of what has no address, by the name that the story gives them."""
ID = re.compile(r"req_[0-9a-z]{26}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="ironworks-pictures-") as folder:
        shots = Path(folder)
        told = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS],
            cwd=ROOT,
            env={**os.environ, "CONSOLE_SHOTS": str(shots)},
        )
        if told.returncode:
            return told.returncode
        pages = [page for story in STORIES for page in json.loads((shots / f"{story}.json").read_text())]
        sizes = dict(compress(shots, [*ELSEWHERE, *(page["name"] for page in pages)]))
    if sum(sizes.values()) > MOST:
        sys.stderr.write(
            f"the pictures have {sum(sizes.values()):,} bytes, more than {MOST:,}: lower WIDTH or QUALITY\n"
        )
        return 1
    PAGE.write_text(text(pages))
    sys.stdout.write(f"{len(sizes)} pictures, {sum(sizes.values()) / 1024 / 1024:.1f} MB; {PAGE.relative_to(ROOT)}\n")
    return 0


def compress(shots: Path, names: list[str]) -> Iterator[tuple[str, int]]:
    """(file, bytes) of each picture, written in the place of those before."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    for former in IMAGES.glob("*.webp"):
        former.unlink()
    for name in names:
        for theme in ("light", "dark"):
            with Image.open(shots / f"{name}-{theme}.png") as taken:
                size = (WIDTH, round(taken.height * WIDTH / taken.width))
                picture = taken.convert("RGB").resize(size, Image.Resampling.LANCZOS)
            target = IMAGES / f"{name}-{theme}.webp"
            picture.save(target, quality=QUALITY, method=6)
            yield target.name, target.stat().st_size


def text(pages: list[dict[str, str]]) -> str:
    """The page: what has no address first, then each feature's pages under what its manifest says of it."""
    parts = [HEAD, "## Around every page\n"]
    parts += [shown(name, title) for name, title in ELSEWHERE.items()]
    features = manifests()
    for feature in dict.fromkeys(feature_of(page) for page in pages):
        manifest = features[feature]
        parts.append(f"## {manifest['display_name']}\n\n{manifest['description']}\n")
        parts += [shown(page["name"], titled(page)) for page in pages if feature_of(page) == feature]
    return "\n".join(parts)


def titled(page: Mapping[str, str]) -> str:
    """What a page is and its address; ids that mean something on one installation alone are left out."""
    title = ID.sub("", page["title"]).strip() or page["name"].replace("-", " ").capitalize()
    return f"{title}: `{ID.sub('…', page['path'])}`"


def feature_of(page: Mapping[str, str]) -> str:
    """`/s/demo.app.dev/keys?q=x` belongs to `keys`."""
    return page["path"].partition("?")[0].split("/")[3]


def manifests() -> dict[str, dict[str, Any]]:
    """Every feature's manifest by its id."""
    found = [json.loads(file.read_text()) for file in (ROOT / "web" / "src").glob("*/**/feature.json")]
    return {manifest["id"]: manifest for manifest in found}


def shown(name: str, title: str) -> str:
    """One picture with its title, as the reader's theme is."""
    alt = html.escape(title.replace("`", ""))
    at = f"images/console/{name}"
    return (
        f'**{title}**\n\n<picture><source media="(prefers-color-scheme: dark)" srcset="{at}-dark.webp">'
        f'<img src="{at}-light.webp" alt="{alt}" width="840"></picture>\n'
    )


HEAD = """# The console, page by page

Pictures of a real installation with its demo, taken by the stories that test the console (`make docs-images`). Your
browser shows those of the theme that your system has.
"""


if __name__ == "__main__":
    sys.exit(main())
