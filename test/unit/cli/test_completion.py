#!/usr/bin/env python3
"""The completion scripts parse in their shells, and complete what the table says.

bash is always there. zsh and fish are asked where they are installed; their scripts are made from the
same rows. usage: test_completion.py ZPIN
"""
import shutil
import subprocess
import sys
import tempfile
import unittest

ZPIN = sys.argv.pop(1)

# (words typed, what must be offered, what must not)
SAMPLES = [
    ([""], ["serve", "pin", "import", "--json"], ["add", "--limit"]),
    (["pi"], ["pin"], ["serve"]),
    (["pin", ""], ["add", "rm", "ls", "recover"], ["serve", "check"]),
    (["pin", "a"], ["add"], ["rm"]),
    (["config", ""], ["check", "example", "reference"], ["add"]),
    (["pin", "add", "--"], ["--mode", "--metadata", "--api"], ["--limit"]),
    (["pin", "add", "--mode", ""], ["recursive", "direct"], ["merge"]),
    (["import", "--mode", ""], ["merge", "replace"], ["direct"]),
    (["--api", "pin", "import", "--allocations", ""], ["keep", "drop", "map"], []),
    (["completion", ""], ["bash", "zsh", "fish"], []),
    (["peers", ""], ["map"], ["add"]),
    (["pee"], ["peers"], ["map"]),
    (["help", ""], ["serve", "pin", "import"], ["--scdoc", "--api"]),
    (["export", "-o", "fi"], ["file-one"], ["--json"]),
    (["pin", "ls", "-n", ""], [], ["--json", "--name"]),
    (["verify", "--o"], ["--offline"], ["--output"]),
    (["pin", "ls", "--limit", ""], [], ["--json", "--name"]),
    (["import", "fi"], ["file-one"], ["--mode"]),
    (["import", "--ca-file", "fi"], ["file-one"], ["--mode"]),
    (["-c", "file-one", "import", "--sk"], ["--skip-bad"], []),
    (["pin", "ls", "--type", ""], ["all", "pin", "shard-pin"], ["pinned"]),
    (["pin", "ls", "--type", "meta"], ["meta-pin"], ["pin"]),
    (["pin", "ls", "--type", "pin,m"], ["pin,meta-pin"], ["meta-pin", "pin,pin"]),
    (["pin", "status", "-f", "pinned,pin_error,q"], ["pinned,pin_error,queued"], ["queued"]),
    (["account", "--"], ["--config", "--json"], ["--api", "--credentials"]),
    (["config", "check", "--"], ["--config", "--show"], ["--api", "--timeout"]),
    (["pin", "ls", "--"], ["--api", "--json"], []),
]


def script(shell):
    return subprocess.run([ZPIN, "completion", shell], check=True, capture_output=True,
                          text=True).stdout


class Completion(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        for shell in ["bash", "zsh", "fish"]:
            with open(f"{self.folder.name}/{shell}.script", "w") as file:
                file.write(script(shell))
        open(f"{self.folder.name}/file-one", "w").close()

    def tearDown(self):
        self.folder.cleanup()

    def run_shell(self, argv):
        return subprocess.run(argv, cwd=self.folder.name, capture_output=True, text=True,
                              check=False, timeout=60)

    def check(self, offer):
        for words, wanted, unwanted in SAMPLES:
            with self.subTest(words=words):
                offered = offer(words)
                for word in wanted:
                    self.assertIn(word, offered)
                for word in unwanted:
                    self.assertNotIn(word, offered)

    def parses(self, shell):
        result = self.run_shell([shell, "-n", f"{shell}.script"])
        self.assertEqual((result.returncode, result.stderr), (0, ""))

    def test_bash(self):
        def offer(words):
            quoted = " ".join("'" + word + "'" for word in ["zpin"] + words)
            code = (f"source ./bash.script; COMP_WORDS=({quoted}); COMP_CWORD={len(words)}; "
                    "_zpin; printf '%s\\n' \"${COMPREPLY[@]}\"")
            result = self.run_shell(["bash", "--norc", "-c", code])
            self.assertEqual(result.stderr, "")
            return result.stdout.split("\n")

        self.parses("bash")
        self.check(offer)

    @unittest.skipUnless(shutil.which("zsh"), "zsh is not installed")
    def test_zsh(self):
        def offer(words):
            # compadd and _files are zle's; what they are given is what would be offered.
            quoted = " ".join("'" + word + "'" for word in ["zpin"] + words)
            code = ("compdef() { :; }; compadd() { shift; print -l -- \"${before}${^@}\"; }; before=; "
                    "compset() { [[ $* = '-P *,' ]] && before=${words[CURRENT]%${words[CURRENT]##*,}}; }; "
                    "_files() { print -l -- *; }; source ./zsh.script; "
                    f"words=({quoted}); CURRENT={len(words) + 1}; _zpin")
            result = self.run_shell(["zsh", "-f", "-c", code])
            self.assertEqual(result.stderr, "")
            return [word for word in result.stdout.split("\n") if word.startswith(words[-1])]

        self.parses("zsh")
        self.check(offer)

    @unittest.skipUnless(shutil.which("fish"), "fish is not installed")
    def test_fish(self):
        def offer(words):
            line = " ".join(["zpin"] + words)
            code = f"source ./fish.script; complete -C '{line}'"
            result = self.run_shell(["fish", "--no-config", "-c", code])
            self.assertEqual(result.stderr, "")
            return [row.split("\t")[0] for row in result.stdout.split("\n")]

        self.parses("fish")
        # fish offers options only behind a dash.
        for words, wanted, unwanted in SAMPLES:
            with self.subTest(words=words):
                offered = offer(words)
                for word in wanted:
                    if not word.startswith("--") or words[-1].startswith("-"):
                        self.assertIn(word, offered)
                for word in unwanted:
                    self.assertNotIn(word, offered)


if __name__ == "__main__":
    unittest.main()
