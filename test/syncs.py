#!/usr/bin/env python3
"""Every sync in src/ is needed, and a named test shows it.

Usage: syncs.py                         every call that syncs is in the table below, once
       syncs.py --prove FOLDER [FILE…]  takes each away (or those of FILE) in a copy of the source, and
                                        its test must fail
       syncs.py --table                 the table as Markdown, for docs/testing.md

A site is one line of code that asks for a sync, or hands the request on. `--prove` (make check-syncs; about
five minutes) changes one line at a time in FOLDER/tree, builds what the test needs, and runs it: first all
tests with nothing taken away, which must pass, then each site's, which must fail.
"""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import mutate  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
CALL = re.compile(r"\b(fsync|fdatasync|syncfs|sync_file_range|sync_handle|zp_disk_entry_sync|writer_sync|name_sync|"
                  r"store__directory_sync|store__log_sync|zp_store_sync_directory|zp_store_log_sync|"
                  r"directory_sync|file_sync|store__disk_sync|store__disk_sync_directory)\(")

# folder of the build, program, what it is called in the table
PROGRAMS = {
    "store": "test/unit/store/test-store-crash",
    "journal": "test/unit/journal/test-journal-crash",
    "mark": "test/unit/journal/test-journal-mark",
    "engine": "test/unit/engine/test-engine-crash",
    "give_up": "test/unit/command/test-command-give_up",
}

# file, line (without indentation), line in its place, test program or power, test that fails, what is lost
SITES = [
    ("os/disk.c", "return fsync(handle) == 0 ? 0 : errno;", "return handle < 0 ? errno : 0;",
     "power", "writes", "any name"),
    ("os/disk.c", "rc = sync_handle(handle);", "rc = 0;",
     "power", "folders", "a new folder, or an identity kept elsewhere"),
    ("os/disk.c", "rc = zp_disk_entry_sync(path);", "rc = 0;",
     "power", "writes", "a directory of the node made new, with all that is in it"),
    ("os/disk.c", "return sync_handle(directory);", "return 0;",
     "power", "writes", "names in the node's directories"),
    ("os/disk.c", "return fdatasync(file) == 0 ? 0 : errno; /* no loop, as in sync_handle */", "return 0;",
     "power", "writes", "the bytes of every file of the store"),
    ("store/calls.c", "int rc = store->disk->ops->file_sync(store->disk, file);", "int rc = 0;",
     "store", "published_files_survive", "the bytes of every file of the store"),
    ("store/calls.c", "int rc = store->disk->ops->directory_sync(store->disk, store->directory);", "int rc = 0;",
     "store", "published_files_survive", "any name"),
    ("store/writer.c", "rc = store__disk_sync(store, writer->file, writer->temporary);", "rc = 0;",
     "store", "published_files_survive", "a published file's bytes"),
    ("store/writer.c", "return writer_sync(writer, err);", "return 0;",
     "store", "published_files_survive", "the same"),
    ("store/writer.c", "rc = store__directory_sync(store, err);", "rc = 0;",
     "store", "published_files_survive", "a published file's name"),
    ("store/log.c", "rc = store__directory_sync(store, err);", "rc = 0;",
     "store", "logs_survive", "a new log's name"),
    ("store/log.c", "rc = store__disk_sync(store, log->file, log->name);", "rc = 0;",
     "store", "logs_survive", "what was appended"),
    ("store/log.c", "return store__log_sync(base, err);", "return 0;",
     "store", "logs_survive", "a cut: the old end comes back"),
    ("store/link.c", "rc = disk->ops->directory_sync(disk, to);", "rc = 0;",
     "power", "snapshot", "the files of a snapshot"),
    ("store/tree.c", "rc = zp_disk_entry_sync(path);", "rc = 0;",
     "power", "removal", "the removal of a snapshot: it is there again"),
    ("store/directory.c", "rc = store__disk_sync_directory(store);", "rc = 0;",
     "store", "published_files_survive", "any name"),
    ("store/directory.c", "return store__directory_sync(store, err);", "return 0;",
     "store", "removals_survive", "a removal: the file comes back"),
    ("journal/journal.c", "rc = zp_store_log_sync(journal->log, &cause);", "rc = 0;",
     "journal", "committed_batches_survive_every_crash", "acknowledged writes"),
    ("journal/journal.c", "rc = zp_store_sync_directory(journal->store, err);", "rc = 0;",
     "journal", "committed_batches_survive_every_crash", "the order of removals: a hole in the journal"),
    ("journal/open.c", "return zp_store_log_sync(journal->log, err);", "return 0;",
     "journal", "committed_batches_survive_every_crash", "a batch that was read, believed and built on"),
    ("journal/open.c", "return zp_store_sync_directory(journal->store, err);", "return 0;",
     "journal", "committed_batches_survive_every_crash", "a file that was read, believed and built on"),
    ("journal/mark.c", "zp_ignore(zp_store_log_sync(journal->mark_log, NULL));", ";",
     "mark", "clean_stop_leaves_a_durable_mark", "the witness of the last commits before a clean stop"),
    ("engine/upkeep.c", "rc = zp_store_sync_directory(engine->options.store, err);", "rc = 0;",
     "engine", "long_histories_survive_crashes", "an old manifest comes back without its files"),
    ("engine/engine.c", "rc = zp_store_sync_directory(engine->options.store, err);", "rc = 0;",
     "engine", "script_survives_a_crash_at_every_change", "a manifest that was read and believed"),
    ("shard/give_up.c", "rc = zp_store_sync_directory(store, err);", "rc = 0;",
     "give_up", "it_can_be_cut_short_anywhere", "an old manifest comes back without its files"),
    ("os/disk.c", "return sync_handle(handle);", "return 0;",
     "power", "init", "the node's key, and the config that init made; an empty one names another data directory"),
    ("os/disk.c", "return rc != 0 ? rc : zp_disk_entry_sync(path);", "return rc;",
     "power", "identity", "the key's name, where node.identity is outside the data directory"),
    ("main/parts.c", "rc = zp_disk_entry_sync(path);", "rc = 0;",
     "power", "folders", "a folder above the data directory"),
    ("cli/cmd_export.c", "if (is_kept && (fflush(export->file) != 0 || fsync(fileno(export->file)) != 0)) {",
     "if (is_kept && fflush(export->file) != 0) {",
     "power", "export", "the bytes of an export"),
    ("cli/cmd_export.c", "if (fsync(fd) != 0 && errno != EINVAL)", "if (fd < 0)",
     "power", "export", "the name of an export"),
    ("cli/cmd_export.c", "rc = name_sync(export->path, err);", "(void)name_sync;",
     "power", "export", "the same"),
]


def calls():
    """(file, line) of every call; a definition begins its line, a table entry has no parenthesis."""
    for path in sorted((ROOT / "src").glob("*/*.c")):
        for line in path.read_text().splitlines():
            if line[:1] in "\t " and CALL.search(line) and not line.strip().startswith(("/*", "*")):
                yield str(path.relative_to(ROOT / "src")), line.strip()


def listed():
    found = list(calls())
    known = [(site[0], site[1]) for site in SITES]
    faults = [f"src/{path}: {line}\n    syncs and is not in test/syncs.py" for path, line in found
              if (path, line) not in known]
    faults += [f"test/syncs.py: src/{path} has this line {found.count((path, line))} times:\n    {line}"
               for path, line in known if found.count((path, line)) != 1]
    if not faults:
        page = (ROOT / "docs" / "testing.md").read_text()
        faults += [f"docs/testing.md lacks: {row}" for row in rows() if row not in page]
    print("\n".join(faults) or f"{len(found)} syncs, each with its test")
    return 1 if faults else 0


def rows():
    for path, line, _, program, test, lost in SITES:
        number = next(at for at, text in enumerate((ROOT / "src" / path).read_text().splitlines(), 1)
                      if text.strip() == line)
        function = next(text.split("(")[0] for text in
                        reversed((ROOT / "src" / path).read_text().splitlines()[:number])
                        if re.match(r"[a-z_0-9]+\(", text))
        where = f"power {test}" if program == "power" else f"{PROGRAMS[program].split('/')[-1]} {test}"
        yield f"| `{path}` `{function}` | {lost} | `{where}` |"


def table():
    print("| sync | without it is lost | shown by |\n|---|---|---|", *rows(), sep="\n")
    return 0


# ---- Proving


def passes(tree, program, test):
    if program == "power":
        targets = ["src/main/zpin", "test/power/power-recorder.so"]
        tree.build(targets)
        zpin, recorder = (tree.build_folder / target for target in targets)
        return mutate.run(sys.executable, tree.source / "test/power/power.py", zpin, recorder, test).returncode == 0
    tree.build([PROGRAMS[program]])
    return f"[       OK ] {test}" in mutate.run(tree.build_folder / PROGRAMS[program]).stdout


def prove(folder, only):
    tree = mutate.Tree(folder)
    sites = [site for site in SITES if not only or site[0] in only]
    for program, test in sorted({(site[3], site[4]) for site in sites}):
        if not passes(tree, program, test):
            raise SystemExit(f"{program} {test} fails with all syncs in place")
    survived = 0
    for path, line, instead, program, test, _ in sites:
        with tree.changed(path, line, instead):
            is_needed = not passes(tree, program, test)
        survived += not is_needed
        print(f"{'shown' if is_needed else 'NOT SHOWN'}: {path}: {line}: {program} {test}", flush=True)
    print(f"{len(sites) - survived} of {len(sites)} syncs are shown to be needed")
    return 1 if survived else 0


def main():
    if sys.argv[1:2] == ["--prove"]:
        return prove(pathlib.Path(sys.argv[2]).resolve(), sys.argv[3:])
    return table() if sys.argv[1:] == ["--table"] else listed()


sys.exit(main())
