"""A small stateful Stripe on loopback: what our adapter uses of it, in the shapes that Stripe's SDK publishes.

Every request is checked against the SDK's parameter types and every answer against its resource types, both of which
Stripe generates from its OpenAPI document. Keys make repetitions answer alike, a PaymentIntent is paid at most once,
and events are kept for a test to deliver, in whatever order and however often it likes.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import json
import re
import sys
import threading
import time
import typing
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

import stripe
import stripe.checkout
import stripe.params
import stripe.params.checkout
import typing_extensions
import uvicorn
from pydantic import TypeAdapter
from pydantic_core import core_schema
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from stripe._stripe_object import UntypedStripeObject

KEY = "sk_test_ironworks"
SECRET = "whsec_ironworks"
Form = dict[str, Any]


class Refused(Exception):
    """An error as Stripe answers it."""

    def __init__(self, status: int, code: str, message: str = "refused", **more: Any) -> None:
        super().__init__(code)
        kind = "card_error" if status == 402 else "invalid_request_error"
        self.status = status
        self.body = {"error": {"type": kind, "code": code, "message": message, **more}}


class FakeStripe:
    """One Stripe account and its server. `moved` is every amount that a card paid, `calls` every request."""

    def __init__(self) -> None:
        self.url = ""
        self.reset()

    def reset(self) -> None:
        self._ids = itertools.count(1)
        self.things: dict[str, Form] = {}
        self.outcomes: dict[str, str] = {}
        self.keys: dict[str, tuple[str, int, Form]] = {}
        self.calls: list[tuple[str, str]] = []
        self.moved: list[tuple[str, int]] = []
        self.events: list[Form] = []
        self.lose_answers = 0
        self.fail_with: list[int] = []

    # --- what tests do as Stripe, banks and customers -----------------------------------------------------------------

    def add_card(self, customer: str, outcome: str = "succeeds", brand: str = "visa") -> str:
        """A card of the customer's; it `succeeds`, `declines`, is `processing`, or wants `authentication`."""
        card = {"brand": brand, "last4": "4242", "exp_month": 2, "exp_year": 2028, "checks": None, "country": "US",
                "funding": "credit", "generated_from": None, "networks": None, "three_d_secure_usage": None,
                "wallet": None, "display_brand": brand, "fingerprint": None, "regulated_status": None}  # fmt: skip
        billing = {"address": None, "email": None, "name": None, "phone": None, "tax_id": None}
        made = self._make("pm", "payment_method", type="card", card=card, customer=customer, billing_details=billing)
        self.outcomes[made["id"]] = outcome
        self._tell("payment_method.attached", made)
        return str(made["id"])

    def decide(self, intent: str, outcome: str) -> None:
        """A bank decides about a payment that was processing."""
        self._end(self.things[intent], outcome)

    def complete_checkout(self, session: str, outcome: str = "succeeds") -> str:
        """The customer leaves a card on the page."""
        page = self.things[session]
        card = self.add_card(page["customer"], outcome)
        page["status"] = "complete"
        self._tell("checkout.session.completed", page)
        return card

    def delete_customer(self, customer: str) -> None:
        """Somebody deletes him in the dashboard; his cards go with him."""
        for thing in list(self.things.values()):
            if thing["object"] == "payment_method" and thing["customer"] == customer:
                self.detach(thing["id"], {})
        self._tell("customer.deleted", self.things[customer])
        self.things[customer] = {"id": customer, "object": "customer", "deleted": True}

    def dispute(self, intent: str) -> None:
        self._tell("charge.dispute.created", {"id": "dp_1", "object": "dispute", "payment_intent": intent})

    def signed(self, event: Form, *, age: int = 0, secret: str = SECRET) -> tuple[bytes, str]:
        """An event as Stripe sends it: its body, and the Stripe-Signature header."""
        body = json.dumps(event, indent=2).encode()
        at = int(time.time()) - age
        proof = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
        return body, f"t={at},v1={proof}"

    # --- the API ------------------------------------------------------------------------------------------------------

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        body = await request.body()
        answer = self._answer(request, body)
        if self.lose_answers and request.method == "POST":
            self.lose_answers -= 1
            answer = Response(status_code=502)
        await answer(scope, receive, send)

    def _answer(self, request: Request, body: bytes) -> Response:
        path = request.url.path
        self.calls.append((request.method, path))
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return JSONResponse({"error": {"type": "invalid_request_error", "message": "Invalid API Key"}}, 401)
        if self.fail_with:
            return JSONResponse({"error": {"type": "api_error", "message": "trouble"}}, self.fail_with.pop(0))
        key = request.headers.get("idempotency-key")
        asked = f"{request.method} {path} {body.decode()}"
        if key in self.keys and request.method == "POST":
            before, status, kept = self.keys[key]
            if before != asked:
                return JSONResponse({"error": {"type": "idempotency_error", "message": "another request"}}, 400)
            return JSONResponse(kept, status)
        status, made = self._serve(request.method, path, _tree(body.decode() or request.url.query))
        if key is not None:
            self.keys[key] = (asked, status, made)
        return JSONResponse(made, status)

    def _serve(self, method: str, path: str, form: Form) -> tuple[int, Form]:
        try:
            for verb, pattern, handler, params in _ROUTES:
                if verb == method and (found := re.fullmatch(pattern, path)):
                    _check_form(params, form)
                    made: Form = json.loads(json.dumps(handler(self, *found.groups(), form)))
                    check_shape(made)
                    return 200, made
        except Refused as refused:
            return refused.status, refused.body
        raise AssertionError(f"the fake knows no {method} {path}")

    def _make(self, prefix: str, kind: str, **fields: Any) -> Form:
        made = {"id": f"{prefix}_{next(self._ids)}", "object": kind, "created": int(time.time()), "metadata": {},
                **fields}  # fmt: skip
        if kind != "refund":
            made["livemode"] = False
        self.things[made["id"]] = made
        return made

    def _find(self, name: str, param: str = "id") -> Form:
        found = self.things.get(name)
        if found is None or (found.get("deleted") and param != "id"):
            raise Refused(404, "resource_missing", f"No such object: {name}", param=param)
        return found

    def _tell(self, kind: str, about: Form) -> None:
        self.events.append(
            {
                "id": f"evt_{next(self._ids)}", "object": "event", "type": kind, "created": int(time.time()),
                "api_version": "2026-01-01", "livemode": False, "pending_webhooks": 1, "request": None,
                "data": {"object": json.loads(json.dumps(about))},
            }
        )  # fmt: skip

    def create_customer(self, form: Form) -> Form:
        return self._make(
            "cus", "customer", name=form.get("name"), metadata=form.get("metadata", {}), address=None, balance=0,
            default_source=None, description=None, email=None, shipping=None, invoice_settings={
                "custom_fields": None, "default_payment_method": None, "footer": None, "rendering_options": None},
        )  # fmt: skip

    def get_thing(self, name: str, form: Form) -> Form:
        return self._find(name)

    def update_customer(self, name: str, form: Form) -> Form:
        customer = self._find(name)
        customer["invoice_settings"] |= form.get("invoice_settings", {})
        return customer

    def list_methods(self, form: Form) -> Form:
        customer = form["customer"]
        self._find(customer, "customer")
        found = [t for t in self.things.values() if t["object"] == "payment_method" and t["customer"] == customer]
        return _list(found, "/v1/payment_methods")

    def detach(self, name: str, form: Form) -> Form:
        method = self._find(name)
        method["customer"] = None
        self._tell("payment_method.detached", method)
        return method

    def create_session(self, form: Form) -> Form:
        self._find(form["customer"], "customer")
        none = dict.fromkeys(
            name for name in stripe.checkout.Session.__annotations__ if name not in ("OBJECT_NAME", "object")
        )
        unset = {
            k: v for k, v in none.items() if k in _required(stripe.checkout.Session) and k not in ("id", "created")
        }
        made = self._make("cs", "checkout.session", **unset)
        made.update(
            {k: v for k, v in form.items() if k in ("mode", "customer", "currency", "success_url", "cancel_url")}
        )
        page = f"https://checkout.stripe.test/{made['id']}"
        made |= {
            "url": page, "status": "open", "expires_at": int(time.time()) + 86400, "livemode": False, "metadata": {},
            "payment_status": "no_payment_required", "automatic_tax": {"enabled": False, "liability": None,
            "provider": None, "status": None}, "custom_fields": [], "custom_text": {}, "payment_method_types": ["card"],
            "shipping_options": [],
        }  # fmt: skip
        return made

    def create_intent(self, form: Form) -> Form:
        assert "confirm" not in form, "an intent is opened before it is confirmed, or a crash between charges twice"
        self._find(form["customer"], "customer")
        made = self._make(
            "pi", "payment_intent", amount=int(form["amount"]), currency=form["currency"], customer=form["customer"],
            status="requires_payment_method", amount_received=0, amount_capturable=0, last_payment_error=None,
            latest_charge=None, capture_method="automatic_async", confirmation_method="automatic",
            client_secret="secret", payment_method_types=["card"], description=form.get("description"),
        )  # fmt: skip
        made["metadata"] = form.get("metadata", {})
        self._tell("payment_intent.created", made)
        return made

    def confirm_intent(self, name: str, form: Form) -> Form:
        intent = self._find(name)
        if intent["status"] not in ("requires_payment_method", "requires_confirmation", "requires_action"):
            raise Refused(400, "payment_intent_unexpected_state", f"This PaymentIntent is {intent['status']}.")
        method = self._find(form["payment_method"])
        if method["customer"] != intent["customer"]:
            raise Refused(400, "payment_method_customer_mismatch", "This method belongs to somebody else.")
        self._end(intent, self.outcomes[method["id"]])
        if error := intent["last_payment_error"]:
            raise Refused(402, error["code"], error["message"], decline_code=error.get("decline_code"))
        return intent

    def _end(self, intent: Form, outcome: str) -> None:
        """What the bank answered."""
        intent["last_payment_error"] = None
        if outcome == "succeeds":
            self.moved.append((intent["id"], intent["amount"]))
            intent |= {
                "status": "succeeded",
                "amount_received": intent["amount"],
                "latest_charge": self._charge(intent),
            }
            self._tell("payment_intent.succeeded", intent)
        elif outcome == "processing":
            intent["status"] = "processing"
            self._tell("payment_intent.processing", intent)
        else:
            code = "authentication_required" if outcome == "authentication" else "card_declined"
            decline = "insufficient_funds" if code == "card_declined" else code
            error = {"code": code, "decline_code": decline, "message": "Your card was declined.", "type": "card_error"}
            intent |= {"status": "requires_payment_method", "last_payment_error": error}
            self._tell("payment_intent.payment_failed", intent)

    def _charge(self, intent: Form) -> Form:
        required = dict.fromkeys(_required(stripe.Charge) - {"id", "object", "created"})
        made = self._make("ch", "charge", **required)
        made |= {
            "amount": intent["amount"], "amount_captured": intent["amount"], "amount_refunded": 0, "captured": True,
            "currency": intent["currency"], "disputed": False, "paid": True, "refunded": False, "status": "succeeded",
            "payment_intent": intent["id"], "customer": intent["customer"], "livemode": False, "metadata": {},
            "billing_details": {}, "fraud_details": None,
        }  # fmt: skip
        return made

    def cancel_intent(self, name: str, form: Form) -> Form:
        intent = self._find(name)
        if intent["status"] in ("succeeded", "processing", "canceled"):
            raise Refused(400, "payment_intent_unexpected_state", f"This PaymentIntent is {intent['status']}.")
        intent["status"] = "canceled"
        self._tell("payment_intent.canceled", intent)
        return intent

    def list_intents(self, form: Form) -> Form:
        between = {name: int(value) for name, value in form.get("created", {}).items()}
        found = [
            t for t in self.things.values()
            if t["object"] == "payment_intent" and between.get("gte", 0) <= t["created"] < between.get("lt", 1 << 60)
        ][::-1]  # fmt: skip
        names = [t["id"] for t in found]
        start = names.index(form["starting_after"]) + 1 if "starting_after" in form else 0
        limit = min(int(form.get("limit", 10)), 2)  # small pages, so that every listing has several
        return _list(found[start : start + limit], "/v1/payment_intents", more=start + limit < len(found))

    def create_refund(self, form: Form) -> Form:
        intent = self._find(form["payment_intent"])
        charge, amount = intent["latest_charge"], int(form["amount"])
        if charge is None or charge["amount_refunded"] + amount > charge["amount"]:
            raise Refused(400, "charge_already_refunded", "Refund amount is greater than unrefunded amount on charge.")
        charge["amount_refunded"] += amount
        self.moved.append((intent["id"], -amount))
        made = self._make(
            "re", "refund", amount=amount, charge=charge["id"], currency=intent["currency"], status="succeeded",
            payment_intent=intent["id"], reason=None, balance_transaction=None, receipt_number=None,
            source_transfer_reversal=None, transfer_reversal=None,
        )  # fmt: skip
        made["metadata"] = form.get("metadata", {})
        self._tell("refund.created", made)
        return made

    def list_refunds(self, form: Form) -> Form:
        mine = [
            t for t in self.things.values()
            if t["object"] == "refund" and t["payment_intent"] == form.get("payment_intent")
        ]  # fmt: skip
        return _list(mine, "/v1/refunds")


_P, _C = stripe.params, stripe.params.checkout
_ROUTES: list[tuple[str, str, Any, Any]] = [
    ("POST", "/v1/customers", FakeStripe.create_customer, _P.CustomerCreateParams),
    ("GET", "/v1/customers/(cus_[0-9]+)", FakeStripe.get_thing, _P.CustomerRetrieveParams),
    ("POST", "/v1/customers/(cus_[0-9]+)", FakeStripe.update_customer, _P.CustomerUpdateParams),
    ("GET", "/v1/payment_methods", FakeStripe.list_methods, _P.PaymentMethodListParams),
    ("POST", "/v1/payment_methods/(pm_[0-9]+)/detach", FakeStripe.detach, _P.PaymentMethodDetachParams),
    ("POST", "/v1/checkout/sessions", FakeStripe.create_session, _C.SessionCreateParams),
    ("POST", "/v1/payment_intents", FakeStripe.create_intent, _P.PaymentIntentCreateParams),
    ("GET", "/v1/payment_intents", FakeStripe.list_intents, _P.PaymentIntentListParams),
    ("GET", "/v1/payment_intents/(pi_[0-9]+)", FakeStripe.get_thing, _P.PaymentIntentRetrieveParams),
    ("POST", "/v1/payment_intents/(pi_[0-9]+)/confirm", FakeStripe.confirm_intent, _P.PaymentIntentConfirmParams),
    ("POST", "/v1/payment_intents/(pi_[0-9]+)/cancel", FakeStripe.cancel_intent, _P.PaymentIntentCancelParams),
    ("POST", "/v1/refunds", FakeStripe.create_refund, _P.RefundCreateParams),
    ("GET", "/v1/refunds", FakeStripe.list_refunds, _P.RefundListParams),
]
_RESOURCES = {
    "customer": stripe.Customer,
    "payment_method": stripe.PaymentMethod,
    "payment_intent": stripe.PaymentIntent,
    "charge": stripe.Charge,
    "refund": stripe.Refund,
    "checkout.session": stripe.checkout.Session,
}
_PLAIN = (int, str, bool, type(None))


def _list(found: list[Form], url: str, *, more: bool = False) -> Form:
    return {"object": "list", "data": found, "has_more": more, "url": url}


def _tree(form: str) -> Form:
    """Stripe's form encoding: `metadata[a]=b` and `expand[0]=c`."""
    tree: Form = {}
    for name, value in parse_qsl(form, keep_blank_values=True, strict_parsing=bool(form)):
        first, *rest = re.findall(r"[^\[\]]+", name)
        node, keys = tree, [first, *rest]
        for key in keys[:-1]:
            node = node.setdefault(key, {})
        node[keys[-1]] = value
    return {k: list(v.values()) if isinstance(v, dict) and set(v) <= set("0123456789") else v for k, v in tree.items()}


def _check_form(params: Any, form: Form) -> None:
    """A request says only what Stripe's own types allow, each value of its type."""
    unknown, missing = set(form) - set(params.__annotations__), set(params.__required_keys__) - set(form)
    assert not unknown | missing, f"Stripe's {params.__name__} knows no {unknown} and demands {missing}"
    for name, value in form.items():
        _adapter(params, name).validate_python(value)


@cache
def _adapter(params: Any, name: str) -> TypeAdapter[Any]:
    names = {**vars(sys.modules[params.__module__]), "Mapping": Mapping}
    kind = params.__annotations__[name]
    if isinstance(kind, typing.ForwardRef):
        kind = eval(kind.__forward_arg__, names)
    if typing_extensions.get_origin(kind) is typing_extensions.NotRequired:
        (kind,) = typing_extensions.get_args(kind)
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    adapter.rebuild(_types_namespace=names)
    return adapter


def _as_mapping(source: Any, handler: Any) -> core_schema.CoreSchema:
    return core_schema.dict_schema(core_schema.str_schema(), core_schema.str_schema())


UntypedStripeObject.__get_pydantic_core_schema__ = _as_mapping


def _required(resource: Any) -> set[str]:
    """Fields that an answer must hold: those that are not optional."""
    found = set()
    for name, kind in resource.__annotations__.items():
        if name != "OBJECT_NAME" and type(None) not in typing.get_args(kind):
            found.add(name)
    return found


def check_shape(made: Form) -> None:
    """Asserts that an answer looks as Stripe's types say; a list's every element."""
    if made.get("object") == "list":
        for one in made["data"]:
            check_shape(one)
        return
    if made.get("deleted"):
        assert set(made) == {"id", "object", "deleted"}
        return
    resource = _RESOURCES[made["object"]]
    unknown, missing = set(made) - set(resource.__annotations__), _required(resource) - set(made)
    assert not unknown, f"Stripe's {made['object']} has no {unknown}"
    assert not missing, f"Stripe's {made['object']} has {missing} besides"
    for name, value in made.items():
        kind = resource.__annotations__[name]
        parts = typing.get_args(kind) if typing.get_origin(kind) is typing.Union else (kind,)
        if all(part in _PLAIN for part in parts):
            assert type(value) in parts, f"{made['object']}.{name} is {value!r}, not {parts}"
    if isinstance(made.get("latest_charge"), dict):
        check_shape(made["latest_charge"])


@contextmanager
def serve_stripe() -> Iterator[FakeStripe]:
    """The fake on a port of loopback, in a thread of its own."""
    fake = FakeStripe()
    config = uvicorn.Config(
        fake, host="127.0.0.1", port=0, lifespan="off", log_config=None, timeout_graceful_shutdown=1
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), name="fake-stripe", daemon=True)
    thread.start()
    try:
        for _ in range(1000):
            if server.started:
                break
            time.sleep(0.01)
        fake.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        yield fake
    finally:
        server.should_exit = True
        thread.join(10)
