"""Makes `.venv` hold exactly what `requirements/` pins, by hash, and the project itself: `install.py run|dev`.

Called by make with whatever `python3` there is, so it uses the standard library alone and can be read by older versions
(3.6), to be able to say what is missing. Two at once wait for each other; a crash half-way is mended by the next.
"""

import fcntl
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
SUPPORTED = ((3, 11), (3, 12), (3, 13))


def main(wanted):
    os.chdir(ROOT)
    use_supported_python()
    with open(os.path.join(ROOT, "requirements", "install.py")) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(stamp("dev")):
            wanted = "dev"  # holds all of `run`; a developer's tools stay
        if not works():
            create_venv()
        for name in ("run", "dev"):
            if os.path.exists(stamp(name)):
                os.remove(stamp(name))
        install(wanted)
        for name in ("run", "dev") if wanted == "dev" else ("run",):
            with open(stamp(name), "w"):
                pass
        with open(os.path.join(VENV, ".checkout"), "w") as file:
            file.write(ROOT)


def stamp(name):
    return os.path.join(VENV, "." + name)


def use_supported_python():
    """Go on under a Python that we support, if this is none."""
    if sys.version_info[:2] in SUPPORTED:
        return
    for minor in (13, 12, 11):
        other = shutil.which(f"python3.{minor}")
        if other and subprocess.call([other, "-c", ""], stderr=subprocess.DEVNULL) == 0:
            os.execv(other, [other, *sys.argv])
    fail(f"needs Python 3.11, 3.12 or 3.13, and python3 is {sys.version.split()[0]}: install one of them")


def works():
    """Whether .venv is whole and was made in this very folder (a moved one has wrong paths in it)."""
    try:
        with open(os.path.join(VENV, ".checkout")) as file:
            here = file.read() == ROOT
    except OSError:
        here = not os.path.exists(stamp("run")) and os.path.exists(PYTHON)
    return here and subprocess.call([PYTHON, "-m", "pip", "--version"], stdout=subprocess.DEVNULL) == 0


def create_venv():
    say(f"creating .venv with Python {sys.version.split()[0]}")
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        fail(f"this Python cannot make environments: apt-get install python3.{sys.version_info[1]}-venv")
    run("cannot create .venv", [sys.executable, "-m", "venv", "--clear", VENV])


def install(wanted):
    say(f"installing what requirements/{wanted}.txt pins")
    offline = "no packages can be had: is there a network? PIP_INDEX_URL names another index"
    files = ["requirements/bootstrap.txt", f"requirements/{wanted}.txt"]
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    uv = [os.path.join(VENV, "bin", "uv"), "--quiet"]
    sync = ["pip", "sync", "--require-hashes", *files]
    run(offline, [*pip, "-r", files[0]])
    # uv is fast; where only pip knows the way out (its own certificates, its own index), pip does it all
    run(offline, [*uv, *sync], [*uv, "--system-certs", *sync], [*pip, "-r", files[0], "-r", files[1]])
    project = "pip install --offline --no-deps --no-build-isolation --editable ."
    run("cannot install the project itself", [*uv, *project.split()])


def run(problem, *commands):
    """Run the commands until one succeeds; where none does, the last one's last line is the reason."""
    environment = dict(os.environ, UV_PYTHON_DOWNLOADS="never", UV_NO_PROGRESS="1", VIRTUAL_ENV=VENV)
    for command in commands:
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True
        )
        output = process.communicate()[0]
        if process.returncode == 0:
            return
    reason = [line.strip() for line in output.splitlines() if line.strip()][-1:]
    fail(f"{problem} ({''.join(reason)})")


def say(text):
    sys.stdout.write(f"ironworks: {text}\n")
    sys.stdout.flush()


def fail(problem):
    sys.stderr.write(f"ironworks: {problem}\n")
    sys.exit(1)


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except KeyboardInterrupt:
        fail("interrupted; run it again to go on")
