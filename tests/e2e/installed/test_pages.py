"""How the console's pages look, and whom they shut out; the stories are in web/e2e/stories."""

from __future__ import annotations

import pytest

from tests.e2e.past import use_before
from tests.e2e.site import Site
from tests.support.browser import Stage

pytestmark = pytest.mark.timeout(600)  # a first build installs what it needs


def test_every_page_but_those_of_money_in_both_themes(stage: Stage, site: Site) -> None:
    if stage.shots is not None:
        use_before(site)  # a chart of nothing is no picture
    stage.tell("pages")


def test_every_page_of_money_in_both_themes(stage: Stage) -> None:
    stage.tell("money-pages")


def test_what_has_no_address_of_its_own_in_both_themes(stage: Stage) -> None:
    stage.tell("looks")
