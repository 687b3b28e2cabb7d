"""Rules of the house that no compiler knows: what must not stand in a tracked file, how files begin, links that lead somewhere."""

import pathlib
import re
import subprocess
import sys

# Written in pieces, so that this file does not name what it looks for.
ANYWHERE = {
    r"^(<{7}|>{7}|={7})( |$)": "a merge left undone",
    r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b": "unfinished work: do it, or say what is",
    r"(?<![\w/.~-])/(work|root|home/\w+)/": "a path of somebody's machine",
    r"/tm" r"p/w\b": "a path of somebody's machine",
    r"\bissue #?\d": "the number of an issue",
    r"\bfarm-\w": "a word from outside the product",
    r"\bsk_live_[0-9A-Za-z]{8,}|\bAIza[0-9A-Za-z_-]{35}\b|\bwhsec_[0-9A-Za-z]{32,}": "what looks like a real key",
}
IN_RUST = {
    r"#\[ig" r"nore": "a test that is switched off",
    r"\b(to" r"do|unimpl" r"emented|dbg)!": "a stub",
    r"assert!\(true\)": "a test that cannot fail",
    r"\bstruct \w*(Manager|Service|Helper|Util|Dto|Repository)\b": "a name without a meaning: say what it is",
}
LINK = re.compile(r"(?<!\\)\[[^\]]*\]\(([^)\s]+)\)")


def faults_in(path, text):
    """Lines `path:line: what is wrong`."""
    rules = dict(ANYWHERE)
    found = []
    if path.endswith(".rs"):
        rules |= IN_RUST
        if not text.startswith("//!"):
            found.append(f"{path}:1: a file opens with //!, what it is for")
    for number, line in enumerate(text.splitlines(), 1):
        found += [f"{path}:{number}: {why}" for rule, why in rules.items() if re.search(rule, line)]
    return found


def anchors(text):
    """The headings of a Markdown text, as links spell them."""
    headings = re.findall(r"^#{1,6} +(.+?)\s*$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(path, text, read):
    """Relative links to files or headings that are not there; `read` gives a file's text, or None."""
    found = []
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    for link in LINK.findall(prose):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, heading = link.partition("#")
        target = str(pathlib.PurePosixPath(path).parent / file) if file else path
        there = read(target)
        if there is None:
            found.append(f"{path}: the link {link} leads nowhere")
        elif heading and heading not in anchors(there):
            found.append(f"{path}: the link {link} leads to no heading")
    return found


def read_file(path):
    file = pathlib.Path(path)
    if file.is_dir():
        return ""
    return file.read_text(errors="replace") if file.is_file() else None


def main():
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], check=True, stdout=subprocess.PIPE
    ).stdout.decode()
    paths = [path for path in listed.split("\0") if path and pathlib.Path(path).is_file()]
    found = []
    for path in paths:
        raw = pathlib.Path(path).read_bytes()
        if b"\0" in raw:
            continue
        text = raw.decode(errors="replace")
        if path != "Cargo.lock" and not path.endswith("package-lock.json"):
            found += faults_in(path, text)
        if path.endswith(".md"):
            found += broken_links(path, text, read_file)
    print("\n".join(found))
    print(f"summary: {len(paths)} files")
    return 1 if found or not paths else 0


if __name__ == "__main__":
    sys.exit(main())
