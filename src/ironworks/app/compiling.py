"""`python -m ironworks.app compile`: makes native code of the gateway's hot modules, by mypyc and a C compiler.

Takes about two minutes. The result appears whole or not at all, under the name of what it was made from; a gateway that
starts afterwards uses it. Building is a program of its own (`python -m ironworks.app.compiling WORK`), since setuptools
and mypyc write to standard output and exit as they like.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ironworks.app.compiled import GROUP, SOURCES, folder_below, source_files
from ironworks.app.prerequisites import CannotRun, plainly
from ironworks.app.progress import Progress

LOG: Final = "build.log"
_FLAGS: Final = "-fvisibility=hidden -fno-semantic-interposition -fno-plt"
"""For gcc and clang: nobody but Python calls into the library, so its functions may call each other directly."""
_MYPY: Final = """[mypy]
plugins = pydantic.mypy
mypy_path = {root}
explicit_package_bases = true
namespace_packages = true
ignore_missing_imports = true
follow_imports = silent
cache_dir = {work}/cache
"""


async def compile_gateway(home: Path, progress: Progress) -> Path:
    """The folder of native code, made unless it is there; what other sources were compiled to is removed.

    Raises CannotRun where a tool is missing or fails.
    """
    _check_tools()
    folder = folder_below(home)
    if folder.is_dir():
        progress.say(f"  compile      there already: {folder}")
        return folder
    with plainly():
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
    try:
        async with progress.step("compile") as step:
            await _build(work, folder.parent / LOG)
            if folder_below(home) != folder:
                raise CannotRun("the sources were changed while they were compiled: try again")
            (work / "out").rename(folder)
            step.outcome = str(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    for other in folder.parent.iterdir():
        if other.is_dir() and other != folder and not other.name.startswith("."):
            shutil.rmtree(other, ignore_errors=True)
    return folder


def _check_tools() -> None:
    missing = [name for name in ("mypyc", "setuptools") if importlib.util.find_spec(name) is None]
    if missing:
        raise CannotRun(f"{' and '.join(missing)} cannot be imported: pip install 'ironworks[compile]'")
    compiler = os.environ.get("CC", "cc").split()[0]
    if shutil.which(compiler) is None:
        raise CannotRun(f"there is no C compiler {compiler!r}: install one (apt-get install gcc), or set CC")


async def _build(work: Path, log: Path) -> None:
    with log.open("wb") as out:
        command = [sys.executable, "-m", "ironworks.app.compiling", str(work)]
        build = await asyncio.create_subprocess_exec(*command, cwd=work, stdout=out, stderr=out)
        try:
            status = await build.wait()
        finally:
            if build.returncode is None:
                build.kill()
    if status:
        raise CannotRun(f"the gateway cannot be compiled: {log} says why (it needs Python's headers, python3-dev)")


def build(work: Path) -> None:
    """Compile into `work`/out; exits the process where that cannot be."""
    mypycify: Callable[..., Any] = importlib.import_module("mypyc.build").mypycify
    setup: Callable[..., Any] = importlib.import_module("setuptools").setup
    config = work / "mypy.ini"
    config.write_text(_MYPY.format(root=SOURCES.parent, work=work))
    files = [f"--config-file={config}", *map(str, source_files())]
    os.environ["CFLAGS"] = f"{_FLAGS} {os.environ.get('CFLAGS', '')}"
    extensions = mypycify(files, opt_level="2", debug_level="0", target_dir=str(work / "c"), group_name=GROUP)
    where = ["--build-lib", str(work / "out"), "--build-temp", str(work / "objects")]
    setup(name=GROUP, ext_modules=extensions, script_args=["build_ext", *where])


if __name__ == "__main__":
    build(Path(sys.argv[1]))
