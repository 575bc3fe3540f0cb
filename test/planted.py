#!/usr/bin/env python3
"""Plants a bug of each kind in a copy of the source and sees that the simulation finds it.

Usage: planted.py FOLDER [WORD…]        (make check-planted; about fifteen minutes of CPU)
       planted.py --table               the table for docs/testing.md, from the list

With words only the bugs whose kind or words have one of them. Each is a line of src/ (or several, or a list of
them) and what stands in its place; the simulation runs one seed after the other until one finds it, which is told.
"""
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import mutate  # noqa: E402

PROGRAM = "test/simulate/simulate"
RUNS = 200
FIRST_SEED = 5000

# the fault that shows it, what is wrong, file, line, line in its place
BUGS = [
    ("power cut: lost writes", "a commit is not synced",
     "store/log.c", "rc = store__disk_sync(store, log->file, log->name);", "rc = 0;"),
    ("power cut: torn writes", "a batch's checksum is not looked at",
     "journal/format.c", """	       zp_load_u64le(bytes + BATCH_CHECKSUM) ==
		   zp_hash64(bytes + CHECKED_OFFSET, length - CHECKED_OFFSET, number);""", "	       length > 0;"),
    ("power cut: reordered writes", "a file gets its name before its bytes are synced",
     "store/writer.c", "return writer_sync(writer, err);", "return 0;"),
    ("power cut: reordered names", "a published name is not synced",
     "store/writer.c", "rc = store__directory_sync(store, err);", "rc = 0;"),
    ("crash while trimming", "a removal is not synced before the next",
     "journal/journal.c", "		rc = zp_store_sync_directory(journal->store, err);", "		rc = 0;"),
    ("merges", "tombstones go although an older run stays",
     "engine/merge.c", "plan.drops_tombstones = merge_span__is_oldest(&span);", "plan.drops_tombstones = true;"),
    ("merges by spans", "tombstones go although a later file of an older run has the key",
     "engine/merge_span.c", "		for (size_t j = 0; j < run->segment_count; j++) {",
     "		for (size_t j = 0; j < zp_min_u64(run->segment_count, 1); j++) {"),
    ("merges by spans", "a step's manifest drops the newest run before all its spans are merged",
     "engine/merge.c", "		    &manifest->runs[span->first_run + i], 0, span->end[i] - span->from[i]);",
     "		    &manifest->runs[span->first_run + i], 0, i == 0 && span->end[i] > span->from[i]\n"
     "		    ? manifest->runs[span->first_run + i].segment_count : span->end[i] - span->from[i]);"),
    ("merges by spans", "a span ends at a key that a file lies across",
     "engine/merge_span.c",
     "		if (span->segments > before && key_compare(segment->first_key, span->last_key) > 0)",
     "		if (span->segments > before)"),
    ("accesses", "a batch that the shard has is replayed",
     "shard/replay.c", "batch <= shards->members[index].covered ||", "batch < shards->members[index].covered ||"),
    ("accesses", "a pin that goes leaves its accesses behind",
     "engine/apply.c", "	if (!engine->has_accesses || change->has_new)\n		return;\n	key =",
     "	if (engine->has_accesses || change->has_new)\n		return;\n	key ="),
    ("accesses", "rows that a merge meets are not added up",
     "engine/merge_files.c", "	for (size_t nth = 1; (older = run_walks__older(walks, nth)) != NULL; nth++) {\n"
     "		struct accesses_sum added", "	for (size_t nth = 1000; (older = run_walks__older(walks, nth)) != NULL; nth++) {\n"
     "		struct accesses_sum added"),
    ("accesses", "what was written of noted ones waits to be written again",
     "command/accesses.c", "if (write->rc < 0 && write->rc != ZP_E_NOT_FOUND &&", "if (write->rc != ZP_E_NOT_FOUND &&"),
    ("accesses", "a stop forgets what was noted",
     "command/accesses.c", "	bool is_over = false;\n\n	if (accesses == NULL)", "	bool is_over = true;\n\n	if (accesses == NULL)"),
    ("crash before the checkpoint", "the journal is not replayed from where the manifest ends",
     "shard/replay.c", "batch <= shards->members[index].covered ||", "batch <= shards->members[index].covered + 1 ||"),
    ("failed sync", "a failed sync of the journal counts as done",
     "store/log.c", 'return zp_fail_errno(err, rc, "sync %s/%s", store->path, log->name);', "return 0;"),
    ("failed sync", "trimming goes on after a file that was half begun",
     "journal/journal.c", "	return next_file_begin(journal, err);", "	return file_begin(journal, err);"),
    ("failed sync, process killed", "the last write is believed and not written again",
     "journal/open.c", "	return zp_store_log_sync(journal->log, err);", "	return 0;"),
    ("full disk", "a write that did not fit counts as written",
     "store/writer.c", 'return zp_fail_errno(err, rc, "write %s/%s", store->path, writer->temporary);',
     "writer->failed = false;"),
    ("full disk", "writers wait for memory that cannot be flushed",
     "command/checkpoint.c", "node->checkpoint_is_failing = rc < 0;", "node->checkpoint_is_failing = false;"),
    ("flipped bit", "a block's checksum is not looked at",
     "engine/segment_block.c", "if ((uint32_t)zp_hash64(bytes, length - CHECKSUM_BYTES, layout->seed + number) !=",
     "if (bytes == NULL && (uint32_t)zp_hash64(bytes, length - CHECKSUM_BYTES, layout->seed + number) !="),
    ("flipped bit", "the checksum of texts is not looked at",
     "engine/segment_texts.c", "if (texts__checksum(segment->layout.seed, place->offset, compressed,",
     "if (compressed == NULL && texts__checksum(segment->layout.seed, place->offset, compressed,"),
    ("flipped bit", "a delete is left out of the replay where the file is damaged",
     "shard/replay.c", "return decided->has_old || decided->old_is_unknown;", "return decided->has_old;"),
    ("stale block", "the checksum of a segment's sections is not looked at",
     "engine/segment_open.c",
     "if (zp_hash64(to, place->length, segment->layout.seed + 1 + section) != place->checksum)", "if (false)"),
    ("misdirected block", "the checksum of the small files is not looked at",
     "engine/envelope.c", "if (checksum != zp_load_u64le(file.data + 8))", "if (false)"),
    ("lost write", "verify passes files of pins over",
     "engine/upkeep.c", "rc = segment__verify(segment, &verifying->check, &why);",
     "rc = family == ZP_FAMILY_PIN ? ZP_OK : segment__verify(segment, &verifying->check, &why);"),
    ("short read", "a read that ends early counts as whole",
     "store/file.c", "	if (got < read->length)", "	if (false)"),
    ("read error", "what cannot be read counts as absent",
     "engine/read.c", "		if (found == ZP_E_NOT_FOUND)", "		if (found != ZP_OK)"),
    ("failed call", "a journal that cannot be read is cut",
     "journal/scan.c", "	rc = journal__scan_bytes(scan, scan->offset, length, &bytes, err);\n	if (rc < 0)\n		return rc;",
     "	rc = journal__scan_bytes(scan, scan->offset, length, &bytes, err);\n	if (rc < 0)\n		return JOURNAL_TORN;"),
    ("hanging disk", "a read waits for upkeep",
     "command/get.c", "	bool was_hurried = zp_store_hurry(true);\n	struct zp_record record;",
     "	bool was_hurried = (command__upkeep_enter(node), command__upkeep_leave(node), zp_store_hurry(true));\n"
     "	struct zp_record record;"),
    ("clock", "a due pin that was pinned again goes all the same",
     "command/commit.c", "		    old->facts[ZP_FACT_EXPIRE_AT] != write->record.facts[ZP_FACT_EXPIRE_AT])",
     "		    old->facts[ZP_FACT_EXPIRE_AT] == 0)"),
    ("threads' turns", "a list goes on with the last key again",
     "command/list.c", "zp_key_compare(key_out, &list->last) <= 0", "zp_key_compare(key_out, &list->last) < 0"),
    ("lists by creation", "the next window of time begins a second too early",
     "command/newest.c", "newest->last = range->first - 1;", "newest->last = range->first - 2;"),
    ("lists by creation", "a page goes on with the last pin again",
     "command/newest.c", "found_order(&found, &newest->after) <= 0", "found_order(&found, &newest->after) < 0"),
    ("lists by creation", "an entry of time counts though its pin was made anew",
     "command/newest.c", "zp_unzigzag(record->facts[ZP_FACT_CREATED]) == found->created &&",
     "found->created != INT64_MIN &&"),
    ("hostile keys", "keys of one digest are one in memory",
     "engine/memtable.c",
     ["memcmp(slot_row(keyed, slot), key, ZP_KEY_BYTES) == 0", "(uint32_t)zp_hash64(key, ZP_KEY_BYTES, memtable->seed)"],
     ["memcmp(slot_row(keyed, slot), key, 34) == 0", "(uint32_t)zp_hash64(key, 34, memtable->seed)"]),
    ("flipped bit", "the scrub compares no segment with its name",
     "engine/scrub.c", "if (fault == ZP_OK && content.low == said.low && content.high == said.high) {", "if (fault == ZP_OK) {"),
    ("scrub", "what was mended is not forgotten",
     "command/damage.c", '	places_remove(node, shard, round, "");', "	(void)round;"),
    ("deep verify", "a pin that is written again has no entry of time any more",
     "engine/index.c", "	if (new != NULL)\n		memtable__index_add(", "	if (new != NULL && old == NULL)\n		memtable__index_add("),
    ("repair", "a whole journal is repaired too",
     "command/repair.c", "	if (looked == ZP_OK) {\n		rc = repair->give_up",
     "	if (looked == ZP_OK && repair->accept_loss)\n		return salvage(node, repair, report, err);\n"
     "	if (looked == ZP_OK) {\n		rc = repair->give_up"),
    ("snapshot", "a snapshot's names are not synced",
     "store/link.c", "rc = disk->ops->directory_sync(disk, to);", "rc = 0;"),
]


# As in test/simulate/simulate.h; what is not here needs no fault.
EPISODES = {"power cut": 1, "crash": 1, "failed sync": 2, "failed call": 2, "full disk": 3, "hanging disk": 4, "flipped bit": 5,
            "stale block": 5, "misdirected block": 5, "lost write": 5, "scrub": 5, "short read": 2, "read error": 5}


def fault_of(program, episode, seed):
    """What the seed finds, or None."""
    try:
        done = subprocess.run([program, "--episode", str(episode), str(seed)], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", timeout=120)
    except subprocess.TimeoutExpired:
        return "it does not end"
    if done.returncode == 0:
        return None
    first = (done.stdout.splitlines() or ["it ends without a word"])[0]
    return re.sub(r"^seed \d+, step \d+: ", "", first)


def finding(tree, kind, unchanged):
    """The seed that finds something and what it says, or None. What it finds without the bug too, by the program
    `unchanged`, is a fault of the simulation or of zpin, which is told and counts for nothing here."""
    episode = ([number for word, number in EPISODES.items() if kind.startswith(word)] or [0])[0]
    tree.build([PROGRAM])
    for seed in range(FIRST_SEED, FIRST_SEED + RUNS):
        found = fault_of(tree.build_folder / PROGRAM, episode, seed)
        if found is None:
            continue
        without = fault_of(unchanged, episode, seed)
        if without is None:
            return seed, found
        print(f"simulate --episode {episode} {seed} fails although nothing is planted: {without}", flush=True)
    return None


def main():
    if sys.argv[1] == "--table":
        print("| fault | planted bug | in |\n|---|---|---|")
        for kind, what, path, _, _ in BUGS:
            print(f"| {kind} | {what} | `{path}` |")
        return 0
    words = sys.argv[2:]
    bugs = [bug for bug in BUGS if not words or any(word in bug[0] + " " + bug[1] for word in words)]
    tree = mutate.Tree(pathlib.Path(sys.argv[1]).resolve())
    tree.build([PROGRAM])
    unchanged = tree.build_folder / "simulate-unchanged"
    shutil.copy(tree.build_folder / PROGRAM, unchanged)
    missed = 0
    for kind, what, path, line, instead in bugs:
        try:
            with tree.changed(path, line, instead):
                found = finding(tree, kind, unchanged)
        except LookupError as error:
            print(f"gone: {error}", flush=True)
            missed += 1
            continue
        missed += found is None
        print(f"{'NOT FOUND' if found is None else 'seed %d' % found[0]}: {kind}: {what}"
              f"{'' if found is None else ' (' + found[1][:100] + ')'}", flush=True)
    print(f"{len(bugs) - missed} of {len(bugs)} planted bugs are found")
    return 1 if missed else 0


sys.exit(main())
