"""Fails when Cargo.toml names a dependency that no code uses, or that only the tests use.

A crate is used where its name stands as a path (`name::`, `use name`, `name!`) outside comments and texts. One that is
needed without being named is listed under `[package.metadata.unused] ignored` in Cargo.toml, beside its reason.
"""

import pathlib
import re
import sys
import tomllib

PROGRAM = ["src", "build.rs"]
TESTS = ["tests", "benches", "examples"]


def code_of(text):
    """The text without comments and string literals, so that a word in them is no use."""
    without = re.compile(
        r"""
        //[^\n]* | /\*.*?\*/                       # comments
        | r(\#*)".*?"\1 | "(?:\\.|[^"\\])*"        # texts
        | '(?:\\.|[^'\\])'                         # characters, which may be quotes
        """,
        re.VERBOSE | re.DOTALL,
    )
    return without.sub('""', text)


def uses(code, crate):
    name = re.escape(crate.replace("-", "_"))
    return re.search(rf"(?<![\w:.]){name}\s*(::|!)|\buse\s+(::)?{name}\b|\bextern\s+crate\s+{name}\b", code) is not None


def faults(manifest, program, tests):
    """One line for each dependency that is not used where it stands."""
    ignored = manifest.get("package", {}).get("metadata", {}).get("unused", {}).get("ignored", [])
    found = []
    for crate in manifest.get("dependencies", {}):
        if crate in ignored or uses(program, crate):
            continue
        found.append(f"{crate} is used by the tests alone: move it to [dev-dependencies]" if uses(tests, crate) else f"{crate} is not used")
    for crate in manifest.get("dev-dependencies", {}):
        if crate not in ignored and not uses(tests, crate) and not uses(program, crate):
            found.append(f"{crate} is not used by any test")
    return found


def read(places):
    texts = []
    for place in map(pathlib.Path, places):
        files = [place] if place.is_file() else sorted(place.rglob("*.rs"))
        texts += [code_of(file.read_text()) for file in files]
    return "\n".join(texts)


def main():
    with open("Cargo.toml", "rb") as file:
        manifest = tomllib.load(file)
    found = faults(manifest, read(PROGRAM), read(TESTS))
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
