"""`docs/settings.md` lists every variable that is read, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from ironworks.app.settings import DEFAULT_PORTS, VARIABLES

CHECKOUT = Path(__file__).parents[2]
PAGE = (CHECKOUT / "docs" / "settings.md").read_text()
CLIENTS = {"IRONWORKS_URL", "IRONWORKS_TOKEN"}


def test_the_page_lists_exactly_what_is_read() -> None:
    assert set(re.findall(r"^\| `(IRONWORKS_[A-Z_]+)` \|", PAGE, re.MULTILINE)) == set(VARIABLES)


def test_no_page_names_a_variable_that_nobody_reads() -> None:
    pages = [*(CHECKOUT / "docs").rglob("*.md"), *(CHECKOUT / "decisions").glob("*.md"), CHECKOUT / "README.md"]
    named = {name for page in pages for name in re.findall(r"IRONWORKS_[A-Z_]*[A-Z]", page.read_text())}
    assert named <= set(VARIABLES) | CLIENTS


def test_the_page_tells_the_default_ports() -> None:
    for port in DEFAULT_PORTS.values():
        assert str(port) in PAGE
