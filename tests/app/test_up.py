"""`up`, `down`, `status` and `env`, as a person types them, with every part real."""

from __future__ import annotations

import io
import os
import signal
import socket
from collections.abc import Collection, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from ironworks.app import prerequisites, up
from ironworks.app.postgres import SYSTEM_STATE
from ironworks.app.progress import Progress
from ironworks.app.settings import Part, Settings, open_listener
from tests.support.installation import Installation, installation
from tests.support.supervisor import lives, until

PARTS = {"supervisor", "postgres", "api", "worker", "gateway"}


@pytest.fixture
def home(run_folder: Path) -> Path:
    """A folder that any user may reach; pytest's own is private."""
    return _reachable(run_folder)


def _reachable(run_folder: Path) -> Path:
    folder = run_folder / f"i{uuid4().hex[:8]}"
    folder.mkdir()
    folder.chmod(0o711)
    return folder / "home"


@pytest.fixture
def installed(home: Path) -> Iterator[Installation]:
    with installation(home) as found:
        yield found


@pytest.fixture(scope="module")
def first_start(run_folder: Path) -> Iterator[tuple[Installation, list[tuple[int, str]]]]:
    """An installation for all tests that need one, started by two commands at once; how they ended, and their words."""
    with installation(_reachable(run_folder)) as found:
        both = [found.start("up", "--no-demo") for _ in range(2)]
        said = ["".join(process.communicate(timeout=150)) for process in both]
        yield found, [(process.returncode, words) for process, words in zip(both, said, strict=True)]


@pytest.fixture
def running(first_start: tuple[Installation, object]) -> Installation:
    """The same, up again whatever a test has done to it."""
    installed, _ = first_start
    started = installed.run("up", "--no-demo")
    assert started.returncode == 0, started.stderr
    return installed


async def test_two_at_once_start_everything_once(first_start: tuple[Installation, list[tuple[int, str]]]) -> None:
    installed, ends = first_start
    assert [code for code, _ in ends] == [0, 0], ends
    assert sum("waiting for it" in words for _, words in ends) == 1
    names = [status.name for status in await installed.client.list()]
    assert sorted(names) == ["api", "gateway", "postgres", "worker"]


async def test_what_is_up_is_left_alone(running: Installation) -> None:
    parts = running.parts()
    assert set(parts) == PARTS
    assert {part["state"] for part in parts.values()} == {"ready"}
    assert all(lives(part["pid"]) for part in parts.values())

    again = running.run("up", "--no-demo")
    assert again.returncode == 0, again.stderr
    assert running.pids() == {name: part["pid"] for name, part in parts.items()}

    table = running.run("status")
    assert table.returncode == 0
    assert running.settings.api_url in table.stdout


async def test_it_survives_the_death_of_anything(running: Installation) -> None:
    before = running.pids()
    for name in ("postgres", "api", "worker", "gateway"):
        os.kill(_pid(before, name), signal.SIGKILL)
    await until(lambda: _all_ready_anew(running, before), within=60)

    # the supervisor's programs outlive it, and its successor takes them over
    healed = running.pids()
    os.kill(_pid(healed, "supervisor"), signal.SIGKILL)
    await until(lambda: not lives(healed["supervisor"]))
    orphans = running.parts()
    assert orphans["supervisor"]["state"] == "stopped"
    assert all(orphans[name]["pid"] == healed[name] for name in PARTS - {"supervisor"})
    assert running.run("up", "--no-demo").returncode == 0
    after = running.pids()
    assert {name: after[name] for name in PARTS - {"supervisor"}} == {
        name: healed[name] for name in PARTS - {"supervisor"}
    }

    # and when nobody takes them over, `down` ends them all the same
    os.kill(_pid(after, "supervisor"), signal.SIGKILL)
    await until(lambda: not lives(after["supervisor"]))
    assert running.run("down").returncode == 0
    assert not any(lives(pid) for pid in after.values())


async def test_its_end_leaves_nothing(running: Installation) -> None:
    parts = running.parts()
    down = running.run("down")
    assert down.returncode == 0, down.stderr
    assert running.processes() == []
    assert not any(lives(part["pid"]) for part in parts.values())
    stopped = running.run("status", "-o", "json")
    assert stopped.returncode == 3
    assert {part["state"] for part in running.parts().values()} == {"stopped"}

    assert running.run("down").returncode == 0
    assert running.run("down", "--purge").returncode == 0
    assert not running.home.exists()


def _pid(pids: dict[str, int | None], name: str) -> int:
    pid = pids[name]
    assert pid is not None
    return pid


def _all_ready_anew(installed: Installation, before: dict[str, int | None]) -> bool:
    parts = installed.parts()
    return all(
        parts[name]["state"] == "ready" and parts[name]["pid"] != before[name] for name in PARTS - {"supervisor"}
    )


async def test_a_taken_port_that_was_asked_for_is_an_error(home: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with installation(home, IRONWORKS_API_PORT=str(port)) as installed:
            refused = installed.run("up", "--no-demo")
    assert refused.returncode == 1
    assert refused.stderr == (
        f"ironworks: port {port} is taken by another program: set IRONWORKS_API_PORT to a free one\n"
    )


async def test_a_part_that_cannot_start_is_named_with_its_last_words(home: Path) -> None:
    with installation(home, IRONWORKS_MASTER_KEY="too short") as installed:
        failed = installed.run("up", "--no-demo")
    assert failed.returncode == 1
    assert "Traceback" not in failed.stderr
    assert len(failed.stderr.splitlines()) == 1


async def test_bad_settings_are_all_named_at_once(home: Path) -> None:
    with installation(home, IRONWORKS_API_PORT="high", IRONWORKS_LOG_LEVEL="loud") as installed:
        refused = installed.run("up")
        installed.environment.clear()
    assert refused.returncode == 1
    assert "IRONWORKS_API_PORT=high: must be a whole number from 1 to 65535" in refused.stderr
    assert "IRONWORKS_LOG_LEVEL=loud: must be one of debug, info, warning, error" in refused.stderr


async def test_env_before_up_says_what_to_do(home: Path) -> None:
    refused = Installation(home).run("env")
    assert refused.returncode == 1
    assert "run ironworks up first" in refused.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's database runs as another user")
async def test_root_with_a_home_that_others_cannot_reach(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with installation(tmp_path / "home") as installed:
        started = installed.run("up", "--no-demo")
        assert started.returncode == 0, started.stderr
        outside = SYSTEM_STATE / installed.settings.instance
        assert (outside / "postgres" / "data").exists()
        assert installed.run("down", "--purge").returncode == 0
        assert not outside.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
async def test_a_home_that_cannot_be_written_to(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    refused = Installation(tmp_path / "home").run("up")
    tmp_path.chmod(0o700)
    assert refused.returncode == 1
    assert "set IRONWORKS_HOME to a folder of yours" in refused.stderr


async def test_a_port_that_is_lost_at_the_last_moment_is_replaced(
    installed: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody's server answers where ours should: it is not taken for ours."""
    del installed.environment["IRONWORKS_POSTGRES_PORT"]
    thieves: list[socket.socket] = []

    def settle(settings: Settings, keep: Collection[Part] = ()) -> Settings:
        found = prerequisites.settle_ports(settings, keep)
        if not thieves:
            thieves.append(open_listener("127.0.0.1", found.ports["postgres"]))
        return found

    monkeypatch.setattr(up, "settle_ports", settle)
    settings = await up.start_everything(installed.settings, Progress(io.StringIO()), demo=False)
    lost = thieves[0].getsockname()[1]
    thieves[0].close()
    assert settings.ports["postgres"] != lost
    assert {part["state"] for part in installed.parts().values()} == {"ready"}
