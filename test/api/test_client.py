"""IPFS Cluster's JavaScript client (npm), where `npm ci --ignore-scripts` was run in this folder."""
import pathlib
import shutil
import subprocess
import sys
import unittest

from node import Node

HERE = pathlib.Path(__file__).resolve().parent


class Client(unittest.TestCase):
    def test_javascript_client(self):
        with Node() as node:
            done = subprocess.run(["node", HERE / "client.mjs", f"http://127.0.0.1:{node.port}"],
                                  capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))


if __name__ == "__main__":
    if shutil.which("node") is None or not (HERE / "node_modules").is_dir():
        print("no node_modules: run `npm ci --ignore-scripts` in test/api")
        sys.exit(77)
    unittest.main()
