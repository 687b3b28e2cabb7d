"""Stripe's SDK for Python against the Stripe sandbox at the address in argv: customers, checkout, subscriptions, events,
errors, idempotency, webhook signatures. Says what is wrong and exits with 1."""

import http.server
import inspect
import json
import queue
import sys
import threading
import typing
import urllib.request

import stripe

BASE, PRICE = sys.argv[1], sys.argv[2]
client = stripe.StripeClient("sk_test_any", base_addresses={"api": BASE}, max_network_retries=2)
v1 = client.v1


def control(path, body):
    """One of the sandbox's own addresses."""
    request = urllib.request.Request(BASE + path, json.dumps(body).encode(), {"content-type": "application/json"})
    text = urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request).read()
    return json.loads(text) if text else None


def missing(value, path="answer"):
    """What the SDK's own types promise and this object does not have, in everything below it too."""
    found = []
    if isinstance(value, stripe.StripeObject):
        for name, hint in inspect.get_annotations(type(value)).items():
            optional = type(None) in typing.get_args(hint) or str(hint).startswith("typing.Optional")
            is_field = not name.startswith("_") and typing.get_origin(hint) is not typing.ClassVar
            if is_field and not optional and name not in value:
                found.append(f"{path}.{name}")
        for name in value.to_dict():
            found += missing(value[name], f"{path}.{name}")
    elif isinstance(value, list):
        for at, item in enumerate(value):
            found += missing(item, f"{path}[{at}]")
    return found


def whole(value):
    lacks = missing(value, getattr(value, "object", "answer"))
    assert not lacks, lacks
    return value


def checkout(customer, **more):
    params = {
        "mode": "subscription",
        "customer": customer,
        "client_reference_id": "7",
        "success_url": "https://example.com/ok?session={CHECKOUT_SESSION_ID}",
        "cancel_url": "https://example.com/no",
        "line_items": [{"price": PRICE, "quantity": 1}],
        "metadata": {"user_id": "7"},
        "subscription_data": {"metadata": {"user_id": "7"}, **more},
    }
    return whole(v1.checkout.sessions.create(params))


def subscribe(customer):
    session = checkout(customer)
    redirect = control(f"/sandbox/checkout/{session.id}", {"action": "pay"})["redirect"]
    assert redirect == f"https://example.com/ok?session={session.id}", redirect
    done = whole(v1.checkout.sessions.retrieve(session.id, {"expand": ["subscription", "line_items", "invoice"]}))
    assert done.status == "complete" and done.payment_status == "paid"
    assert done.line_items.data[0].price.id == PRICE and done.invoice.status == "paid"
    return done.subscription


def customers():
    made = whole(v1.customers.create({"phone": "+911234567890", "metadata": {"user_id": "7"}}))
    changed = v1.customers.update(made.id, {"email": "ada@example.com", "metadata": {"user_id": "", "room": "é"}})
    assert changed.email == "ada@example.com" and changed.metadata.to_dict() == {"room": "é"}, changed
    assert v1.customers.retrieve(made.id).id == made.id
    assert v1.customers.delete(made.id).deleted and v1.customers.retrieve(made.id).deleted
    names = [v1.customers.create({"name": f"n{at}"}).name for at in range(25)]
    walked = [customer.name for customer in v1.customers.list({"limit": 10}).auto_paging_iter()]
    assert walked[:25] == names[::-1], walked


def subscriptions():
    customer = v1.customers.create().id
    subscription = whole(subscribe(customer))
    item = subscription["items"].data[0]
    assert subscription.status == "active" and item.current_period_end > item.current_period_start
    ending = v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    assert ending.cancel_at_period_end and ending.cancel_at == item.current_period_end
    assert not v1.subscriptions.update(subscription.id, {"cancel_at_period_end": False}).cancel_at_period_end
    portal = whole(v1.billing_portal.sessions.create({"customer": customer, "return_url": "https://example.com"}))
    assert portal.url.startswith(BASE)
    for _ in range(4):
        subscribe(customer)
    listed = list(v1.subscriptions.list({"customer": customer, "status": "all", "limit": 2}).auto_paging_iter())
    assert len({one.id for one in listed}) == 5, listed
    assert v1.subscriptions.cancel(subscription.id, {"prorate": False}).status == "canceled"
    assert len(v1.subscriptions.list({"customer": customer}).data) == 4


def money():
    subscription = subscribe(v1.customers.create().id)
    invoice = whole(v1.invoices.list({"subscription": subscription.id, "expand": ["data.payments"]}).data[0])
    assert invoice.parent.subscription_details.subscription == subscription.id
    assert invoice.lines.data[0].pricing.unit_amount_decimal == invoice.amount_paid
    payment = whole(v1.invoice_payments.list({"invoice": invoice.id}).data[0])
    intent = whole(v1.payment_intents.retrieve(payment.payment.payment_intent, {"expand": ["latest_charge"]}))
    charge = intent.latest_charge
    assert charge.paid and intent.amount_received == invoice.amount_paid
    assert whole(v1.refunds.create({"charge": charge.id, "amount": 100})).status == "succeeded"
    assert v1.charges.retrieve(charge.id).amount_refunded == 100
    control("/sandbox/disputes", {"charge": charge.id})
    assert whole(v1.disputes.list({"charge": charge.id}).data[0]).status == "needs_response"
    assert whole(v1.prices.retrieve(PRICE, {"expand": ["product"]})).product.name == "Pro"
    whole(v1.products.list())
    whole(v1.accounts.retrieve_current())


def events():
    before = v1.events.list({"limit": 1}).data[0]
    customer = v1.customers.create()
    found = v1.events.list({"types": ["customer.created"], "created": {"gte": before.created}, "limit": 3})
    assert found.data[0].data.object["id"] == customer.id
    for event in v1.events.list({"limit": 100}).data:
        whole(event)
    assert whole(v1.events.retrieve(found.data[0].id)).type == "customer.created"


def fails(kind, call, **expected):
    try:
        call()
    except kind as error:
        assert type(error) is kind, error
        for name, value in expected.items():
            assert getattr(error, name) == value, (name, error, error.json_body)
        assert error.request_id, error
        return error
    raise AssertionError(f"no {kind.__name__}")


def errors():
    fails(stripe.InvalidRequestError, lambda: v1.customers.retrieve("cus_nobody"), code="resource_missing", http_status=404, param="id")
    fails(stripe.InvalidRequestError, lambda: v1.checkout.sessions.create({"mode": "subscription"}), code="parameter_missing", param="line_items")
    fails(stripe.InvalidRequestError, lambda: v1.customers.create({"phine": "1"}), code="parameter_unknown", param="phine")
    wrong = stripe.StripeClient("sk_test_invalid", base_addresses={"api": BASE})
    fails(stripe.AuthenticationError, lambda: wrong.v1.customers.list(), http_status=401)
    customer = v1.customers.create().id
    control(f"/sandbox/customers/{customer}/card", {"declines": True})
    strict = {"customer": customer, "items": [{"price": PRICE}], "payment_behavior": "error_if_incomplete"}
    declined = fails(stripe.CardError, lambda: v1.subscriptions.create(strict), code="card_declined", http_status=402)
    assert declined.error.decline_code == "generic_decline"
    control("/sandbox/script", {"when": {"path": "/v1/customers?"}, "refuse": {"status": 429}, "times": 3})
    fails(stripe.RateLimitError, lambda: v1.customers.list(), http_status=429)
    control("/sandbox/script", {"when": {"path": "/v1/customers?"}, "refuse": {"status": 500}, "times": 2})
    fails(stripe.RateLimitError, lambda: v1.customers.list(), http_status=429)
    fails(stripe.RateLimitError, lambda: v1.customers.list(), http_status=429)
    assert v1.customers.list().data, "two errors of the server are waited out"
    control("/sandbox/script", {"when": {"path": "/v1/customers?"}, "refuse": {"status": 500}, "times": 3})
    fails(stripe.APIError, lambda: v1.customers.list(), http_status=500)


def idempotency():
    again = {"idempotency_key": "python-1"}
    first, second = (v1.customers.create({"name": "same"}, again) for _ in range(2))
    assert first.id == second.id and second.last_response.headers["Idempotent-Replayed"] == "true"
    fails(stripe.IdempotencyError, lambda: v1.customers.create({"name": "other"}, again), http_status=400)
    # The SDK repeats what it got no answer to, under the key it made up for it: the work is done once.
    count = len(list(v1.customers.list({"limit": 100}).auto_paging_iter()))
    control("/sandbox/script", {"when": {"method": "POST", "path": "/v1/customers?"}, "cut": True, "after": True})
    assert v1.customers.create({"name": "lost"}).last_response.headers["Idempotent-Replayed"] == "true"
    assert len(list(v1.customers.list({"limit": 100}).auto_paging_iter())) == count + 1


def webhooks():
    hooks = queue.Queue()

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            hooks.put((self.rfile.read(int(self.headers["content-length"])), self.headers["stripe-signature"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/"
    endpoint = whole(v1.webhook_endpoints.create({"url": url, "enabled_events": ["customer.*"]}))
    customer = v1.customers.create({"name": "Grüße 🎉"})
    body, signature = hooks.get(timeout=20)
    event = whole(stripe.Webhook.construct_event(body, signature, endpoint.secret, api_key="sk_test_any"))
    assert event.type == "customer.created" and event.data.object["id"] == customer.id
    for wrong in (lambda: stripe.Webhook.construct_event(body + b" ", signature, endpoint.secret),
                  lambda: stripe.Webhook.construct_event(body, signature, "whsec_other")):
        try:
            wrong()
        except stripe.SignatureVerificationError:
            continue
        raise AssertionError("a wrong signature was taken")
    control("/sandbox/webhooks", {"signature_age": 301})
    v1.customers.create()
    body, signature = hooks.get(timeout=20)
    try:
        stripe.Webhook.construct_event(body, signature, endpoint.secret)
        raise AssertionError("a stale signature was taken")
    except stripe.SignatureVerificationError as error:
        assert "tolerance" in str(error), error
    control("/sandbox/webhooks", {})
    assert v1.webhook_endpoints.delete(endpoint.id).deleted
    server.shutdown()


customers()
subscriptions()
money()
events()
errors()
idempotency()
webhooks()
print(f"stripe {stripe.VERSION} for Python: customers, subscriptions, money, events, errors, idempotency, webhooks")
