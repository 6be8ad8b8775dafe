"""`make up` as a person meets it: the main job on a real model, once more, and nothing left of it in the end."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

import ironworks
from ironworks.app.postgres import reachable_by_others
from ironworks.app.settings import DEFAULT_PORTS
from tests.e2e.site import CHAT, TENANT, Site, fresh_home
from tests.support.installation import Installation, end, free_ports
from tests.support.supervisor import lives

pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def installed(run_folder: Path) -> Iterator[Installation]:
    """Nothing but a home, with a name that not every program takes."""
    found = Installation(fresh_home(run_folder, "Eisenhütte – 製鉄所"))
    yield found
    end(found)


@contextlib.contextmanager
def usual_ports_taken() -> Iterator[set[int]]:
    """Somebody else listens on every port that we would take, if nobody does already."""
    with contextlib.ExitStack() as held:
        for port in DEFAULT_PORTS.values():
            other = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                other.bind(("127.0.0.1", port))
                other.listen()
        yield set(DEFAULT_PORTS.values())


def test_the_main_job_twice_and_its_end(installed: Installation) -> None:
    with usual_ports_taken() as taken:
        first = installed.run("up")
        assert first.returncode == 0, first.stdout + first.stderr
        ports = {int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", first.stdout)}
        assert not ports & taken
        site = Site(installed)
        _tells_of_the_job(site, first.stdout)
        _status_and_environment(site)

        before = (site.versions(), installed.pids(), site.balance(), _credentials(installed))
        again = installed.run("up")
        assert again.returncode == 0, again.stdout + again.stderr
        assert (site.versions(), installed.pids(), site.balance(), _credentials(installed)) == before
        assert _facts(again.stdout) == _facts(first.stdout)

    pids, addresses = installed.pids(), [part["address"] for part in installed.parts().values()]
    assert installed.run("down").returncode == 0
    assert installed.processes() == []
    assert not any(lives(pid) for pid in pids.values())
    assert not any(_listens(address) for address in addresses)

    # what was there is there again
    assert installed.run("up").returncode == 0
    assert site.balance() == before[2]
    assert _credentials(installed) == before[3]

    assert installed.run("down", "--purge").returncode == 0
    assert installed.processes() == []
    assert not installed.home.exists()
    assert not installed.settings.sockets.exists()


def _facts(output: str) -> list[str]:
    """The part of `up`'s words that says what came of the job."""
    lines = output.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("  answer "))
    return lines[start:]


def _tells_of_the_job(site: Site, output: str) -> None:
    """The answer, its tokens, its cost down to the transfer, the addresses, and where the credentials are."""
    told = dict(line.split(None, 1) for line in _facts(output) if line.strip())
    assert told["answer"]
    request = re.search(r"billing explain (\S+)\)", told["cost"])
    assert request is not None
    chain = site.explain(request[1])
    used = {meter: n for meter, n in chain["usage"]["quantities"].items() if n}
    assert {word.split()[1]: int(word.split()[0]) for word in told["tokens"].split(", ")} == used
    assert told["cost"].startswith(f"{chain['total'][0]['amount']} USD")
    assert told["transfer"].startswith(f"{chain['transfers'][0]['id']}: {chain['transfers'][0]['moved']['amount']}")
    assert told["API"] == site.env["IRONWORKS_URL"]
    assert told["gateway"] == site.env["OPENAI_BASE_URL"]
    assert str(site.installation.settings.credentials) in told["credentials"]
    assert site.get("Endpoint", TENANT, CHAT)["status"]["phase"] == "Running"


def _status_and_environment(site: Site) -> None:
    parts = site.installation.parts()
    assert {"supervisor", "postgres", "api", "worker", "gateway"} < set(parts)
    assert sum(name.startswith("replica-") for name in parts) == 1
    assert all(part["state"] == "ready" and lives(part["pid"]) for part in parts.values())
    assert parts["api"]["address"] == site.env["IRONWORKS_URL"]
    assert set(site.env) == {"IRONWORKS_URL", "IRONWORKS_TOKEN", "OPENAI_BASE_URL", "OPENAI_API_KEY"}
    assert CHAT in {model["id"] for model in site.gateway().get("models").json()["data"]}
    for secret in site.installation.settings.credentials.iterdir():
        assert secret.stat().st_mode & 0o077 == 0, secret


def _credentials(installed: Installation) -> dict[str, str]:
    return {file.name: file.read_text() for file in installed.settings.credentials.iterdir()}


def _listens(address: str) -> bool:
    """Whether anybody takes a connection there."""
    place = re.search(r"127\.0\.0\.1:(\d+)", address)
    if place is None:
        return False
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(place[1]))) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="every other test runs as an ordinary user then")
def test_the_main_job_as_an_ordinary_user(run_folder: Path) -> None:
    """`nobody` has no home, may write nowhere but into his folder, and fetches the model himself."""
    nobody = pwd.getpwnam("nobody")
    place = run_folder / "nobody"
    place.mkdir()
    os.chown(place, nobody.pw_uid, nobody.pw_gid)
    environment = {"PYTHONPATH": _readable_path(run_folder), "HOME": str(place), "PYTHONDONTWRITEBYTECODE": "1"}
    installed = Installation(place / "home", {**environment, **free_ports()}, "nobody", _python_of(place))
    try:
        started = installed.run("up")
        assert started.returncode == 0, started.stdout + started.stderr
        assert "  cost " in started.stdout
        owners = {Path(f"/proc/{pid}").stat().st_uid for pid in installed.processes()}
        assert owners == {nobody.pw_uid}
        assert {path.stat().st_uid for path in installed.home.iterdir()} == {nobody.pw_uid}
        assert installed.run("down", "--purge").returncode == 0
        assert installed.processes() == []
        assert not installed.home.exists()
    finally:
        end(installed)


def _python_of(place: Path) -> str:
    """A Python of our version that `nobody` may run: ours, or the system's where ours lies in a private folder."""
    system = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, system):
        with contextlib.suppress(OSError):
            subprocess.run(
                [python, "-c", ""], user="nobody", group=pwd.getpwnam("nobody").pw_gid, cwd=place, check=True
            )
            return python
    pytest.skip(f"nobody may run neither {sys.executable} nor {system}")


def _readable_path(run_folder: Path) -> str:
    """A PYTHONPATH with our code and what it needs, copied where others may not reach the original."""
    found = []
    for module in (ironworks, asyncpg):
        folder = Path(module.__path__[0]).parent
        if not reachable_by_others(folder / "x"):
            folder = Path(shutil.copytree(folder, run_folder / f"path-of-{module.__name__}", symlinks=True))
            folder.chmod(0o755)
        found.append(str(folder))
    return ":".join(found)
