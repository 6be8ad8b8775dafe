"""The replica program: one GGUF model served by llama.cpp's own HTTP server, in this process.

    python -m ironworks.products.inference.engines.llamacpp --model FILE --port 7100 --alias smollm2

It listens only once the model is loaded, so "the port answers" means "it can serve". The bearer key arrives in the
environment, never on the command line, where any user of the machine could read it. On SIGTERM it lets running
requests finish, then leaves. A replica pays for everything this module imports, in start-up time and in memory, so it
imports nothing of Ironworks.

Exit codes: 2 wrong arguments, 3 the model cannot be loaded, 4 the port is taken.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Any

KEY_VARIABLE = "IRONWORKS_ENGINE_KEY"
EXIT_USAGE, EXIT_MODEL, EXIT_PORT = 2, 3, 4
HOST = "127.0.0.1"
DRAIN_POLL_S = 0.1
HTTP_THREADS = 64
"""A kept-alive connection holds one of the server's threads; too few, and health checks starve behind idle clients."""

TEXT_GENERATION, TEXT_EMBEDDING, TEXT_RERANK = "text-generation", "text-embedding", "text-rerank"
ONE_BATCH = (TEXT_EMBEDDING, TEXT_RERANK)
"""Tasks whose input is read at once: a text that does not fit into one batch cannot be served at all."""
DEFAULT_ARGS: dict[str, Any] = {"ctx_size": 0, "parallel": 4, "n_predict": 2048, "cache_ram_mib": 64}
_IN_FLIGHT = re.compile(r"^llamacpp:requests_(?:processing|deferred) (\d+)", re.M)

_CACHE_TYPES = {name: f"GGML_TYPE_{name.upper()}" for name in ("f32", "f16", "q8_0", "q4_0")}
_POOLING = {name: f"LLAMA_POOLING_TYPE_{name.upper()}" for name in ("none", "mean", "cls", "last", "rank")}
_FLASH_ATTENTION = {
    "auto": "LLAMA_FLASH_ATTN_TYPE_AUTO",
    "on": "LLAMA_FLASH_ATTN_TYPE_ENABLED",
    "off": "LLAMA_FLASH_ATTN_TYPE_DISABLED",
}
_PLAIN = {
    "ctx_size": "n_ctx",
    "batch_size": "n_batch",
    "ubatch_size": "n_ubatch",
    "parallel": "n_parallel",
    "n_predict": "n_predict",
    "chat_template": "chat_template",
    "cache_prompt": "cache_prompt",
    "cache_ram_mib": "cache_ram_mib",
    "rope_freq_base": "rope_freq_base",
    "rope_freq_scale": "rope_freq_scale",
}
_SAMPLING = {
    "seed": "seed",
    "temperature": "temp",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "repeat_penalty": "penalty_repeat",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM; returns the exit code."""
    options = _parse(argv)
    key = os.environ.pop(KEY_VARIABLE, "")
    if not key:
        return _give_up(EXIT_USAGE, f"set {KEY_VARIABLE}: without a key it would answer anybody on this machine")
    if problem := _port_problem(options.port):
        return _give_up(EXIT_PORT, problem)
    # busy-waiting OpenMP threads on busy cores are many times slower; read when the library is loaded
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        server = _load(options, key)
    except (RuntimeError, ValueError, TypeError, KeyError, AttributeError) as refusal:
        if problem := _port_problem(options.port):  # somebody else was quicker while the model was loading
            return _give_up(EXIT_PORT, problem)
        return _give_up(EXIT_MODEL, f"cannot serve {os.path.basename(options.model)}: {refusal}")
    sys.stdout.write(f"serving {options.alias} at {server.listening_address}\n")
    sys.stdout.flush()
    _wait_for_signal()
    _drain(server.handle_metrics, options.grace)
    sys.stdout.flush()
    sys.stderr.flush()
    # the server's threads hold references into the library: leave without unwinding them
    os._exit(0)


def _give_up(code: int, why: str) -> int:
    sys.stderr.write(f"{why}\n")
    return code


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="llamacpp", description="Serve one GGUF model on the loopback address.")
    parser.add_argument("--model", required=True, help="the GGUF file")
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--alias", required=True, help="the model's name in answers")
    parser.add_argument("--identity", default="", help="a second alias, by which a prober knows this very process")
    parser.add_argument("--task", default=TEXT_GENERATION, choices=(TEXT_GENERATION, *ONE_BATCH))
    parser.add_argument("--threads", type=int, default=0, help="0: one less than there are cores")
    parser.add_argument("--args", type=json.loads, default={}, help="engine arguments, a JSON object")
    parser.add_argument("--grace", type=float, default=20.0, help="seconds that running requests get after SIGTERM")
    return parser.parse_args(argv)


def _port_problem(port: int) -> str:
    """Why `port` cannot be had, or nothing. The server itself would share a port unnoticed."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as problem:
            what = "is taken" if problem.errno == errno.EADDRINUSE else f"cannot be bound: {problem.strerror}"
            return f"port {port} {what}"
    return ""


def _load(options: argparse.Namespace, key: str) -> Any:
    """The running server; it is ready when this returns. Raises RuntimeError when the model cannot be loaded."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = options.model
    params.model_alias = {name for name in (options.alias, options.identity) if name}
    params.hostnames, params.port, params.api_keys = [HOST], options.port, [key]
    params.n_threads_http = HTTP_THREADS
    params.ui = params.endpoint_slots = params.endpoint_props = False
    params.endpoint_metrics = True
    params.cors_origins, params.cors_credentials = "", False
    params.offline = True
    params.kv_unified = True
    threads = options.threads or max(1, (os.cpu_count() or 1) - 1)
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.embedding = options.task in ONE_BATCH
    if options.task == TEXT_RERANK:
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_RANK
    apply_args(xllamacpp, params, DEFAULT_ARGS | options.args)
    if options.task in ONE_BATCH:
        params.n_ubatch = params.n_batch
    return xllamacpp.Server(params)


def apply_args(library: Any, params: Any, args: Mapping[str, Any]) -> None:
    """Set engine arguments on llama.cpp's parameters. Raises ValueError for one that it does not know."""
    for name, value in args.items():
        if name in _PLAIN:
            setattr(params, _PLAIN[name], value)
        elif name in _SAMPLING:
            setattr(params.sampling, _SAMPLING[name], value)
        elif name in ("cache_type_k", "cache_type_v"):
            setattr(params, name, getattr(library.ggml_type, _CACHE_TYPES[value]))
        elif name == "pooling":
            params.pooling_type = getattr(library.llama_pooling_type, _POOLING[value])
        elif name == "flash_attention":
            params.flash_attn_type = getattr(library.llama_flash_attn_type, _FLASH_ATTENTION[value])
        else:
            raise ValueError(f"unknown engine argument {name!r}")


def _wait_for_signal() -> None:
    """Return on the first SIGTERM or SIGINT. Until here they ended the process at once: nothing was being served."""
    asked = False

    def ask(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        asked = True

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)
    while not asked:
        time.sleep(0.2)


def _drain(metrics: Callable[[], Any], grace: float) -> None:
    """Return when no request is running or waiting, or after `grace` seconds."""
    deadline = time.monotonic() + grace
    with contextlib.suppress(RuntimeError):
        while time.monotonic() < deadline:
            if not sum(int(n) for n in _IN_FLIGHT.findall(_text(metrics()))):
                return
            time.sleep(DRAIN_POLL_S)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


if __name__ == "__main__":
    sys.exit(main())
