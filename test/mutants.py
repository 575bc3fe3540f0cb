#!/usr/bin/env python3
"""Makes the code wrong in one place at a time and sees whether its tests notice.

Usage: mutants.py FOLDER [GROUP… | FILE…]      (make check-mutants; about twenty minutes)

A mutant that survives is a rule that no test holds. Each is one line of src/ and what stands in its place,
in a copy of the source (FOLDER/tree); the group says which test programs must notice.
"""
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import mutate  # noqa: E402

UNIT = "test/unit/"
PROGRAMS = {
    "journal": [UNIT + "journal/test-" + name for name in
                ("journal-damage", "journal", "journal-mark", "journal-reader", "journal-crash")],
    "segment": [UNIT + "engine/test-" + name for name in
                ("segment", "segment_contradictions", "segment_damage", "segment_ordered", "segment_golden", "filter", "column")],
    "engine": [UNIT + "engine/test-" + name for name in
               ("manifest", "memtable", "tables", "engine-damage", "engine-recount", "engine-merge", "engine-time", "engine")],
    "command": [UNIT + "command/test-command-" + name for name in
                ("recover", "write", "failure", "import", "node")] + [UNIT + "shard/test-shard-formats",
                                                                      "test/model/model"],
}

MUTANTS = [
    # group, file, line, line in its place
    ("journal", "journal/format.c", "if (batch->number != chain->number + 1)", "if (batch->number < chain->number)"),
    ("journal", "journal/format.c", "if (frame->previous != chain->checksum)", "if (false)"),
    ("journal", "journal/format.c", "if (frame->durable < chain->durable || frame->durable >= batch->number)",
     "if (frame->durable < chain->durable)"),
    ("journal", "journal/format.c", "if (batch->time_microseconds < chain->time_microseconds)", "if (false)"),
    ("journal", "journal/format.c",
     "if (batch->epoch < chain->epoch || (chain->is_sealed && batch->epoch == chain->epoch))",
     "if (batch->epoch < chain->epoch)"),
    ("journal", "journal/format.c", "if (found != count)", "if (false)"),
    ("journal", "journal/format.c", "if (zp_load_u64le(bytes + HEADER_CHECKSUM) != checksum)", "if (false)"),
    ("journal", "journal/open.c", "if (rc == ZP_END && number <= journal->mark.number)",
     "if (rc == ZP_END && number < journal->mark.number)"),
    ("journal", "journal/open.c", "if (journal->chain.number < journal->mark.number)", "if (false)"),
    ("journal", "journal/journal.c",
     "while (journal->files_count > 1 && journal->files[1].first_batch - 1 <= number) {",
     "while (journal->files_count > 1 && journal->files[1].first_batch - 2 <= number) {"),
    ("segment", "engine/segment_ordered.c",
     "if (segment->layout.texts_column == 0 ? place.offset != check->at\n\t\t\t\t\t      : place.offset < check->at)", "if (false)"),
    ("segment", "engine/segment_ordered.c", "if (check->has_last && segment__columns_compare(check->last, first, columns) >= 0)",
     "if (check->has_last && segment__columns_compare(check->last, first, columns) > 0)"),
    ("segment", "engine/segment_index.c", "memcmp(fence_key(before), fence_key(fence), ZP_KEY_BYTES) >= 0)",
     "memcmp(fence_key(before), fence_key(fence), ZP_KEY_BYTES) > 0)"),
    ("segment", "engine/segment_open.c",
     'return section.length == 0 ? NULL : "there are bytes behind the columns";', "return NULL;"),
    ("segment", "engine/segment_open.c",
     "if (zp_hash64(to, place->length, segment->layout.seed + 1 + section) != place->checksum)", "if (false)"),
    ("segment", "engine/segment_ordered.c", "else if (fault == NULL && check.at != segment->blocks_end)", "else if (false)"),
    ("segment", "engine/filter.c",
     "if (filter->hash_count == 0 || filter->hash_count > FILTER_HASHES_MAX)", "if (filter->hash_count == 0)"),
    ("segment", "engine/filter.c", "if ((block[(bits & 511) / 8] & (1u << (bits & 7))) == 0)",
     "if ((block[(bits & 511) / 8] & (1u << (bits & 7))) == 0 && i > 2)"),
    ("engine", "engine/manifest_format.c",
     "manifest->lanes[manifest->lane_count - 1].node >= lane.node)",
     "manifest->lanes[manifest->lane_count - 1].node > lane.node)"),
    ("engine", "engine/manifest_format.c", "if (rc == ZP_END && (seen & REQUIRED) != REQUIRED)", "if (false)"),
    ("engine", "engine/manifest_format.c",
     "if (rc == ZP_END && memcmp(manifest.low, manifest.high, ZP_KEY_BYTES) >= 0)", "if (false)"),
    ("engine", "engine/manifest_format.c", "if (tag < 32 && (seen & ONCE & (1u << tag)) != 0)", "if (false)"),
    ("engine", "engine/envelope.c", "if (tag < reader->last_tag)", "if (false)"),
    ("engine", "engine/apply.c", "counter->size_bytes -= size;", "(void)size;"),
    ("engine", "engine/merge.c", "plan.drops_tombstones = merge_span__is_oldest(&span);", "plan.drops_tombstones = true;"),
    ("engine", "engine/index.c", "if (old != NULL && new != NULL &&*old == *new)", "if (old != NULL && new != NULL)"),
    ("engine", "engine/recount.c", "if (engine->frozen_counters != NULL) {", "if (false) {"),
    ("engine", "engine/read.c", "return version->runs[run_at][at] == NULL ? MANIFEST_KEY_BYTES : ZP_KEY_BYTES;", "return ZP_KEY_BYTES;"),
    ("engine", "engine/upkeep.c", "if (rc == ZP_OK && manifest->has_tables) {", "if (false) {"),
    ("engine", "engine/scan.c", "if (failed < 0 || !is_present || due.count == keys_max)", "if (failed < 0)"),
    ("command", "shard/replay.c", "if (covered > last)", "if (false)"),
    ("command", "shard/replay.c", "if (covered + 1 >= first) {", "if (true) {"),
    ("command", "shard/replay.c",
     "decided->old_record.facts[ZP_FACT_EXPIRE_AT] == change->expire_fact);", "true);"),
    ("command", "shard/replay.c", "if (record->incarnation > incarnation)", "if (false)"),
    ("command", "shard/replay.c",
     "count < (int)ZP_GROUP_ITEMS_MAX ? batch->number : batch->number - 1);", "batch->number);"),
    ("command", "shard/replay.c",
     "if (zp_shard_map_find(&shards->map, &change->key) != (uint32_t)index)", "if (false)"),
    ("command", "shard/replay.c", "if (batch->origin.sequence != 0)", "if (false)"),
    ("command", "shard/replay.c", "if (shards->members[i].covered < batch && !shards->keeps_positions)",
     "if (!shards->keeps_positions)"),
    ("command", "shard/open.c",
     "return rc == ZP_E_CORRUPT || rc == ZP_E_NOT_FOUND || rc == ZP_E_IO || rc == ZP_E_CONFLICT;", "return rc < 0;"),
    ("command", "command/commit.c",
     "if (zp_shards_origin_get(node->shards, batch->origin.id) >= batch->origin.sequence)",
     "if (zp_shards_origin_get(node->shards, batch->origin.id) > batch->origin.sequence)"),
    ("command", "command/commit.c", "first->origin.sequence >= batch->origin.sequence)", "false)"),
    ("command", "command/expire.c", "if (rc < 0 || count < COMMAND__EXPIRE_KEYS_MAX)", "if (true)"),
]


def noticed_by(tree, group):
    """The program and test that fail, or None."""
    tree.build(PROGRAMS[group])
    for program in PROGRAMS[group]:
        try:
            done = subprocess.run([tree.build_folder / program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True, errors="replace", timeout=180)
        except subprocess.TimeoutExpired:
            return program.split("/")[-1] + " (does not end)"
        if done.returncode != 0:
            failed = [line.split("] ", 1)[1] for line in done.stdout.splitlines() if line.startswith("[  FAILED  ] ")]
            names = [name for name in failed if "test(s)" not in name]
            return program.split("/")[-1] + (" " + names[0] if names else "")
    return None


def main():
    tree = mutate.Tree(pathlib.Path(sys.argv[1]).resolve())
    files = [argument for argument in sys.argv[2:] if "/" in argument]
    groups = [argument for argument in sys.argv[2:] if "/" not in argument] or list(PROGRAMS)
    if files:
        groups = sorted({mutant[0] for mutant in MUTANTS if mutant[1] in files})
    for group in groups:
        failing = noticed_by(tree, group)
        if failing is not None:
            raise SystemExit(f"{failing} fails although nothing is wrong")
    mutants = [mutant for mutant in MUTANTS if mutant[0] in groups and (not files or mutant[1] in files)]
    survivors = 0
    for group, path, line, instead in mutants:
        try:
            with tree.changed(path, line, instead):
                who = noticed_by(tree, group)
        except LookupError as error:
            print(f"gone: {error}", flush=True)
            continue
        survivors += who is None
        print(f"{who or 'NOBODY'}: {path}: {line} → {instead}", flush=True)
    print(f"{len(mutants) - survivors} of {len(mutants)} mutants are noticed")
    return 1 if survivors else 0


sys.exit(main())
