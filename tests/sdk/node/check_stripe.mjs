// Stripe's SDK for Node against the Stripe sandbox at the address in argv: customers, checkout, subscriptions, events,
// errors, idempotency, webhook signatures. Says what is wrong and exits with 1.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import http from "node:http";

import Stripe from "stripe";

const [, , base, price] = process.argv;
const { hostname: host, port } = new URL(base);
const settings = { host, port, protocol: "http", maxNetworkRetries: 2 };
const stripe = new Stripe("sk_test_any", settings);

async function control(path, body) {
  const answer = await fetch(base + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  assert.ok(answer.ok, `${path}: ${answer.status}`);
  return answer.status === 204 ? null : answer.json();
}

async function subscribe(customer) {
  const session = await stripe.checkout.sessions.create({
    mode: "subscription",
    customer,
    success_url: "https://example.com/ok?session={CHECKOUT_SESSION_ID}",
    cancel_url: "https://example.com/no",
    line_items: [{ price, quantity: 1 }],
    subscription_data: { metadata: { user_id: "7" } },
  });
  assert.equal(session.status, "open");
  const { redirect } = await control(`/sandbox/checkout/${session.id}`, { action: "pay" });
  assert.equal(redirect, `https://example.com/ok?session=${session.id}`);
  const done = await stripe.checkout.sessions.retrieve(session.id, { expand: ["subscription.latest_invoice"] });
  assert.equal(done.payment_status, "paid");
  return done.subscription;
}

async function customers() {
  const made = await stripe.customers.create({ phone: "+911234567890", metadata: { user_id: "7" } });
  assert.equal((await stripe.customers.update(made.id, { metadata: { user_id: "" } })).metadata.user_id, undefined);
  assert.equal((await stripe.customers.del(made.id)).deleted, true);
  assert.equal((await stripe.customers.retrieve(made.id)).deleted, true);
  const names = [];
  for (let at = 0; at < 7; at++) names.unshift((await stripe.customers.create({ name: `node${at}` })).name);
  const walked = [];
  for await (const customer of stripe.customers.list({ limit: 3 })) {
    walked.push(customer.name);
    if (walked.length === names.length) break;
  }
  assert.deepEqual(walked, names);
}

async function subscriptions() {
  const { id: customer } = await stripe.customers.create();
  const subscription = await subscribe(customer);
  assert.equal(subscription.status, "active");
  assert.equal(subscription.metadata.user_id, "7");
  assert.equal(subscription.latest_invoice.parent.subscription_details.subscription, subscription.id);
  const [item] = subscription.items.data;
  const ending = await stripe.subscriptions.update(subscription.id, { cancel_at_period_end: true });
  assert.ok(ending.cancel_at_period_end);
  assert.equal(ending.cancel_at, item.current_period_end);
  for (let at = 0; at < 3; at++) await subscribe(customer);
  const all = [];
  for await (const one of stripe.subscriptions.list({ customer, status: "all", limit: 2 })) all.push(one.id);
  assert.equal(new Set(all).size, 4);
  assert.equal((await stripe.subscriptions.cancel(subscription.id)).status, "canceled");
  assert.equal((await stripe.subscriptions.list({ customer })).data.length, 3);
  const [payment] = (await stripe.invoicePayments.list({ invoice: subscription.latest_invoice.id })).data;
  const refund = await stripe.refunds.create({ payment_intent: payment.payment.payment_intent });
  assert.equal(refund.amount, subscription.latest_invoice.amount_paid);
  const portal = await stripe.billingPortal.sessions.create({ customer, return_url: "https://example.com" });
  assert.ok(portal.url.startsWith(base));
}

async function events() {
  const customer = await stripe.customers.create();
  const found = await stripe.events.list({ type: "customer.created", created: { gte: customer.created } });
  assert.equal(found.data[0].data.object.id, customer.id);
  assert.equal((await stripe.events.retrieve(found.data[0].id)).type, "customer.created");
}

async function fails(kind, call, expected) {
  await assert.rejects(call, (error) => {
    assert.ok(error instanceof kind, `${error.type}: ${error.message}`);
    for (const [name, value] of Object.entries(expected)) assert.equal(error[name], value, name);
    assert.ok(error.requestId);
    return true;
  });
}

async function errors() {
  const kinds = Stripe.errors;
  await fails(kinds.StripeInvalidRequestError, () => stripe.customers.retrieve("cus_nobody"), {
    code: "resource_missing",
    statusCode: 404,
    param: "id",
  });
  await fails(kinds.StripeInvalidRequestError, () => stripe.customers.create({ phine: "1" }), { code: "parameter_unknown" });
  const wrong = new Stripe("sk_test_invalid", settings);
  await fails(kinds.StripeAuthenticationError, () => wrong.customers.list(), { statusCode: 401 });
  const { id: customer } = await stripe.customers.create();
  await control(`/sandbox/customers/${customer}/card`, { declines: true });
  const strict = { customer, items: [{ price }], payment_behavior: "error_if_incomplete" };
  await fails(kinds.StripeCardError, () => stripe.subscriptions.create(strict), {
    code: "card_declined",
    decline_code: "generic_decline",
  });
  await control("/sandbox/script", { when: { path: "/v1/events?" }, refuse: { status: 429 }, times: 1 });
  await fails(kinds.StripeRateLimitError, () => stripe.events.list(), { statusCode: 429 });
  await control("/sandbox/script", { when: { path: "/v1/events?" }, refuse: { status: 503 }, times: 3 });
  await fails(kinds.StripeAPIError, () => stripe.events.list(), { statusCode: 503 });
}

async function idempotency() {
  const again = { idempotencyKey: "node-1" };
  const first = await stripe.customers.create({ name: "same" }, again);
  assert.equal((await stripe.customers.create({ name: "same" }, again)).id, first.id);
  await fails(Stripe.errors.StripeIdempotencyError, () => stripe.customers.create({ name: "other" }, again), { statusCode: 400 });
  await control("/sandbox/script", { when: { method: "POST", path: "/v1/customers?" }, cut: true, after: true });
  const lost = await stripe.customers.create({ name: "lost" });
  assert.equal(lost.lastResponse.headers["idempotent-replayed"], "true");
  const newest = await stripe.customers.list({ limit: 2 });
  assert.deepEqual(newest.data.map((customer) => customer.name), ["lost", "same"]);
}

async function webhooks() {
  let heard;
  const server = http.createServer((request, response) => {
    const pieces = [];
    request.on("data", (piece) => pieces.push(piece));
    request.on("end", () => {
      response.end();
      heard?.([Buffer.concat(pieces), request.headers["stripe-signature"]]);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${server.address().port}/`;
  const endpoint = await stripe.webhookEndpoints.create({ url, enabled_events: ["customer.created"] });
  const hook = new Promise((resolve) => (heard = resolve));
  const customer = await stripe.customers.create({ name: "Grüße 🎉" });
  const [body, signature] = await hook;
  const event = stripe.webhooks.constructEvent(body, signature, endpoint.secret);
  assert.equal(event.data.object.id, customer.id);
  const wrong = Stripe.errors.StripeSignatureVerificationError;
  assert.throws(() => stripe.webhooks.constructEvent(`${body} `, signature, endpoint.secret), wrong);
  assert.throws(() => stripe.webhooks.constructEvent(body, signature, "whsec_other"), wrong);
  assert.equal((await stripe.webhookEndpoints.del(endpoint.id)).deleted, true);
  server.close();
  server.closeAllConnections();
}

await customers();
await subscriptions();
await events();
await errors();
await idempotency();
await webhooks();
const { version } = JSON.parse(readFileSync(new URL("node_modules/stripe/package.json", import.meta.url)));
console.log(`stripe ${version} for Node: customers, subscriptions, events, errors, idempotency, webhooks`);
