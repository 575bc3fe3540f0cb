"""The pins of the benchmark: raw sha2-256 CIDv1s of digests from a seeded generator, named in order.

The same seed and index give the same pin on every machine, so figures of two commits are about the same
pinset, and a part of it can be asked for without keeping a list.
"""
import base64
import hashlib
import random

EXPORT_LINE = (
    '{"replication_factor_min":-1,"replication_factor_max":-1,"name":"%s","mode":"recursive",'
    '"shard_size":0,"user_allocations":null,"expire_at":"0001-01-01T00:00:00Z","metadata":null,'
    '"pin_update":null,"origins":[],"cid":"%s","type":"pin","allocations":[],"max_depth":-1,'
    '"reference":null,"timestamp":"%s"}\n')
CID_HEAD = bytes([0x01, 0x55, 0x12, 0x20])  # version 1, raw, sha2-256, 32 bytes


class Pins:
    def __init__(self, seed=1):
        self.seed = seed.to_bytes(8, "big")

    def cid(self, index):
        digest = hashlib.sha256(self.seed + index.to_bytes(8, "big")).digest()
        return "b" + base64.b32encode(CID_HEAD + digest).decode().rstrip("=").lower()

    @staticmethod
    def name(index):
        return "pin-%010d" % index

    def write_export(self, path, count):
        """What `ipfs-cluster-service state export` writes for the first `count` pins; an age of 40 days,
        seconds apart, is what a pinset looks like that was filled in one go."""
        with open(path, "w", encoding="ascii") as file:
            for index in range(count):
                second = index % 86400
                when = "2026-%02d-%02dT%02d:%02d:%02dZ" % (
                    5 + index // 86400 // 28 % 7, 1 + index // 86400 % 28, second // 3600,
                    second // 60 % 60, second % 60)
                file.write(EXPORT_LINE % (self.name(index), self.cid(index), when))

    def write_gets(self, path, count, pins_count, seed):
        choose = random.Random(seed)
        with open(path, "w", encoding="ascii") as file:
            for _ in range(count):
                file.write(f"GET /allocations/{self.cid(choose.randrange(pins_count))}\n")

    def write_posts(self, path, first, count):
        with open(path, "w", encoding="ascii") as file:
            for index in range(first, first + count):
                file.write(f"POST /pins/{self.cid(index)}?name={self.name(index)}\n")
