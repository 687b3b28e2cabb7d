"""Fails when a dependency has a licence that deny.toml does not allow, no licence, or does not come from crates.io.

Reads what cargo itself says of every package in Cargo.lock, for every platform. Advisories are not looked at here.
"""

import json
import re
import subprocess
import sys
import tomllib

CRATES_IO = "registry+https://github.com/rust-lang/crates.io-index"


def allowed(expression, allow):
    """Whether an SPDX expression can be met with the allowed licences; `/` is crates.io's older `OR`."""
    tokens = re.findall(r"[()/]|[A-Za-z0-9.+-]+", expression)
    place = 0

    def word():
        return tokens[place] if place < len(tokens) else ""

    def one():
        nonlocal place
        if word() == "(":
            place += 1
            inner = either()
            if word() != ")":
                raise ValueError(f"cannot read the licence {expression!r}")
            place += 1
            return inner
        name = word()
        if not name or name in ("AND", "OR", "WITH", ")", "/"):
            raise ValueError(f"cannot read the licence {expression!r}")
        place += 1
        if word() == "WITH":
            name = f"{name} WITH {tokens[place + 1]}"
            place += 2
        return name in allow

    def both():
        nonlocal place
        met = one()
        while word() == "AND":
            place += 1
            met = one() and met
        return met

    def either():
        nonlocal place
        met = both()
        while word() in ("OR", "/"):
            place += 1
            met = both() or met
        return met

    met = either()
    if place != len(tokens):
        raise ValueError(f"cannot read the licence {expression!r}")
    return met


def faults(packages, allow):
    """One line for each package that may not be used."""
    found = []
    for package in packages:
        name = f"{package['name']} {package['version']}"
        if package["source"] is None:
            continue
        if package["source"] != CRATES_IO:
            found.append(f"{name} comes from {package['source']}")
        if not package["license"]:
            found.append(f"{name} names no licence")
        elif not allowed(package["license"], allow):
            found.append(f"{name} is under {package['license']}, which deny.toml does not allow")
    return found


def main():
    with open("deny.toml", "rb") as file:
        allow = set(tomllib.load(file)["licenses"]["allow"])
    told = subprocess.run(
        ["cargo", "metadata", "--locked", "--format-version", "1"], check=True, stdout=subprocess.PIPE
    ).stdout
    packages = json.loads(told)["packages"]
    found = faults(packages, allow)
    print("\n".join(found))
    print(f"summary: {len(packages) - 1} packages")
    return 1 if found or len(packages) < 2 else 0


if __name__ == "__main__":
    sys.exit(main())
