"""What the collection walks: the steps of one person's day, and what each call of the other folders needs and expects.

Scripts are Postman's JavaScript; what they keep in the collection's variables carries over. `make.py` adds the addresses,
the bodies that the document has as examples, and a test of the status.
"""

import json
from typing import NamedTuple


class File(NamedTuple):
    """A body that is a file, by its path from the repository's root."""

    path: str


# A new number each time, so that the collection can be run again and again.
NEW_NUMBER = "pm.collectionVariables.set('{}', '+9198' + String(Math.floor(Math.random() * 1e8)).padStart(8, '0'));"
BODY = "const body = pm.response.json();"


def keep(name, value):
    return f"pm.collectionVariables.set('{name}', {value});"


def test(says, *lines):
    return [f"pm.test({json.dumps(says)}, () => {{", *(f"  {line}" for line in lines), "});"]


# (name, call, status, body, before, after). Paying is no call of the document's, but a button on the sandbox's page.
STEPS = [
    (
        "Sign up", "POST /auth/signup", 201,
        {"mobile": "{{mobile}}", "password": "{{password}}", "username": "Ada"},
        [NEW_NUMBER.format("mobile")],
        [BODY, keep("signup_token", "body.signup_token"), *test(
            "the number waits for its code",
            "pm.expect(body.user).to.include({ mobile: pm.collectionVariables.get('mobile'), mobile_verified: false });",
        )],
    ),
    (
        "Ask for a code", "POST /auth/send-otp", 200,
        {"mobile": "{{mobile}}", "purpose": "signup"},
        [],
        [BODY, keep("otp", "body.otp"), *test(
            "the code stands in the answer, as in development",
            r"pm.expect(body.otp).to.match(/^\d{6}$/);",
        )],
    ),
    (
        "Prove the number", "POST /auth/verify-otp", 200,
        {"mobile": "{{mobile}}", "otp": "{{otp}}", "purpose": "signup", "signup_token": "{{signup_token}}"},
        [],
        [BODY, keep("token", "body.access_token"), *test(
            "signed in, with Basic",
            "pm.expect(body.token_type).to.equal('Bearer');",
            "pm.expect(body.user).to.include({ mobile_verified: true, password_set: true, plan: 'basic' });",
        )],
    ),
    (
        "Open a room", "POST /chatroom", 201,
        {"name": "Travel"},
        [],
        [BODY, keep("room", "body.id"), *test(
            "the room is there and says where",
            "pm.expect(body.name).to.equal('Travel');",
            "pm.expect(pm.response.headers.get('Location')).to.include(body.id);",
        )],
    ),
    (
        "Send a message", "POST /chatroom/{id}/message", 202,
        {"content": "Hello! My name is Ada."},
        [],
        [BODY, keep("message", "body.message.id"), keep("reply", "body.reply.id"), keep("looks", "0"), *test(
            "taken in, and one prompt is spent",
            "pm.expect(body.message).to.include({ role: 'user', content: 'Hello! My name is Ada.' });",
            "pm.expect(body.reply).to.include({ role: 'model', parent_id: body.message.id });",
            "pm.expect(body.prompts).to.include({ limit: 5, used: 1, remaining: 4 });",
        )],
    ),
    (
        "Wait for the reply", "GET /chatroom/{id}/messages/{message_id}", 200,
        None,
        # A script with a timer holds its request back until then.
        ["if (Number(pm.collectionVariables.get('looks')) > 0) setTimeout(() => {}, 250);"],
        [
            BODY,
            "const looks = Number(pm.collectionVariables.get('looks')) + 1;",
            keep("looks", "looks"),
            "if (['queued', 'generating'].includes(body.status) && looks < 240) {",
            "  pm.execution.setNextRequest('Wait for the reply');",
            "} else {",
            *(f"  {line}" for line in test(
                "the reply is complete",
                "pm.expect(body.status).to.equal('complete');",
                "pm.expect(body.content).to.be.a('string').that.is.not.empty;",
                "pm.expect(body.usage.total_tokens).to.be.above(0);",
                "pm.expect(body.prompt.charged).to.be.true;",
            )),
            "}",
        ],
    ),
    (
        "Spend the day", "POST /chatroom/{id}/message", 202,
        {"content": "And one more thing."},
        [],
        [
            BODY,
            "const { used, remaining } = body.prompts;",
            "if (remaining > 0 && used < 5) {",
            "  pm.execution.setNextRequest('Spend the day');",
            "} else {",
            *(f"  {line}" for line in test(
                "the fifth prompt was the last",
                "pm.expect(body.prompts).to.include({ limit: 5, used: 5, remaining: 0 });",
            )),
            "}",
        ],
    ),
    (
        "Meet the limit", "POST /chatroom/{id}/message", 429,
        {"content": "The sixth."},
        [],
        [BODY, *test(
            "the day is spent, until midnight UTC",
            "pm.expect(body.code).to.equal('prompt_limit_reached');",
            "pm.expect(body.prompts).to.include({ limit: 5, used: 5, remaining: 0 });",
            "pm.expect(body.prompts.resets_at).to.match(/T00:00:00.000Z$/);",
            "pm.expect(Number(pm.response.headers.get('Retry-After'))).to.be.within(1, 86400);",
        )],
    ),
    (
        "Subscribe", "POST /subscribe/pro", 200,
        None,
        [],
        [BODY, keep("checkout_url", "body.checkout_url"), keep("checkout", "body.session_id"), *test(
            "there is a page to pay on",
            "pm.expect(body.checkout_url).to.include(body.session_id);",
            "pm.expect(Date.parse(body.expires_at)).to.be.above(Date.now());",
        )],
    ),
    (
        "Pay", "POST {{checkout_url}}", 303,
        [("action", "pay")],
        [],
        test(
            "the sandbox's page leads back",
            "const back = pm.response.headers.get('Location');",
            "pm.expect(back).to.include('/billing/return?session_id=' + pm.collectionVariables.get('checkout'));",
        ),
    ),
    (
        "Come back, paid", "GET /billing/return", 200,
        None,
        [],
        [BODY, *test(
            "the checkout is complete",
            "pm.expect(body).to.eql({ session_id: pm.collectionVariables.get('checkout'), status: 'complete' });",
        )],
    ),
    (
        "See the subscription", "GET /subscription/status", 200,
        None,
        [],
        [BODY, *test(
            "Pro, and no limit",
            "pm.expect(body).to.include({ plan: 'pro', status: 'active', cancel_at_period_end: false });",
            "pm.expect(Date.parse(body.current_period_end)).to.be.above(Date.now());",
            "pm.expect(body.prompts).to.include({ limit: null, remaining: null });",
        )],
    ),
    (
        "Go on talking", "POST /chatroom/{id}/message", 202,
        {"content": "The sixth, again."},
        [],
        [BODY, *test("it is taken now", "pm.expect(body.prompts.limit).to.be.null;")],
    ),
    (
        "Cancel", "POST /subscription/cancel", 200,
        None,
        [],
        [BODY, *test(
            "it ends with its period, and is Pro until then",
            "pm.expect(body).to.include({ plan: 'pro', status: 'active', cancel_at_period_end: true });",
        )],
    ),
]

# What stands for a parameter of a path or a query, by path and name; others have the document's example.
VALUES = {
    "/auth/sessions/{id}": {"id": "{{other_session}}"},
    "/auth/sessions": {"scope": "others"},
    "/billing/return": {"session_id": "{{checkout}}"},
    "/search": {"q": "hello"},
    "/chatroom/{id}": {"id": "{{room}}", "message_id": "{{reply}}", "attachment_id": "{{attachment}}"},
}

# Calls that need their own body, prepare or keep something, are answered with an error on purpose, or come in this order
# because they end what the ones before need. All others stand before them, as the document has them, and succeed.
CALLS = {
    "POST /auth/token/obtain": {
        "body": {"mobile": "{{mobile}}", "password": "{{password}}"},
        "after": [BODY, keep("other_session", "body.session_id"), keep("refresh_token", "body.refresh_token")],
    },
    "POST /auth/token/refresh": {
        "body": {"refresh_token": "{{refresh_token}}"},
        "after": test(
            "the next pair of the same session",
            BODY,
            "pm.expect(body.session_id).to.equal(pm.collectionVariables.get('other_session'));",
        ),
    },
    "DELETE /auth/sessions/{id}": {},
    "DELETE /auth/sessions": {},
    "POST /auth/change-password": {
        "body": {"old_password": "{{password}}", "new_password": "{{password}}"},
    },
    "POST /auth/change-mobile": {
        "body": {"mobile": "{{new_mobile}}", "otp": "{{otp}}", "password": "{{password}}"},
        "before": [
            NEW_NUMBER.format("new_mobile"),
            "const mobile = pm.collectionVariables.get('new_mobile');",
            "pm.sendRequest({",
            "  url: pm.variables.get('baseUrl') + '/auth/send-otp',",
            "  method: 'POST',",
            "  header: { 'Content-Type': 'application/json' },",
            "  body: { mode: 'raw', raw: JSON.stringify({ mobile, purpose: 'change_mobile' }) },",
            "}, (error, response) => pm.collectionVariables.set('otp', error ? '' : response.json().otp));",
        ],
        "after": [BODY, keep("mobile", "body.user.mobile")],
    },
    "POST /auth/forgot-password": {
        "body": {"mobile": "{{mobile}}"},
        "after": [keep("otp", "pm.response.json().otp")],
    },
    "POST /auth/logout": {"body": {}},
    "POST /auth/reset-password": {
        "body": {"mobile": "{{mobile}}", "otp": "{{otp}}", "new_password": "{{password}}"},
    },
    "POST /chatroom/{id}/attachments": {
        "body": File("docs/pixel.png"),
        "after": [BODY, keep("attachment", "body.id"), *test(
            "known by its content",
            "pm.expect(body).to.include({ name: 'pixel.png', media_type: 'image/png' });",
        )],
    },
    "GET /chatroom/{id}/attachments/{attachment_id}": {},
    "DELETE /chatroom/{id}/attachments/{attachment_id}": {},
    "POST /chatroom/create": {"after": [keep("other_room", "pm.response.json().id")]},
    "PATCH /chatroom/{id}/messages/{message_id}": {"values": {"message_id": "{{message}}"}},
    "DELETE /chatroom/{id}": {"values": {"id": "{{other_room}}"}},
    "GET /metrics": {"status": 404, "code": "not_found"},
    "POST /user/me/delete": {"body": {"password": "not the password"}, "status": 401, "code": "bad_credentials"},
    "PATCH /user/me": {"body": {"username": "Ada Lovelace"}},
    "POST /subscription/pro": {"body": {}, "status": 409, "code": "already_subscribed"},
    "POST /subscription/portal": {"body": {}},
    "POST /webhook/stripe": {"status": 400, "code": "signature_invalid"},
}

# All folders are in the alphabet's order but these, which end what others need.
LATER_FOLDERS = ["Chatrooms", "Sign-in"]
