"""The supervisor with real processes: it starts, heals, replaces, adopts, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ironworks.app.supervisor.process import marked
from ironworks.shared.supervision import (
    HealthCheck,
    Listen,
    ProgramSpec,
    ProgramStatus,
    SupervisorRefused,
    SupervisorUnavailable,
)
from tests.support.postgres import free_port
from tests.support.supervisor import SERVER, SupervisorUnderTest, lives, supervisor_under_test, until


@pytest.fixture
async def supervisor(tmp_path: Path) -> AsyncIterator[SupervisorUnderTest]:
    with supervisor_under_test(tmp_path) as found:
        await found.started()
        yield found


def sleeper(supervisor: SupervisorUnderTest, name: str = "sleeper", **changes: Any) -> ProgramSpec:
    return ProgramSpec(name=name, argv=("sleep", "1000"), log=supervisor.log(name), **changes)


def script(supervisor: SupervisorUnderTest, text: str, name: str = "script", **changes: Any) -> ProgramSpec:
    return ProgramSpec(name=name, argv=(sys.executable, "-c", text), log=supervisor.log(name), **changes)


def server(supervisor: SupervisorUnderTest, port: int, **changes: Any) -> ProgramSpec:
    health = HealthCheck(target=f"http://127.0.0.1:{port}/", interval=0.1)
    listen = (Listen("web", "127.0.0.1", port),)
    return script(supervisor, SERVER, name="server", listen=listen, health=health, **changes)


async def up(supervisor: SupervisorUnderTest, spec: ProgramSpec) -> ProgramStatus:
    await supervisor.client.ensure(spec)
    return await supervisor.client.wait_until_up(spec.name, within=60)


async def test_ensuring_twice_starts_one_process(supervisor: SupervisorUnderTest) -> None:
    first = await up(supervisor, sleeper(supervisor))
    second = await up(supervisor, sleeper(supervisor))
    assert first.pid == second.pid
    assert len(marked(supervisor.settings.instance)) == 1


async def test_another_definition_replaces_the_process(supervisor: SupervisorUnderTest) -> None:
    first = await up(supervisor, sleeper(supervisor))
    second = await up(supervisor, sleeper(supervisor, env={"COLOUR": "blue"}))
    assert first.pid != second.pid
    assert not lives(first.pid)
    assert lives(second.pid)


async def test_a_killed_program_comes_back(supervisor: SupervisorUnderTest) -> None:
    first = await up(supervisor, sleeper(supervisor))
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    await until(lambda: _restarted(supervisor, "sleeper"))
    again = await supervisor.client.wait_until_up("sleeper")
    assert again.pid != first.pid
    assert again.last_exit == "killed by SIGKILL"


async def _restarted(supervisor: SupervisorUnderTest, name: str) -> bool:
    status = await supervisor.client.get(name)
    return status is not None and status.restarts >= 1 and status.state == "ready"


async def test_a_program_that_keeps_failing_is_tried_ever_less_often(supervisor: SupervisorUnderTest) -> None:
    spec = script(supervisor, "import time; print(time.monotonic(), flush=True); raise SystemExit(3)", backoff=0.2)
    await supervisor.client.ensure(spec)
    await until(lambda: supervisor.log_text("script").count("\n") >= 5)
    times = [float(line) for line in supervisor.log_text("script").splitlines()[:5]]
    assert times[4] - times[3] > 2 * (times[1] - times[0])
    status = await supervisor.client.get("script")
    assert status is not None
    assert status.last_exit == "exit 3"


async def test_a_program_that_cannot_be_started_says_why(supervisor: SupervisorUnderTest) -> None:
    await supervisor.client.ensure(ProgramSpec("ghost", ("/no/such/program",), supervisor.log("ghost")))
    await until(lambda: _says(supervisor, "ghost", "No such file"))


async def _says(supervisor: SupervisorUnderTest, name: str, text: str) -> bool:
    status = await supervisor.client.get(name)
    return status is not None and status.state == "backoff" and text in status.message


@pytest.mark.parametrize(("code", "state"), [(0, "stopped"), (1, "failed")])
async def test_a_program_that_is_to_run_once_is_left_alone(
    supervisor: SupervisorUnderTest, code: int, state: str
) -> None:
    await supervisor.client.ensure(script(supervisor, f"raise SystemExit({code})", restart="never"))
    await until(lambda: _in_state(supervisor, "script", state))


async def _in_state(supervisor: SupervisorUnderTest, name: str, state: str) -> bool:
    status = await supervisor.client.get(name)
    return status is not None and status.state == state


async def test_removing_ends_grandchildren_that_fled_to_their_own_session(supervisor: SupervisorUnderTest) -> None:
    spec = script(
        supervisor,
        "import subprocess, time\n"
        "print(subprocess.Popen(['sleep', '1000'], start_new_session=True).pid, flush=True)\n"
        "time.sleep(1000)",
    )
    await up(supervisor, spec)
    await until(lambda: supervisor.log_text("script").endswith("\n"))
    grandchild = int(supervisor.log_text("script"))
    assert lives(grandchild)
    assert await supervisor.client.remove("script")
    assert not lives(grandchild)
    assert not await supervisor.client.remove("script")


async def test_a_program_that_ignores_the_request_to_end_is_killed(supervisor: SupervisorUnderTest) -> None:
    text = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(99)"
    )
    status = await up(supervisor, script(supervisor, text, grace=0.3))
    await until(lambda: "deaf" in supervisor.log_text("script"))
    await supervisor.client.remove("script")
    assert not lives(status.pid)


async def test_a_program_waits_for_those_it_comes_after(supervisor: SupervisorUnderTest, tmp_path: Path) -> None:
    sign = tmp_path / "sign"
    check = HealthCheck(command=("test", "-e", str(sign)), interval=0.1)
    await supervisor.client.ensure(sleeper(supervisor, "first", health=check))
    waiting = await supervisor.client.ensure(sleeper(supervisor, "second", after=("first",)))
    assert waiting.pid is None
    sign.touch()
    assert (await supervisor.client.wait_until_up("second")).pid is not None


async def test_a_program_that_stops_answering_is_restarted(supervisor: SupervisorUnderTest, tmp_path: Path) -> None:
    sign = tmp_path / "sign"
    sign.touch()
    check = HealthCheck(command=("test", "-e", str(sign)), interval=0.05, failures=3)
    first = await up(supervisor, sleeper(supervisor, health=check))
    sign.unlink()
    await until(lambda: not lives(first.pid))
    sign.touch()
    assert (await supervisor.client.wait_until_up("sleeper")).pid != first.pid


async def test_a_taken_port_is_told_to_whoever_asks(supervisor: SupervisorUnderTest) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(SupervisorRefused, match="is taken") as refusal:
            await supervisor.client.ensure(server(supervisor, other.getsockname()[1]))
    assert refusal.value.reason == "ADDRESS_IN_USE"
    assert await supervisor.client.list() == []


async def test_a_restart_refuses_no_connection(supervisor: SupervisorUnderTest) -> None:
    port = free_port()
    first = await up(supervisor, server(supervisor, port))
    answers: list[int] = []
    calling = asyncio.create_task(_call_for_ever(port, answers))
    await until(lambda: len(answers) > 20)
    second = await supervisor.client.restart("server")
    second = await supervisor.client.wait_until_up("server")
    await until(lambda: second.pid in answers or calling.done())
    assert not calling.done(), calling.exception()
    calling.cancel()
    assert set(answers) == {first.pid, second.pid}


async def _call_for_ever(port: int, answers: list[int]) -> None:
    """Every connection must be accepted; one cut off half-way is the server's own affair, so it asks again."""
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        body = b""
        with contextlib.suppress(ConnectionResetError):
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            body = (await reader.read()).rpartition(b"\r\n")[2]
        writer.close()
        if body:
            answers.append(int(body))


async def test_the_next_supervisor_adopts_what_a_killed_one_left(supervisor: SupervisorUnderTest) -> None:
    port = free_port()
    web = await up(supervisor, server(supervisor, port))
    plain = await up(supervisor, sleeper(supervisor))
    supervisor.kill()
    assert lives(web.pid)
    await supervisor.started()
    assert (await supervisor.client.wait_until_up("server")).pid == web.pid
    assert (await up(supervisor, sleeper(supervisor))).pid == plain.pid
    assert len(marked(supervisor.settings.instance)) == 2

    # an adopted program is minded like any other, and its listener survived with it
    assert web.pid is not None
    os.kill(web.pid, signal.SIGKILL)
    await until(lambda: _other_pid(supervisor, "server", web.pid))
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()


async def _other_pid(supervisor: SupervisorUnderTest, name: str, pid: int | None) -> bool:
    status = await supervisor.client.get(name)
    return status is not None and status.pid != pid and status.state == "ready"


async def test_a_supervisor_that_leaves_hands_its_programs_over(supervisor: SupervisorUnderTest) -> None:
    port = free_port()
    web = await up(supervisor, server(supervisor, port))
    await supervisor.client.leave()
    await until(lambda: supervisor.process is not None and supervisor.process.poll() == 0)
    assert lives(web.pid)
    await supervisor.started()
    assert (await supervisor.client.wait_until_up("server")).pid == web.pid
    replaced = await up(supervisor, server(supervisor, port, env={"COLOUR": "blue"}))
    assert replaced.pid != web.pid


async def test_what_died_with_the_supervisor_is_started_again(supervisor: SupervisorUnderTest) -> None:
    first = await up(supervisor, sleeper(supervisor))
    supervisor.kill()
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    await until(lambda: not lives(first.pid))
    await supervisor.started()
    again = await supervisor.client.wait_until_up("sleeper")
    assert again.pid != first.pid


async def test_a_process_that_was_never_recorded_is_killed_as_a_stray(supervisor: SupervisorUnderTest) -> None:
    stray = await up(supervisor, sleeper(supervisor))
    supervisor.kill()
    (supervisor.settings.run / "state.json").write_text('{"programs": []}')
    await supervisor.started()
    await until(lambda: not lives(stray.pid))
    assert await supervisor.client.list() == []


async def test_shutting_down_stops_dependents_first_and_leaves_nothing(
    supervisor: SupervisorUnderTest, tmp_path: Path
) -> None:
    order = tmp_path / "order"
    text = (
        "import signal, sys, time\n"
        "def end(*_):\n"
        "    open(sys.argv[2], 'a').write(sys.argv[1] + '\\n'); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "print('armed', flush=True)\n"
        "time.sleep(1000)"
    )
    for name, after in (("database", ()), ("api", ("database",)), ("replica", ("api",))):
        argv = (sys.executable, "-c", text, name, str(order))
        await up(supervisor, ProgramSpec(name, argv, supervisor.log(name), after=after))
        await until(lambda name=name: "armed" in supervisor.log_text(name))
    await supervisor.client.shutdown()
    assert order.read_text().split() == ["replica", "api", "database"]
    assert marked(supervisor.settings.instance) == []
    assert supervisor.process is not None
    await until(lambda: supervisor.process is not None and supervisor.process.poll() == 0)
    with pytest.raises(SupervisorUnavailable):
        await supervisor.client.list()


async def test_a_second_supervisor_refuses_to_start(supervisor: SupervisorUnderTest) -> None:
    first, supervisor.process = supervisor.process, None
    supervisor.start()
    assert supervisor.process is not None
    assert supervisor.process.wait(20) == 1
    supervisor.process = first
    assert await supervisor.client.list() == []


async def test_a_log_is_rotated_while_its_program_writes(supervisor: SupervisorUnderTest) -> None:
    text = "import time\nwhile True: print('x' * 1000, flush=True); time.sleep(0.002)"
    status = await up(supervisor, script(supervisor, text, log_bytes=100_000, log_files=2))
    rotated = Path(status.log + ".1")
    await until(rotated.exists)
    assert rotated.stat().st_size > 100_000
    assert Path(status.log).stat().st_size < rotated.stat().st_size
    assert lives(status.pid)


async def test_nonsense_on_the_socket_is_answered_and_harms_nothing(supervisor: SupervisorUnderTest) -> None:
    reader, writer = await asyncio.open_unix_connection(str(supervisor.settings.control_socket))
    for line in (b"not json\n", b'{"op": "fly"}\n', b'{"op": "ensure", "program": {"name": 3}}\n', b"[]\n"):
        writer.write(line)
        assert b'"code": "INVALID"' in await reader.readline()
    writer.close()
    assert await supervisor.client.list() == []


async def test_only_its_owner_may_talk_to_it(supervisor: SupervisorUnderTest) -> None:
    assert supervisor.settings.control_socket.stat().st_mode & 0o777 == 0o600
    await supervisor.client.ensure(sleeper(supervisor))
    assert (supervisor.settings.run / "state.json").stat().st_mode & 0o777 == 0o600
