#!/usr/bin/env -S python3 -B
"""Writes docs/postman_collection.json and docs/postman_environment.json from the server's own OpenAPI document.

    scripts/postman/make.py            writes both
    scripts/postman/make.py --check    fails when a file is not what would be written
"""

import json
import pathlib
import re
import subprocess
import sys

from journey import CALLS, LATER_FOLDERS, STEPS, VALUES, File, test

ROOT = pathlib.Path(__file__).resolve().parents[2]
COLLECTION = ROOT / "docs/postman_collection.json"
ENVIRONMENT = ROOT / "docs/postman_environment.json"
METHODS = ("get", "put", "post", "delete", "patch")
ABOUT = """\
Made from the server's OpenAPI document by `scripts/postman/make.py`. Run the folder "A day" from its top: it signs a new
number up, talks, meets Basic's limit, subscribes in the built-in Stripe sandbox and cancels. The other folders have every
other call but the streams of events, which have no end, and use what that day left in the collection's variables. It needs a server in development, as `cargo run`
starts it: codes stand in answers, and payments are the sandbox's."""


def document():
    command = ["cargo", "run", "--locked", "--quiet", "--manifest-path", str(ROOT / "Cargo.toml"), "--", "openapi"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def operations(api):
    """Each operation by its call, `POST /auth/signup`."""
    return {
        f"{method.upper()} {path}": operation
        for path, item in api["paths"].items()
        for method, operation in item.items()
        if method in METHODS and not is_endless(method, operation)
    }


def is_endless(method, operation):
    """A stream of events: whoever runs a collection waits for an answer's end."""
    return method == "get" and "text/event-stream" in operation["responses"].get("200", {}).get("content", {})


def values_for(path, own):
    """What fills the parameters of a path: of the longest path known that it begins with."""
    known = [VALUES[start] for start in sorted(VALUES, key=len) if path.startswith(start)]
    return {name: value for values in [*known, own] for name, value in values.items()}


def address(path, operation, own):
    values = values_for(path, own)
    parameters = operation.get("parameters", [])
    for parameter in parameters:
        if parameter["in"] == "path":
            value = values.get(parameter["name"], parameter.get("example"))
            if value is None:
                raise SystemExit(f"{path}: nothing is known to stand for {parameter['name']}; say it in journey.py")
            path = path.replace("{" + parameter["name"] + "}", str(value))
    query = [
        {"key": parameter["name"], "value": values.get(parameter["name"], ""), "disabled": parameter["name"] not in values}
        | ({"description": parameter["description"]} if "description" in parameter else {})
        for parameter in parameters
        if parameter["in"] == "query"
    ]
    sent = "&".join(f"{part['key']}={part['value']}" for part in query if not part["disabled"])
    url = {"raw": "{{baseUrl}}" + path + (f"?{sent}" if sent else ""), "host": ["{{baseUrl}}"], "path": path[1:].split("/")}
    return url | ({"query": query} if query else {})


def example_of(operation):
    content = operation.get("requestBody", {}).get("content", {})
    return content.get("application/json", {}).get("example")


def payload(body):
    """A body as Postman has it: JSON, the pairs of a form, or a file."""
    if body is None:
        return {"header": []}
    if isinstance(body, File):
        part = {"key": "file", "type": "file", "src": body.path}
        return {"header": [], "body": {"mode": "formdata", "formdata": [part]}}
    if isinstance(body, list):
        return {"header": [], "body": {"mode": "urlencoded", "urlencoded": [{"key": key, "value": value} for key, value in body]}}
    raw = json.dumps(body, indent=2, ensure_ascii=False)
    header = [{"key": "Content-Type", "value": "application/json"}]
    return {"header": header, "body": {"mode": "raw", "raw": raw, "options": {"raw": {"language": "json"}}}}


def scripts(before, after):
    kinds = (("prerequest", before), ("test", after))
    return [{"listen": kind, "script": {"type": "text/javascript", "exec": list(lines)}} for kind, lines in kinds if lines]


def item(name, method, url, operation, body, before, after):
    request = {"method": method, "url": url, **payload(body)}
    if operation is None or not operation.get("security"):
        request["auth"] = {"type": "noauth"}
    if operation and "summary" in operation:
        request["description"] = operation["summary"]
    return {"name": name, "event": scripts(before, after), "request": request, "response": []}


def answers(status):
    return test(f"answers {status}", f"pm.response.to.have.status({status});")


def step(api, name, call, status, body, before, after):
    method, path = call.split(" ", 1)
    after = [*answers(status), *after]
    if path.startswith("{{"):
        # Where the page leads to is a step of its own.
        url = {"raw": path, "host": [path]}
        return item(name, method, url, None, body, before, after) | {"protocolProfileBehavior": {"followRedirects": False}}
    if str(status) not in api[call]["responses"]:
        raise SystemExit(f"{call} is not documented to answer {status}")
    return item(name, method, address(path, api[call], {}), api[call], body, before, after)


def success(operation):
    """What a plain request is answered with: where a promise is one of the answers, the promise."""
    return 202 if "202" in operation["responses"] else int(min(status for status in operation["responses"] if status.startswith("2")))


def other(call, operation):
    method, path = call.split(" ", 1)
    own = CALLS.get(call, {})
    after = answers(own.get("status", success(operation)))
    if "code" in own:
        after += test(f"says {own['code']}", f"pm.expect(pm.response.json().code).to.equal('{own['code']}');")
    body = own.get("body", example_of(operation))
    url = address(path, operation, own.get("values", {}))
    return item(call, method, url, operation, body, own.get("before", []), [*after, *own.get("after", [])])


def folders(api):
    walked = {call for _, call, *_ in STEPS}
    unknown = [call for call in [*walked, *CALLS] if call not in api and "{{" not in call]
    if unknown:
        raise SystemExit(f"not in the document: {', '.join(unknown)}")
    in_order = [*(call for call in api if call not in CALLS), *CALLS]
    by_tag = {}
    for call in (call for call in in_order if call not in walked):
        by_tag.setdefault(api[call]["tags"][0], []).append(other(call, api[call]))
    day = {"name": "A day", "item": [step(api, *one) for one in STEPS]}
    tags = sorted(by_tag, key=lambda tag: (tag in LATER_FOLDERS and LATER_FOLDERS.index(tag) + 1, tag))
    return [day, *({"name": tag, "item": by_tag[tag]} for tag in tags)]


def used_variables(items):
    return sorted(set(re.findall(r"\{\{(\w+)\}\}", json.dumps(items))) - {"baseUrl"})


def collection(api):
    made = folders(api)
    start = {"password": "correct horse battery"}
    return {
        "info": {
            "name": "gemini-backend",
            "description": ABOUT,
            "schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json",
        },
        "auth": {"type": "bearer", "bearer": [{"key": "token", "value": "{{token}}", "type": "string"}]},
        "variable": [{"key": name, "value": start.get(name, "")} for name in used_variables([made, "{{token}}"])],
        "item": made,
    }


ENVIRONMENT_MADE = {
    "name": "gemini-backend",
    "values": [{"key": "baseUrl", "value": "http://127.0.0.1:8080", "type": "default", "enabled": True}],
    "_postman_variable_scope": "environment",
}


def main():
    made = {COLLECTION: collection(operations(document())), ENVIRONMENT: ENVIRONMENT_MADE}
    stale = []
    for file, content in made.items():
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        if "--check" not in sys.argv[1:]:
            file.write_text(text)
        elif not file.is_file() or file.read_text() != text:
            stale.append(str(file.relative_to(ROOT)))
    if stale:
        print(f"{' and '.join(stale)}: not what scripts/postman/make.py writes; run it and commit")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
