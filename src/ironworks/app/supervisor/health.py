"""Health checks: does a program answer? Each is bounded in time and never raises."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

from ironworks.shared.supervision import HealthCheck


async def answers(check: HealthCheck, environment: Mapping[str, str]) -> bool:
    """Whether the program passes its check now. `environment` is for a check that is a command."""
    try:
        async with asyncio.timeout(check.timeout):
            if check.command:
                return await _command(check.command, environment)
            return await _connection(check.target)
    except (OSError, TimeoutError, ValueError):
        return False


async def _command(argv: tuple[str, ...], environment: Mapping[str, str]) -> bool:
    process = await asyncio.create_subprocess_exec(
        *argv,
        env=dict(environment),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        return await process.wait() == 0
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise


async def _connection(target: str) -> bool:
    url = urlsplit(target)
    if url.scheme == "unix":
        reader, writer = await asyncio.open_unix_connection(url.path)
    else:
        tls = _own_tls() if url.scheme == "https" else None
        reader, writer = await asyncio.open_connection(url.hostname, url.port, ssl=tls)
    try:
        if url.scheme not in ("http", "https"):
            return True
        path = url.path or "/"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {url.netloc}\r\nConnection: close\r\n\r\n".encode())
        status = (await reader.readline()).split()
        return len(status) >= 2 and status[1].startswith(b"2")
    finally:
        writer.close()


def _own_tls() -> ssl.SSLContext:
    """For a program of ours on this machine, whose certificate has another name than the address we probe."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
