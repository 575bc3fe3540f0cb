#!/usr/bin/env python3
"""What `make install` puts into a system is whole: the program runs, the manual pages are pages, the
completions are those that it prints, the unit names it, and its config is good and is never overwritten.

Usage: install.py BUILD

Into a folder of its own (DESTDIR), from the build as it is.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

BUILD = pathlib.Path(sys.argv.pop(1)).resolve()


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="zpin-install-")
        cls.root = pathlib.Path(cls.folder.name)
        cls.install()

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def install(cls):
        subprocess.run(["meson", "install", "-C", str(BUILD), "--no-rebuild", "--quiet"], check=True,
                       env={**os.environ, "DESTDIR": str(cls.root)}, stdout=subprocess.DEVNULL)

    def one(self, pattern):
        found = sorted(self.root.rglob(pattern))
        self.assertEqual(len(found), 1, pattern)
        return found[0]

    def run_zpin(self, *arguments):
        return subprocess.run([self.one("bin/zpin"), *arguments], check=True, capture_output=True, text=True,
                              env={"PATH": "/usr/bin:/bin"}).stdout

    def test_program(self):
        self.assertIn("Usage: zpin COMMAND", self.run_zpin("help"))

    @unittest.skipUnless(shutil.which("scdoc"), "scdoc is not installed")
    def test_manual_pages(self):
        for page in ["zpin.1", "zpin.yaml.5", "zpin-serve.8"]:
            text = self.one(f"man{page[-1]}/{page}").read_text()
            name, section = page.rsplit(".", 1)
            self.assertRegex(text, rf'(?m)^\.TH "{name}" "{section}"')
            self.assertIn(".SH NAME", text)

    def test_completions(self):
        for shell, place in [("bash", "bash-completion/completions/zpin.bash"), ("zsh", "site-functions/_zpin"),
                             ("fish", "vendor_completions.d/zpin.fish")]:
            self.assertEqual(self.one(place).read_text(), self.run_zpin("completion", shell))

    def test_unit(self):
        program = "/" + str(self.one("bin/zpin").relative_to(self.root))
        unit = self.one("systemd/system/zpin.service").read_text()
        self.assertIn(f"ExecStart={program} serve", unit)
        self.assertIn("zpin", self.one("sysusers.d/zpin.conf").read_text())
        self.assertIn("/var/lib/zpin", self.one("tmpfiles.d/zpin.conf").read_text())

    def test_config(self):
        config = self.root / "etc/zpin/zpin.yaml"
        self.assertIn("the config is good", self.run_zpin("config", "check", "--config", str(config)))
        self.assertEqual(config.stat().st_mode & 0o777, 0o640)
        self.assertEqual(config.read_text(), self.run_zpin("config", "example"))
        config.write_text("node: {name: mine}\n")
        self.install()
        self.assertEqual(config.read_text(), "node: {name: mine}\n")


if __name__ == "__main__":
    unittest.main()
