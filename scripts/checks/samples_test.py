"""Each check of this folder on samples that are wrong, and on ones that only look so."""

import contextlib
import importlib.machinery
import importlib.util
import io
import pathlib
import unittest

import house
import licences
import unused

_run = str(pathlib.Path(__file__).parents[2] / "tests/readme/run")
_loader = importlib.machinery.SourceFileLoader("readme", _run)
readme = importlib.util.module_from_spec(importlib.util.spec_from_loader("readme", _loader))
_loader.exec_module(readme)

ALLOW = {"MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "Zlib"}


def package(license, source=licences.CRATES_IO):
    return {"name": "sample", "version": "1.0.0", "license": license, "source": source}


class Licences(unittest.TestCase):
    def test_an_expression_is_met_by_any_side_of_or_and_every_side_of_and(self):
        for expression in ("MIT", "MIT OR GPL-3.0", "GPL-3.0/MIT", "MIT AND Zlib", "(MIT OR GPL-3.0) AND Zlib",
                           "Apache-2.0 WITH LLVM-exception OR GPL-2.0"):
            self.assertTrue(licences.allowed(expression, ALLOW), expression)
        for expression in ("GPL-3.0", "MIT AND GPL-3.0", "(MIT OR GPL-3.0) AND AGPL-3.0", "GPL-2.0 WITH LLVM-exception"):
            self.assertFalse(licences.allowed(expression, ALLOW), expression)

    def test_what_cannot_be_read_is_not_allowed(self):
        for expression in ("MIT OR", "(MIT", "MIT MIT", "OR"):
            with self.assertRaises(ValueError):
                licences.allowed(expression, ALLOW)

    def test_a_package_needs_a_licence_and_a_known_source(self):
        self.assertEqual(licences.faults([package("MIT")], ALLOW), [])
        self.assertEqual(len(licences.faults([package("GPL-3.0-only")], ALLOW)), 1)
        self.assertEqual(len(licences.faults([package(None)], ALLOW)), 1)
        self.assertEqual(len(licences.faults([package("MIT", "git+https://example.org/x")], ALLOW)), 1)


class Unused(unittest.TestCase):
    def faults(self, program, tests="", **sections):
        return unused.faults(sections, unused.code_of(program), unused.code_of(tests))

    def test_a_dependency_that_nothing_names_is_found(self):
        self.assertEqual(self.faults("use axum::Router;", dependencies={"axum": "1"}), [])
        self.assertEqual(len(self.faults("use other::axum; x.axum::<u8>();", dependencies={"axum": "1"})), 1)
        self.assertEqual(self.faults("#[derive(tower_http::X)] struct A;", dependencies={"tower-http": "1"}), [])

    def test_a_word_in_a_comment_or_a_text_is_no_use(self):
        for program in ("// hex::encode", "/* use hex; */", 'let a = "hex::encode";', 'r#"use "hex::x"# ', "'\"' // hex::x"):
            self.assertEqual(len(self.faults(program, dependencies={"hex": "1"})), 1, program)

    def test_what_only_tests_use_belongs_to_them(self):
        (fault,) = self.faults("", "hex::encode();", dependencies={"hex": "1"})
        self.assertIn("dev-dependencies", fault)
        self.assertEqual(len(self.faults("", "", **{"dev-dependencies": {"insta": "1"}})), 1)


class House(unittest.TestCase):
    def test_words_that_do_not_belong_are_found(self):
        for line in ("<" * 7 + " HEAD", "// TO" + "DO later", "see /wo" + "rk/main", "as issue " + "#7 says", "AI" + "za" + "x" * 35):
            self.assertEqual(len(house.faults_in("a.md", line)), 1, line)
        for line in ("net" + "work/main", "the issue is known", "https://example.org/root/x", "xxx"):
            self.assertEqual(house.faults_in("a.md", line), [], line)

    def test_rust_files_open_with_their_purpose_and_switch_no_test_off(self):
        self.assertEqual(house.faults_in("a.rs", "//! What it is for.\n"), [])
        self.assertEqual(len(house.faults_in("a.rs", "fn main() {}\n")), 1)
        self.assertEqual(len(house.faults_in("a.rs", "//! A.\n#[ig" + "nore]\n")), 1)

    def test_links_lead_somewhere(self):
        files = {"docs/API.md": "# The API\n## Live `events`\n"}
        self.assertEqual(house.broken_links("README.md", "[a](docs/API.md#live-events) [b](https://example.org)", files.get), [])
        for link in ("docs/NONE.md", "docs/API.md#dead", "API.md"):
            self.assertEqual(len(house.broken_links("README.md", f"[a]({link})", files.get)), 1, link)


class Documents(unittest.TestCase):
    def faults(self, text):
        with contextlib.redirect_stdout(io.StringIO()):
            return readme.faults("a.md", text, 1, "/")

    def test_a_block_that_does_not_do_what_it_says_is_found(self):
        good = "```sh\nx=1\n```\n```sh\necho \"{\\\"a\\\": $x}\"\n```\n```json\n{\"a\": 5}\n```\n"
        self.assertEqual(self.faults(good), [])
        for change in (("x=1", "false"), ("x=1", "curl -s http://127.0.0.1:8080"), ('"a": 5', '"b": 5'),
                       ('"a": 5', '"a": "5"'), ("x=1", "x=1; exit 0"), (good, "no block")):
            self.assertEqual(len(self.faults(good.replace(*change))) > 0, True, change)


if __name__ == "__main__":
    unittest.main()
