"""All settings, read once at start from the environment; nothing else in the project looks at it.

`VARIABLES` is the whole list, with what each means. A local run needs none of them: the ports it found free are
remembered under `run/ports.json` and passwords are generated under `credentials/`.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlsplit

from ironworks.app import variables
from ironworks.app.variables import Encoding
from ironworks.shared.supervision import LISTEN_FDS

Role = Literal["api", "worker", "gateway"]
Part = Literal["api", "gateway", "postgres", "replicas"]
CONSOLE = Path(__file__).resolve().parents[3] / "web" / "dist"
"""Where `make console` puts what it builds."""

VARIABLES: Mapping[str, str] = {
    "IRONWORKS_HOME": "folder with all state of a local run (default: .ironworks in the current folder)",
    "IRONWORKS_HOST": "address that the API and the gateway listen on (127.0.0.1)",
    "IRONWORKS_API_PORT": "port of the API (7070, or the next free one)",
    "IRONWORKS_GATEWAY_PORT": "port of the gateway (7080, or the next free one)",
    "IRONWORKS_POSTGRES_PORT": "port of the embedded Postgres (7054, or the next free one)",
    "IRONWORKS_REPLICA_PORT": "first port for local model replicas (7100)",
    "IRONWORKS_GATEWAYS": "number of gateway processes that share the gateway's port (1)",
    "IRONWORKS_RESPONSE_DAYS": "days for which a stored response is kept (30)",
    "IRONWORKS_API_URL": "how clients reach the API, where that is not http://HOST:API_PORT",
    "IRONWORKS_GATEWAY_URL": "how clients reach the gateway, where that is not http://HOST:GATEWAY_PORT",
    "IRONWORKS_GATEWAY_TLS_CERT": "PEM file of the certificate that the gateway shows callers; without it TLS is off",
    "IRONWORKS_GATEWAY_TLS_KEY": "PEM file of its key, not encrypted",
    "IRONWORKS_GATEWAY_CORS_ORIGINS": "origins whose pages may call the gateway, besides the console's; * for all; off",
    "IRONWORKS_DATABASE_URL": "a Postgres of your own, not the embedded one; as its administrator, for migrations",
    "IRONWORKS_API_DATABASE_URL": "the database as the role ironworks_api (default: made from the above)",
    "IRONWORKS_WORKER_DATABASE_URL": "the database as the role ironworks_worker",
    "IRONWORKS_GATEWAY_DATABASE_URL": "the database as the role ironworks_gateway",
    "IRONWORKS_MASTER_KEY": "the master key itself, base64 of 32 bytes",
    "IRONWORKS_MASTER_KEY_COMMAND": "a command that prints the master key",
    "IRONWORKS_MASTER_KEY_FILE": "a file that holds the master key (credentials/master.key)",
    "IRONWORKS_SMTP_URL": "smtp://user:password@host:587 or smtps://…:465; without it mails become files under mail/",
    "IRONWORKS_MAIL_FROM": "sender of our mails (ironworks@localhost)",
    "IRONWORKS_OIDC_ISSUER": "an OpenID provider that people may sign in by, as it calls itself: https://…; off",
    "IRONWORKS_OIDC_CLIENT_ID": "what the provider calls us",
    "IRONWORKS_OIDC_CLIENT_SECRET_FILE": "a file that holds the client's secret; without it we are a public client",
    "IRONWORKS_OIDC_LABEL": "what people read on the button (the issuer's host)",
    "IRONWORKS_STRIPE_KEY": "Stripe's secret key; without it invoices are paid by hand",
    "IRONWORKS_STRIPE_WEBHOOK_SECRET": "what Stripe signs webhooks with; two with a comma while one replaces another",
    "IRONWORKS_STRIPE_URL": "Stripe's API, where that is not https://api.stripe.com",
    "IRONWORKS_NATS_URL": "a NATS server to relay events to; off without it",
    "IRONWORKS_PRIVATE_UPSTREAMS": "networks that are not public and may be called as external endpoints: CIDRs or all",
    "IRONWORKS_GATEWAY_ACCESS_LOG": "one JSON line for each request: a file's path, - for standard output, or off",
    "IRONWORKS_OTLP_ENDPOINT": "an OpenTelemetry collector's base URL (OTLP over HTTP) for the gateway's traces; off",
    "IRONWORKS_OTLP_HEADERS": "headers for the collector: name=value,name=value",
    "IRONWORKS_OTLP_PROTOCOL": "what the collector takes: http/json or http/protobuf (http/json)",
    "IRONWORKS_OTLP_SAMPLE": "percent of the traces that begin at the gateway which are exported (10)",
    "IRONWORKS_CONSOLE": "folder with the built console that the API serves (web/dist in the checkout)",
    "IRONWORKS_API_RATE": "requests a second that one subject may make of the API; twice as many at once (200)",
    "IRONWORKS_LOG_LEVEL": "debug, info, warning or error (info)",
}
"""Every variable we read, but for LISTEN_FDS, which is the supervisor's word to its programs."""

DEFAULT_PORTS: Mapping[Part, int] = {"api": 7070, "gateway": 7080, "postgres": 7054, "replicas": 7100}
_PORT_VARIABLES: Mapping[Part, str] = {
    "api": "IRONWORKS_API_PORT",
    "gateway": "IRONWORKS_GATEWAY_PORT",
    "postgres": "IRONWORKS_POSTGRES_PORT",
    "replicas": "IRONWORKS_REPLICA_PORT",
}
_LOG_LEVELS = ("debug", "info", "warning", "error")


class SettingsProblem(ValueError):
    """Values in the environment that cannot be; the message names them all."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment and a local run's remembered ports say."""

    home: Path
    host: str = "127.0.0.1"
    ports: Mapping[Part, int] = field(default_factory=lambda: dict(DEFAULT_PORTS))
    fixed_ports: frozenset[Part] = frozenset()
    """Parts whose port the environment names: taken means an error, not the next one."""
    gateways: int = 1
    api_address: str | None = None
    gateway_address: str | None = None
    admin_database_url: str | None = None
    role_database_urls: Mapping[str, str] = field(default_factory=dict)
    master_key: str | None = None
    master_key_command: str | None = None
    master_key_path: Path | None = None
    smtp_url: str | None = None
    mail_from: str = "ironworks@localhost"
    oidc: tuple[str, str] | None = None
    """The OpenID provider's issuer and our client id there."""
    oidc_secret_file: Path | None = None
    oidc_label: str = ""
    stripe_key: str | None = field(default=None, repr=False)
    stripe_webhook_secrets: tuple[str, ...] = field(default=(), repr=False)
    stripe_url: str | None = None
    nats_url: str | None = None
    private_upstreams: tuple[str, ...] = ()
    """Networks in CIDR notation, or the word `all`."""
    gateway_tls: tuple[Path, Path] | None = None
    """Certificate and key by which the gateway's callers are spoken to over TLS."""
    cors_origins: tuple[str, ...] | None = ()
    """Whose pages may call the gateway besides the console's; None: nobody's, not even those."""
    response_days: int = 30
    """How long a response is kept that its caller asked to store."""
    access_log: str = "off"
    console: Path = CONSOLE
    otlp_endpoint: str | None = None
    otlp_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    otlp_encoding: Encoding = "http/json"
    otlp_sample: float = 0.1
    api_rate: int = 200
    log_level: str = "info"
    listen_fds: Mapping[str, int] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    """The variables of ours that were set, to hand on to the parts."""
    inherited: Mapping[str, str] = field(default_factory=dict)
    """The rest of the environment (PATH, HOME, …), for the programs we start."""

    @property
    def embedded(self) -> bool:
        """Whether we run Postgres ourselves."""
        return self.admin_database_url is None

    @property
    def api_url(self) -> str:
        return self.api_address or self.local_url(self.ports["api"])

    @property
    def gateway_url(self) -> str:
        return self.gateway_address or self.local_url(self.ports["gateway"], self.gateway_scheme)

    @property
    def gateway_scheme(self) -> str:
        return "https" if self.gateway_tls else "http"

    @property
    def gateway_origins(self) -> frozenset[str]:
        """The origins whose pages may call the gateway, the console's among them, as browsers write them."""
        if self.cors_origins is None:
            return frozenset()
        console = variables.origin_of(self.api_url)
        found = {console, *self.cors_origins}
        if urlsplit(console).hostname == "127.0.0.1":  # many people write this machine's address in the other way
            found.add(console.replace("127.0.0.1", "localhost"))
        return frozenset(found)

    def local_url(self, port: int, scheme: str = "http") -> str:
        """How a client on this machine reaches a part of ours."""
        return f"{scheme}://{_url_host(self.host)}:{port}"

    @property
    def instance(self) -> str:
        """A short name for this home, the same for every spelling of its path."""
        return hashlib.sha256(str(self.home.resolve()).encode()).hexdigest()[:12]

    @property
    def sockets(self) -> Path:
        """A short private folder: a Unix socket's path may have 107 bytes, a checkout's may have more."""
        return Path("/tmp") / f"ironworks-{os.geteuid()}-{self.instance}"  # noqa: S108 - checked by `private_folder`

    @property
    def control_socket(self) -> Path:
        """Where the supervisor listens."""
        return self.sockets / "control"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def run(self) -> Path:
        return self.home / "run"

    @property
    def credentials(self) -> Path:
        return self.home / "credentials"

    @property
    def master_key_file(self) -> Path:
        return self.master_key_path or self.credentials / "master.key"

    @property
    def objects(self) -> Path:
        return self.home / "objects"

    @property
    def spool(self) -> Path:
        return self.home / "spool"

    @property
    def mail(self) -> Path:
        return self.home / "mail"

    @property
    def models(self) -> Path:
        return self.home / "models"

    def admin_url(self) -> str:
        """The database as its administrator, for migrations alone. Raises FileNotFoundError before `ironworks up`."""
        return self.admin_database_url or self._embedded_url("postgres", self.secret("database-postgres"))

    def database_url(self, role: Role) -> str:
        """The database as one of our login roles, which own nothing. Raises FileNotFoundError before `ironworks up`."""
        if role in self.role_database_urls:
            return self.role_database_urls[role]
        password = self.secret(f"database-{role}")
        if self.admin_database_url is not None:
            return with_login(self.admin_database_url, f"ironworks_{role}", password)
        return self._embedded_url(f"ironworks_{role}", password)

    def _embedded_url(self, user: str, password: str) -> str:
        return f"postgresql://{user}:{quote(password, safe='')}@127.0.0.1:{self.ports['postgres']}/ironworks"

    def secret(self, name: str) -> str:
        """What `credentials/<name>` holds. Raises FileNotFoundError."""
        return (self.credentials / name).read_text().strip()

    def listener(self, name: Literal["api", "gateway"]) -> socket.socket:
        """The listening socket of a part: inherited from the supervisor, else our own on the part's port.

        Raises OSError when the port is taken.
        """
        if name in self.listen_fds:
            inherited = socket.socket(fileno=self.listen_fds[name])
            inherited.setblocking(False)
            return inherited
        return open_listener(self.host, self.ports[name])


def open_listener(host: str, port: int, backlog: int = 2048) -> socket.socket:
    """Listen on exactly this port and share it with nobody: no SO_REUSEPORT. Raises OSError when it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections in TIME_WAIT are no reason
        listener.bind((host, port))
        listener.listen(backlog)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the environment. Raises SettingsProblem, naming every variable that is wrong and what would be right."""
    environ = os.environ if environ is None else environ
    ours = {name: environ[name] for name in VARIABLES if environ.get(name)}
    problems: list[str] = []
    home = Path(ours.get("IRONWORKS_HOME", ".ironworks")).expanduser().absolute()
    ports = {**DEFAULT_PORTS, **remembered_ports(home)}
    fixed: set[Part] = set()
    for part, variable in _PORT_VARIABLES.items():
        if variable in ours:
            ports[part] = variables.number(variable, ours[variable], 1, 65535, problems)
            fixed.add(part)
    log_level = ours.get("IRONWORKS_LOG_LEVEL", "info").lower()
    if log_level not in _LOG_LEVELS:
        problems.append(f"IRONWORKS_LOG_LEVEL={log_level}: must be one of {', '.join(_LOG_LEVELS)}")
    settings = Settings(
        home=home,
        host=ours.get("IRONWORKS_HOST", "127.0.0.1"),
        ports=ports,
        fixed_ports=frozenset(fixed),
        gateways=variables.number("IRONWORKS_GATEWAYS", ours.get("IRONWORKS_GATEWAYS", "1"), 1, 256, problems),
        api_address=variables.url("IRONWORKS_API_URL", ours, ("http", "https"), problems),
        gateway_address=variables.url("IRONWORKS_GATEWAY_URL", ours, ("http", "https"), problems),
        admin_database_url=variables.url("IRONWORKS_DATABASE_URL", ours, ("postgresql", "postgres"), problems),
        role_database_urls=variables.role_urls(ours, problems),
        master_key=ours.get("IRONWORKS_MASTER_KEY"),
        master_key_command=ours.get("IRONWORKS_MASTER_KEY_COMMAND"),
        master_key_path=Path(ours["IRONWORKS_MASTER_KEY_FILE"]) if "IRONWORKS_MASTER_KEY_FILE" in ours else None,
        smtp_url=variables.url("IRONWORKS_SMTP_URL", ours, ("smtp", "smtps"), problems),
        mail_from=ours.get("IRONWORKS_MAIL_FROM", "ironworks@localhost"),
        oidc=variables.openid_provider(ours, problems),
        oidc_secret_file=variables.file("IRONWORKS_OIDC_CLIENT_SECRET_FILE", ours, problems),
        oidc_label=ours.get("IRONWORKS_OIDC_LABEL", ""),
        stripe_key=ours.get("IRONWORKS_STRIPE_KEY"),
        stripe_webhook_secrets=tuple(
            filter(None, map(str.strip, ours.get("IRONWORKS_STRIPE_WEBHOOK_SECRET", "").split(",")))
        ),
        stripe_url=variables.url("IRONWORKS_STRIPE_URL", ours, ("http", "https"), problems),
        nats_url=variables.url("IRONWORKS_NATS_URL", ours, ("nats", "tls", "ws", "wss"), problems),
        private_upstreams=variables.networks("IRONWORKS_PRIVATE_UPSTREAMS", ours, problems),
        gateway_tls=variables.certificate("IRONWORKS_GATEWAY_TLS_CERT", "IRONWORKS_GATEWAY_TLS_KEY", ours, problems),
        cors_origins=variables.origins("IRONWORKS_GATEWAY_CORS_ORIGINS", ours, problems),
        response_days=variables.number(
            "IRONWORKS_RESPONSE_DAYS", ours.get("IRONWORKS_RESPONSE_DAYS", "30"), 1, 3650, problems
        ),
        access_log=ours.get("IRONWORKS_GATEWAY_ACCESS_LOG", "off"),
        otlp_endpoint=variables.url("IRONWORKS_OTLP_ENDPOINT", ours, ("http", "https"), problems),
        otlp_headers=variables.headers("IRONWORKS_OTLP_HEADERS", ours, problems),
        otlp_encoding=variables.encoding("IRONWORKS_OTLP_PROTOCOL", ours, problems),
        otlp_sample=variables.number("IRONWORKS_OTLP_SAMPLE", ours.get("IRONWORKS_OTLP_SAMPLE", "10"), 0, 100, problems)
        / 100,
        console=Path(ours["IRONWORKS_CONSOLE"]).expanduser().absolute() if "IRONWORKS_CONSOLE" in ours else CONSOLE,
        api_rate=variables.number("IRONWORKS_API_RATE", ours.get("IRONWORKS_API_RATE", "200"), 1, 1_000_000, problems),
        log_level=log_level,
        listen_fds=variables.listen_fds(environ.get(LISTEN_FDS, ""), problems),
        environment=ours,
        inherited={name: value for name, value in environ.items() if not name.startswith("IRONWORKS_")},
    )
    if problems:
        raise SettingsProblem("; ".join(problems))
    return settings


def remembered_ports(home: Path) -> dict[Part, int]:
    """The ports that an earlier `up` settled on; nothing where there was none."""
    try:
        stored = json.loads((home / "run" / "ports.json").read_text())
    except (OSError, ValueError):
        return {}
    return {part: stored[part] for part in DEFAULT_PORTS if isinstance(stored.get(part), int)}


def with_login(url: str, user: str, password: str) -> str:
    """The same database URL with another user."""
    parts = urlsplit(url)
    _, _, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{quote(user)}:{quote(password, safe='')}@{host}").geturl()


def private_folder(path: Path) -> Path:
    """Make `path` a folder that only we can write to, and be sure that it is.

    Raises SettingsProblem when somebody else made it first (it may lie in a folder that all may write to).
    """
    path.mkdir(mode=0o711, exist_ok=True)
    found = path.lstat()
    if path.is_symlink() or not path.is_dir() or found.st_uid != os.geteuid():
        raise SettingsProblem(f"{path} belongs to somebody else: remove it")
    path.chmod(0o711)
    return path


def _url_host(host: str) -> str:
    """Where a client on this machine finds a server that listens on `host`."""
    if host in ("0.0.0.0", "::"):  # noqa: S104
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
