"""The same adapter against localstripe, which others made: customers, cards, events and their signatures.

It knows neither Checkout, nor payment methods of every type at once, nor PaymentIntents that are described and
confirmed off session; our own stand-in does.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlencode

import pytest

from ironworks.platform import payments
from ironworks.platform.payments.provider import ProviderRefused

KEY = "sk_test_local"
SECRET = "whsec_local"
_START = """
from localstripe import resources, server
type(resources.store).dump_to_disk = type(resources.store).try_load_from_disk = lambda self: None
server.start()
"""
"""It would keep its state in one file for all of a machine."""


@pytest.fixture(scope="module")
def localstripe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("localstripe")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-c", _START, "--port", str(port)], cwd=folder, stderr=subprocess.DEVNULL
    )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for(url)
        yield url
    finally:
        process.kill()
        process.wait(10)


def _wait_for(url: str) -> None:
    for _ in range(300):
        try:
            urllib.request.urlopen(f"{url}/js.stripe.com/v3/", timeout=5)
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("localstripe did not start")


def _post(address: str, /, **form: object) -> bytes:
    request = urllib.request.Request(address, urlencode(form).encode(), {"authorization": f"Bearer {KEY}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return bytes(answer.read())


async def test_customers_and_cards(localstripe: str) -> None:
    provider = payments.open_provider(payments.ProviderSecrets(KEY, (SECRET,), localstripe))
    customer = await provider.create_customer("acme", "key-1")
    card = {"type": "card", "card[number]": "4242424242424242", "card[exp_month]": 2, "card[exp_year]": 2032,
            "card[cvc]": "123"}  # fmt: skip
    made = json.loads(await asyncio.to_thread(_post, f"{localstripe}/v1/payment_methods", **card))
    await asyncio.to_thread(_post, f"{localstripe}/v1/payment_methods/{made['id']}/attach", customer=customer)
    await provider.set_default_method(customer, made["id"])
    await provider.forget_method(made["id"])
    await provider.forget_method(made["id"])
    with pytest.raises(ProviderRefused):
        await provider.list_methods("cus_nobody")


async def test_its_signed_events_are_taken(localstripe: str) -> None:
    heard: list[tuple[bytes, str]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            heard.append((body, self.headers["stripe-signature"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Hook)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/"
        await asyncio.to_thread(_post, f"{localstripe}/_config/webhooks/iron", url=url, secret=SECRET)
        provider = payments.open_provider(payments.ProviderSecrets(KEY, (SECRET,), localstripe))
        customer = await provider.create_customer("acme", "key-2")
        told: list[tuple[str, str]] = []
        for _ in range(100):
            told = [(n.type, n.object_id) for n in (provider.read_notice(*one) for one in heard)]
            if ("customer.created", customer) in told:
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"it told only of {told}")
    finally:
        server.shutdown()
