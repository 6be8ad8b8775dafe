"""Pages lead where they say, and say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ironworks.cli.session import _BY_STATUS

CHECKOUT = Path(__file__).parents[2]
PAGES = [
    *(CHECKOUT / "docs").rglob("*.md"), *(CHECKOUT / "decisions").glob("*.md"),
    CHECKOUT / "README.md", CHECKOUT / "CHANGELOG.md",
]  # fmt: skip
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """How headings are addressed: lower case, words joined by hyphens."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in _LINK.findall(page.read_text()):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_index_lists_every_page_and_decision() -> None:
    for folder in ("docs", "decisions"):
        index = (CHECKOUT / folder / "README.md").read_text()
        for page in (CHECKOUT / folder).glob("*.md"):
            assert page.name == "README.md" or f"({page.name})" in index, page.name


def test_statuses_and_exit_codes_are_those_of_the_command() -> None:
    page = (CHECKOUT / "docs" / "resources.md").read_text()
    rows = re.findall(r"^\| (\d{3}) \| .* \| (\d) \|$", page, re.MULTILINE)
    told = {int(status): int(code) for status, code in rows}
    assert told == {status: _BY_STATUS.get(status, 1) for status in told}
    assert set(_BY_STATUS) <= set(told)
