"""The console in a real browser before a real installation; the stories are in web/e2e/stories."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from tests.e2e.site import Site
from tests.support.browser import Stage

pytestmark = pytest.mark.timeout(600)  # a first build installs what it needs
BUDGET = 200 * 1024


def test_shell_is_small(dist: Path) -> None:
    """What a first visit loads before any page: under 200 KB as it is sent, without fonts."""
    index = (dist / "index.html").read_text()
    first = re.findall(r'(?:src|href)="/(assets/[^"]+\.(?:js|css))"', index)
    sizes = {name: (dist / f"{name}.br").stat().st_size for name in first}
    assert first
    assert sum(sizes.values()) < BUDGET, sizes


def test_build_runs_no_inline_script(dist: Path) -> None:
    index = (dist / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=", index)
    assert not re.search(r'(?:src|href)="(?:https?:)?//', index)


def test_first_person_signs_in_and_finds_the_way(stage: Stage) -> None:
    stage.tell("sign-in")


def test_lists_are_live_and_heal(stage: Stage, site: Site) -> None:
    pid = site.installation.pids()["api"]
    stage.tell("live", IRONWORKS_API_PID=str(pid))


def test_documents_are_edited_and_deleted_with_care(stage: Stage) -> None:
    stage.tell("editing")


def test_viewer_is_offered_nothing_more(stage: Stage) -> None:
    stage.tell("viewer")


def test_keys_are_shown_once_and_stop(stage: Stage) -> None:
    stage.tell("keys")


def test_a_newcomer_comes_from_nothing_to_a_known_cost(stage: Stage) -> None:
    stage.tell("begin")


def test_from_signing_in_to_an_answer_to_its_ledger_entry(stage: Stage) -> None:
    stage.tell("first-answer")


def test_a_conversation_is_stopped_changed_and_had_with_two(stage: Stage) -> None:
    stage.tell("playground")


def test_a_route_is_made_serves_and_is_changed(stage: Stage) -> None:
    stage.tell("routing")


def test_from_usage_to_an_invoice_that_is_paid_and_a_plan_that_is_changed(stage: Stage) -> None:
    stage.tell("billing")


def test_a_payment_and_a_request_show_where_others_look_and_nobody_asks_for_nothing(stage: Stage) -> None:
    stage.tell("live-money")


def test_plans_prices_and_terms_are_offered_and_withdrawn(stage: Stage) -> None:
    stage.tell("offers")


def test_a_log_is_followed_searched_and_saved(stage: Stage) -> None:
    stage.tell("logs")


def test_usage_is_opened_narrowed_and_taken_along(stage: Stage) -> None:
    stage.tell("usage")


def test_a_budget_runs_out_is_raised_and_each_call_has_its_story(stage: Stage) -> None:
    stage.tell("budget")


def test_features_come_at_run_time_and_fail_alone(stage: Stage) -> None:
    stage.tell("features")


def test_what_one_sets_goes_along_and_sessions_end(stage: Stage) -> None:
    stage.tell("settings")


def test_members_come_get_a_role_and_go(stage: Stage) -> None:
    stage.tell("members")


def test_somebody_is_invited_comes_in_and_forgets_the_password(stage: Stage) -> None:
    stage.tell("invite")


def test_what_a_second_tenant_makes_never_reaches_the_first(stage: Stage) -> None:
    stage.tell("second-tenant")


async def test_a_dead_letter_is_looked_into_and_replayed(stage: Stage, site: Site) -> None:
    """The letter is written by hand, about an entry that asks nothing of its consumer; the replay is the worker's."""
    async with site.books() as database:
        await database.execute(
            "insert into shared.dead_letter (consumer, position, subject, scope, error, attempts)"
            " select 'tokenfactory.traces.forget_tenant', position, 'Tenant created', scope, 'ValueError: a trial', 5"
            " from shared.change_log where kind = 'Tenant' order by position limit 1"
        )
    await asyncio.to_thread(stage.tell, "system")
