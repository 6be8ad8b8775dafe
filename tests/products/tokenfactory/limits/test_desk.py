"""What passes a limit, what does not, and what is told about it."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ironworks.products.tokenfactory.limits import Desk, Exceeded, Grant
from ironworks.products.tokenfactory.limits.table import FILE
from tests.products.tokenfactory.limits.views import KEY, MINUTE, SCOPE, SECOND, Clock, admitted, desk_with, limit, plan


def refusal(of: Callable[[], Grant]) -> Exceeded:
    with pytest.raises(Exceeded) as caught:
        of()
    return caught.value


# --- rates ------------------------------------------------------------------------------------------------------------


def test_a_rate_lets_its_burst_pass_and_then_its_pace(folder: Path, clock: Clock) -> None:
    desk = desk_with(folder, clock, limit(requests_per_minute=30, burst=5))
    of = plan(desk)
    assert admitted(desk, of, 20) == 5
    clock.wait(1.999)
    assert admitted(desk, of, 20) == 0
    clock.wait(0.001)
    assert admitted(desk, of, 20) == 1
    clock.wait(3600)
    assert admitted(desk, of, 20) == 5, "what is not used is lost"


@pytest.mark.parametrize(("rate", "unit"), [(7, "second"), (1, "second"), (61, "minute"), (999_999, "second")])
def test_without_a_burst_a_whole_window_may_come_at_once(folder: Path, clock: Clock, rate: int, unit: str) -> None:
    desk = desk_with(folder, clock, limit(**{f"requests_per_{unit}": rate}))
    of = plan(desk)
    assert admitted(desk, of, min(rate + 3, 2000)) == min(rate, 2000)


def test_every_limit_must_let_it_pass_and_a_refused_request_costs_nothing(folder: Path, clock: Clock) -> None:
    desk = desk_with(folder, clock, limit("", requests_per_minute=10), limit(requests_per_minute=4))
    of = plan(desk)
    assert admitted(desk, of, 50) == 4
    elsewhere = plan(desk, key=uuid4(), key_scope="acme.shop.us")
    assert admitted(desk, elsewhere, 50) == 6, "the 46 that the lower limit refused were not debited above"


def test_the_refusal_tells_whose_limit_and_when_to_come_again(folder: Path, clock: Clock) -> None:
    desk = desk_with(folder, clock, limit(requests_per_minute=2))
    of = plan(desk)
    assert admitted(desk, of, 2) == 2
    clock.wait(10)
    told = refusal(lambda: desk.admit(of, "chat", 1))
    assert (told.status, told.code, told.retry_after) == (429, "rate_limit_exceeded", 20)
    assert told.message == f"scope '{SCOPE}' may use 2 requests per minute; try again in 20 s"
    assert b"x-ratelimit-remaining-requests: 0\r\n" in told.headers
    assert desk.refused == {"rate_limit_exceeded": 1}


# --- tokens -----------------------------------------------------------------------------------------------------------


def test_input_counts_before_and_output_as_it_comes(folder: Path, clock: Clock) -> None:
    desk = desk_with(folder, clock, limit(tokens_per_minute=600))
    of = plan(desk)
    grant = desk.admit(of, "chat", 400)
    assert refusal(lambda: desk.admit(of, "chat", 201)).code == "rate_limit_exceeded"
    desk.admit(of, "chat", 200)
    for _ in range(300):
        grant.spend(1)
    desk.flush()
    clock.wait(20)
    assert admitted(desk, of, 1) == 0, "300 tokens of output are still to be made up for"
    clock.wait(10.2)
    assert admitted(desk, of, 1) == 1


def test_a_running_answer_may_overdraw_and_the_next_request_waits(folder: Path, clock: Clock) -> None:
    desk = desk_with(folder, clock, limit(tokens_per_minute=60))
    of = plan(desk)
    grant = desk.admit(of, "chat", 60)
    grant.spend(600)
    grant.release()
    told = refusal(lambda: desk.admit(of, "chat", 1))
    assert told.retry_after == 601
    clock.wait(600)
    assert admitted(desk, of, 1) == 0
    clock.wait(1)
    assert admitted(desk, of, 1) == 1


def test_too_high_an_estimate_is_given_back(folder: Path, clock: Clock) -> None:
    desk = desk_with(folder, clock, limit(tokens_per_minute=600))
    of = plan(desk)
    grant = desk.admit(of, "chat", 600)
    grant.correct(100)
    desk.flush()
    assert admitted(desk, of, 600) == 500


def test_too_low_an_estimate_is_debited_and_the_output_put_right(folder: Path, clock: Clock) -> None:
    desk = desk_with(folder, clock, limit(tokens_per_minute=600))
    of = plan(desk)
    grant = desk.admit(of, "chat", 10)
    grant.spend(50)
    desk.flush()
    grant.correct(100, 70)
    grant.release()
    assert admitted(desk, of, 1000) == 430


def test_what_has_drained_away_is_not_given_back(folder: Path, clock: Clock) -> None:
    desk = desk_with(folder, clock, limit(tokens_per_minute=600))
    of = plan(desk)
    first = desk.admit(of, "chat", 600)
    clock.wait(60)
    desk.admit(of, "chat", 600)
    first.correct(0)
    desk.flush()
    assert admitted(desk, of, 1) == 0, "the minute's worth was there again: giving back would make it two"


def test_a_request_that_could_never_pass_is_told_so(folder: Path, clock: Clock) -> None:
    desk = desk_with(folder, clock, limit(tokens_per_minute=600), limit(requests_per_minute=1))
    of = plan(desk)
    told = refusal(lambda: desk.admit(of, "chat", 601))
    assert (told.status, told.code, told.retry_after) == (413, "request_too_large_for_limit", None)


# --- concurrency ------------------------------------------------------------------------------------------------------


def test_concurrency_counts_what_is_in_flight(folder: Path, clock: Clock) -> None:
    desk = desk_with(folder, clock, limit(concurrency=2), limit(requests_per_minute=3))
    of = plan(desk)
    first, second = desk.admit(of, "chat", 1), desk.admit(of, "chat", 1)
    told = refusal(lambda: desk.admit(of, "chat", 1))
    assert (told.status, told.code, told.retry_after) == (429, "too_many_requests_in_flight", 1)
    first.release()
    first.release()
    desk.admit(of, "chat", 1)
    second.release()
    assert refusal(lambda: desk.admit(of, "chat", 1)).code == "rate_limit_exceeded", "three passed this minute"


def test_what_is_in_flight_is_known_to_another_process(folder: Path, clock: Clock) -> None:
    here, there = (desk_with(folder, clock, limit(name="one", concurrency=1)) for _ in range(2))
    held = here.admit(plan(here), "chat", 1)
    assert refusal(lambda: there.admit(plan(there), "chat", 1)).code == "too_many_requests_in_flight"
    held.release()
    there.admit(plan(there), "chat", 1)


def test_a_change_of_limits_forgets_nothing_in_flight(folder: Path, clock: Clock) -> None:
    desk = desk_with(folder, clock, limit(name="one", concurrency=1))
    of = plan(desk)
    held = desk.admit(of, "chat", 1)
    desk.replace([limit(name="one", concurrency=2), limit(requests_per_minute=100)])
    desk.admit(of, "chat", 1)
    assert refusal(lambda: desk.admit(of, "chat", 1)).code == "too_many_requests_in_flight"
    held.release()
    desk.admit(of, "chat", 1)


# --- models -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allowed", "passes"),
    [(None, True), ((), False), (("chat",), True), (("ch*",), True), (("other", "gpt-*"), False),
     ((f"{SCOPE}/*",), True), (("acme.shop.us/*",), False), (("CHAT",), False)],
)  # fmt: skip
def test_models_are_permitted_by_name_or_full_name(
    folder: Path, clock: Clock, allowed: tuple[str, ...] | None, passes: bool
) -> None:
    desk = desk_with(folder, clock, limit(allowed_models=allowed, concurrency=9))
    of = plan(desk)
    assert desk.permits(of) is passes
    if passes:
        desk.admit(of, "chat", 1)
    else:
        told = refusal(lambda: desk.admit(of, "chat", 1))
        assert (told.status, told.code) == (403, "model_not_permitted")


def test_a_limit_below_permits_no_more_than_one_above(folder: Path, clock: Clock) -> None:
    desk = desk_with(folder, clock, limit("acme", allowed_models=("gpt-*",)), limit(allowed_models=("*",)))
    assert not desk.permits(plan(desk))


# --- whom it applies to -----------------------------------------------------------------------------------------------


def test_no_limit_is_no_plan(folder: Path, clock: Clock) -> None:
    desk = desk_with(folder, clock, limit("acme.shop.us", concurrency=1), limit(key=uuid4(), concurrency=1))
    assert desk.plan(KEY, SCOPE, UUID(int=2), SCOPE, "chat") is None


@pytest.mark.parametrize(
    ("fields", "applies"),
    [
        ({"home": ""}, True),
        ({"home": "acme"}, True),
        ({"home": "acme", "scope": SCOPE}, True),
        ({"home": "acme", "scope": "acme.shop.us"}, False),
        ({"home": f"{SCOPE}.below"}, False),
        ({"home": "acme.shop.e"}, False),
        ({"key": KEY}, True),
        ({"home": "acme", "key": KEY}, True),
        ({"route": "chat"}, True),
        ({"route": "other"}, False),
        ({"home": "acme", "route": f"{SCOPE}/chat"}, True),
        ({"home": "acme", "route": "chat"}, False),
        ({"home": f"{SCOPE}.below", "route": "chat"}, False),
        ({"key": KEY, "route": "other"}, False),
    ],
)
def test_a_limit_applies_to_what_matches_all_it_names(
    folder: Path, clock: Clock, fields: dict[str, object], applies: bool
) -> None:
    home = str(fields.pop("home", SCOPE))
    desk = desk_with(folder, clock, limit(home, requests_per_minute=1, **fields))
    assert (desk.plan(KEY, SCOPE, UUID(int=2), SCOPE, "chat") is not None) is applies


def test_a_limit_on_ones_own_route_counts_callers_from_everywhere(folder: Path, clock: Clock) -> None:
    desk = desk_with(folder, clock, limit("acme", route="gpt", requests_per_minute=5))
    below = plan(desk, route_scope="acme", name="gpt")
    operators = plan(desk, key=uuid4(), key_scope="", route_scope="acme", name="gpt")
    assert admitted(desk, below, 3) == 3
    assert admitted(desk, operators, 9) == 2
    desk.replace([limit("acme", scope="acme", narrowed=True, route="gpt", requests_per_minute=5)])
    assert desk.plan(uuid4(), "", UUID(int=2), "acme", "gpt") is None, "unless a scope is named"


def test_a_limit_on_an_inherited_route_counts_only_ones_own(folder: Path, clock: Clock) -> None:
    desk = desk_with(folder, clock, limit(SCOPE, route="gpt", requests_per_minute=5))
    assert admitted(desk, plan(desk, route_scope="acme", name="gpt"), 9) == 5
    assert desk.plan(KEY, "acme.shop.us", UUID(int=2), "acme", "gpt") is None


@pytest.mark.parametrize(
    ("per", "cells"),
    [((), 1), (("tenant",), 2), (("key",), 3), (("route",), 2), (("key", "route"), 6), (("end_user",), 4)],
)
def test_counts_are_split_as_asked(folder: Path, clock: Clock, per: tuple[str, ...], cells: int) -> None:
    desk = desk_with(folder, clock, limit("acme", requests_per_minute=1, per=per))
    passed = 0
    for key, scope in ((1, "acme.shop.eu"), (2, "acme.shop.eu"), (3, "acme.shop.us")):
        for route in (1, 2):
            of = plan(desk, UUID(int=key), scope, UUID(int=10 + route), "acme", f"r{route}")
            passed += admitted(desk, of, 2, end_user="alice") + admitted(desk, of, 2, end_user="bob")
    assert passed == cells


def test_who_names_no_end_user_shares_a_count(folder: Path, clock: Clock) -> None:
    desk = desk_with(folder, clock, limit(requests_per_minute=2, per=("end_user",)))
    of = plan(desk)
    assert admitted(desk, of, 5) == 2
    assert admitted(desk, of, 5, end_user="") == 2, "an empty name is a name"


# --- across hosts -----------------------------------------------------------------------------------------------------


@given(
    hosts=st.integers(1, 5),
    rate=st.integers(1, 40),
    burst=st.integers(1, 40),
    steps=st.lists(st.tuples(st.integers(0, 4), st.floats(0, 3), st.integers(1, 8)), max_size=30),
)
@settings(max_examples=40, deadline=None)
def test_hosts_together_let_no_more_pass_than_the_bound(
    tmp_path_factory: pytest.TempPathFactory, hosts: int, rate: int, burst: int, steps: list[tuple[int, float, int]]
) -> None:
    """In any time: the limit, and one request per host where the burst has not one for each."""
    clock = Clock()
    began = clock.now
    desks = [
        desk_with(tmp_path_factory.mktemp("host"), clock, limit(name="one", requests_per_second=rate, burst=burst))
        for _ in range(hosts)
    ]
    for desk in desks:
        desk.share(hosts)
    passed = 0
    for host, wait, tries in steps:
        clock.wait(wait)
        passed += admitted(desks[host % hosts], plan(desks[host % hosts]), tries)
    elapsed = (clock.now - began) / SECOND
    assert passed <= max(burst, hosts) + rate * elapsed + 1e-6
    for desk in desks:
        desk.close()


def test_a_host_that_joins_adds_its_part_until_the_others_have_counted(folder: Path, tmp_path: Path) -> None:
    clock = Clock()
    one = desk_with(folder, clock, limit(name="one", requests_per_second=100))
    two = desk_with(tmp_path / "other", clock, limit(name="one", requests_per_second=100))
    two.share(2)
    assert admitted(one, plan(one), 999) + admitted(two, plan(two), 999) == 150
    one.share(2)
    clock.wait(1)
    assert admitted(one, plan(one), 999) + admitted(two, plan(two), 999) == 100


# --- headers ----------------------------------------------------------------------------------------------------------


def headers_of(lines: bytes) -> dict[str, list[str]]:
    assert lines.endswith(b"\r\n")
    found: dict[str, list[str]] = {}
    for line in lines.decode().splitlines():
        name, _, value = line.partition(": ")
        found.setdefault(name, []).append(value)
    return found


def test_headers_tell_of_the_tightest_limit(folder: Path, clock: Clock) -> None:
    views = (
        limit("", requests_per_minute=500, concurrency=10),
        limit(requests_per_second=4, tokens_per_minute=90_000),
        limit("acme", tokens_per_minute=1_000_000),
    )
    desk = desk_with(folder, clock, *views)
    told = headers_of(desk.admit(plan(desk), "chat", 15_000).headers())
    assert told["x-ratelimit-limit-requests"] == ["4"]
    assert told["x-ratelimit-remaining-requests"] == ["3"]
    assert told["x-ratelimit-reset-requests"] == ["250ms"]
    assert told["x-ratelimit-limit-tokens"] == ["90000"]
    assert told["x-ratelimit-remaining-tokens"] == ["75000"]
    assert told["x-ratelimit-reset-tokens"] == ["10s"]
    assert told["ratelimit"] == ['"requests-per-second";r=3;t=1', '"tokens-per-minute";r=75000;t=10']
    assert told["ratelimit-policy"] == [
        '"requests-per-minute";q=500;w=60, "concurrent-requests";q=10, "tokens-per-minute";q=1000000;w=60;qu="tokens", '
        '"requests-per-second";q=4;w=1, "tokens-per-minute";q=90000;w=60;qu="tokens"'
    ]


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(0, b"0ms"), (1, b"1ms"), (999 * 10**6, b"999ms"), (SECOND, b"1s"), (SECOND + 1, b"2s"), (6 * MINUTE, b"6m0s"),
     (3601 * SECOND, b"1h0m1s")],
)  # fmt: skip
def test_times_are_written_as_openai_does(nanoseconds: int, text: bytes) -> None:
    from ironworks.products.tokenfactory.limits.headers import duration

    assert duration(nanoseconds) == text


def test_concurrency_alone_has_a_policy_and_nothing_that_remains(folder: Path, clock: Clock) -> None:
    desk = desk_with(folder, clock, limit(concurrency=3))
    assert desk.admit(plan(desk), "chat", 1).headers() == b'ratelimit-policy: "concurrent-requests";q=3\r\n'


# --- the lock ---------------------------------------------------------------------------------------------------------


def is_locked(folder: Path) -> bool:
    with (folder / FILE).open("rb") as other:
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_who_is_alone_keeps_the_lock_for_a_turn_of_the_loop_and_no_longer(folder: Path, clock: Clock) -> None:
    turns: list[Callable[[], None]] = []
    desk = Desk(folder, lambda _, then: turns.append(then), clock, keeps=True)
    desk.replace([limit(requests_per_minute=3)])
    of = plan(desk)
    assert admitted(desk, of, 2) == 2
    assert len(turns) == 1
    assert is_locked(folder)
    turns.pop()()
    assert not is_locked(folder)
    assert admitted(desk, of, 2) == 1
    turns.pop()()

    other = desk_with(folder, clock)
    assert admitted(desk, of, 1) == 0
    assert not turns, "with two processes there, the lock is for one request"
    assert not is_locked(folder)
    other.close()
    desk.close()
