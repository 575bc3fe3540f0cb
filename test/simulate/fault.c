/*
 * fault.c - episodes: what goes wrong, for how long, and what is excused meanwhile.
 *
 * One kind at a time, so that what is not excused by it is told; a crash may come into any. At the
 * end of an episode the node is opened again where it may not be what it was, the disk is healed,
 * and nothing is excused any more: whatever was believed while it lied shows then.
 */
#include "simulate.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define SECOND_NS UINT64_C(1000000000)

enum {
	BLOCK = 512,
	FILES_MAX = 512,
	DAMAGES_AT_ONCE = 4,
	ROT_BYTES = 4096,     /* of a file that rots: one flipped bit in so many */
	SMALL_ROT_ONE_IN = 4, /* manifests and tables: a bit of one in so many */
};

/* ---- The disk's calls ----------------------------------------------------------------------- */

static void
on_call(void *context, enum sim_call call)
{
	struct faults *faults = &run.faults;

	(void)context;
	sim_world_pass_ns(1000 + sim_world_random(100000));
	if (faults->hang_in > 0 && (call & faults->hang_calls) != 0 && sim_world_thread() != 0 &&
	    --faults->hang_in == 0) {
		tell("  a call hangs for %" PRIu64 " s", faults->hang_ns / SECOND_NS);
		run.counts[COUNT_FAULTS]++;
		faults->is_hanging = true;
		sim_world_sleep_ns(faults->hang_ns);
		faults->is_hanging = false;
	} else if (sim_world_random(4) == 0) {
		sim_world_yield();
	}
}

void
fault_install(void)
{
	sim_store_on_call(run.sim, on_call, NULL);
}

/* ---- What is excused ------------------------------------------------------------------------ */

static bool
is_suspect(uint32_t shard)
{
	for (size_t i = 0; i < run.faults.suspects_count; i++) {
		if (run.faults.suspects[i] == shard)
			return true;
	}
	return run.faults.suspects_count == DAMAGED_MAX;
}

static void
suspect_note(void *context, const char *path, const char *name, uint64_t offset, size_t length)
{
	const char *shard = strstr(path, "/shards/");
	char id[32];

	(void)context, (void)name, (void)offset, (void)length;
	if (shard == NULL || strstr(path, "/snapshots") != NULL)
		return;
	for (uint32_t i = 0; i < run.shards; i++) {
		snprintf(id, sizeof(id), "%016llx", (unsigned long long)run.shard_ids[i]);
		if (strcmp(shard + 8, id) == 0 && !is_suspect(i))
			run.faults.suspects[run.faults.suspects_count++] = i;
	}
}

void
fault_suspects_look(void)
{
	if (run.faults.is_damaged)
		sim_store_damages(run.sim, suspect_note, NULL);
}

bool
fault_excuses_read(uint32_t key)
{
	if (run.faults.reads_may_fail || sim_store_is_dead(run.sim))
		return true;
	fault_suspects_look();
	return run.faults.is_damaged && is_suspect(shard_of(key));
}

bool
fault_excuses_any_read(void)
{
	return run.faults.reads_may_fail || run.faults.is_damaged || sim_store_is_dead(run.sim);
}

bool
fault_excuses_write(void)
{
	return run.faults.episode == EPISODE_FAIL || run.faults.episode == EPISODE_SPACE ||
	       run.faults.episode == EPISODE_DAMAGE || sim_store_is_dead(run.sim);
}

bool
fault_excuses_upkeep(void)
{
	return fault_excuses_write();
}

bool
fault_excuses_opening(void)
{
	return fault_excuses_write();
}

/* ---- Damage --------------------------------------------------------------------------------- */

struct file {
	char path[100];
	char name[80];
	size_t bytes;
};

struct files {
	struct file list[FILES_MAX];
	size_t count;
};

static void
file_take(void *context, const char *path, const char *name, size_t bytes)
{
	struct files *files = context;
	struct file *file = &files->list[files->count];

	if (bytes == 0 || strstr(path, "/snapshots") != NULL || strstr(name, ".tmp") != NULL ||
	    strcmp(path, "node") == 0 || path[0] == '\0' || files->count == FILES_MAX)
		return;
	files->count++;
	snprintf(file->path, sizeof(file->path), "%s", path);
	snprintf(file->name, sizeof(file->name), "%s", name);
	file->bytes = bytes;
}

/* A block of the same or another file: what a stale or misplaced one would read as. */
static void
block_of_another(const struct files *files, size_t index, uint8_t *block, size_t length)
{
	const struct file *file = &files->list[one_in(2) ? index : random_below(files->count)];
	ZP_AUTO_BUF(content, 64u << 20);
	size_t at;

	sim_store_file_get(run.sim, file->path, file->name, &content);
	at = random_below(content.length) / BLOCK * BLOCK;
	memset(block, 0, length);
	memcpy(block, content.data + at, zp_min_u64(length, content.length - at));
}

static void
bit_flip(const struct file *file, const struct zp_buf *content, uint64_t at)
{
	uint8_t other = (uint8_t)(content->data[at] ^ 1u << random_below(8));

	sim_store_damage(run.sim, file->path, file->name, at, &other, 1);
}

static const char *
damage_one(const struct files *files, size_t index)
{
	static uint8_t block[64 * BLOCK];
	const struct file *file = &files->list[index];
	uint64_t at = random_below(file->bytes);
	ZP_AUTO_BUF(content, 64u << 20);
	size_t length;

	sim_store_file_get(run.sim, file->path, file->name, &content);
	switch (random_below(5)) {
	case 0:
		bit_flip(file, &content, at);
		return "a flipped bit";
	case 1: /* a few bytes */
		length = zp_min_u64(1 + random_below(16), file->bytes - at);
		for (size_t i = 0; i < length; i++)
			block[i] = (uint8_t)random_below(256);
		sim_store_damage(run.sim, file->path, file->name, at, block, length);
		return "wrong bytes";
	case 2: /* blocks never written */
		at = at / BLOCK * BLOCK;
		length = zp_min_u64((1 + random_below(8)) * BLOCK, file->bytes - at);
		memset(block, 0, length);
		sim_store_damage(run.sim, file->path, file->name, at, block, length);
		return "lost blocks";
	case 3: /* blocks of another place */
		at = at / BLOCK * BLOCK;
		length = zp_min_u64((1 + random_below(8)) * BLOCK, file->bytes - at);
		block_of_another(files, index, block, length);
		sim_store_damage(run.sim, file->path, file->name, at, block, length);
		return "blocks of another place";
	default:
		length = zp_min_u64(1 + random_below(2 * BLOCK), file->bytes - at);
		/* It reads as damage too, so that it is among those that are looked for. */
		sim_store_read_error(run.sim, file->path, file->name, at, length);
		for (size_t i = 0; i < length; i++)
			block[i] = (uint8_t)~content.data[at + i];
		sim_store_damage(run.sim, file->path, file->name, at, block, length);
		return "unreadable blocks";
	}
}

static bool
is_of_journal(const struct file *file)
{
	return strcmp(file->path, "node/journal") == 0;
}

/* Of the journal's folder at most one file: two together may take away what proves the loss. */
static void
damage_files(void)
{
	static struct files files;
	bool has_journal = false;

	files.count = 0;
	sim_world_alone(true); /* or a file is removed meanwhile */
	sim_store_files(run.sim, file_take, &files);
	for (uint64_t i = 1 + random_below(DAMAGES_AT_ONCE); i > 0; i--) {
		size_t index = random_below(files.count);
		const char *what;

		if (is_of_journal(&files.list[index]) && has_journal)
			continue;
		has_journal = has_journal || is_of_journal(&files.list[index]);
		what = damage_one(&files, index);
		run.counts[COUNT_FAULTS]++;
		tell("  %s: %s/%s", what, files.list[index].path, files.list[index].name);
	}
	sim_world_alone(false);
}

/* Bits here and there in the files of all shards: few enough that most of a file can be read, so
 * many that some are where a checksum is all that tells. */
static void
files_rot(void)
{
	static struct files files;
	uint64_t bits = 0;

	files.count = 0;
	sim_world_alone(true);
	sim_store_files(run.sim, file_take, &files);
	for (size_t i = 0; i < files.count; i++) {
		const struct file *file = &files.list[i];
		ZP_AUTO_BUF(content, 64u << 20);
		uint64_t flips;

		if (strstr(file->path, "/shards/") == NULL)
			continue;
		sim_store_file_get(run.sim, file->path, file->name, &content);
		flips = strstr(file->name, ".seg") != NULL
			    ? random_below(2 + file->bytes / ROT_BYTES)
			    : one_in(SMALL_ROT_ONE_IN);
		bits += flips;
		while (flips-- > 0)
			bit_flip(file, &content, random_below(file->bytes));
	}
	sim_world_alone(false);
	run.counts[COUNT_FAULTS]++;
	tell("  %" PRIu64 " flipped bits in files of all shards", bits);
}

static void
damage_begin(void)
{
	run.faults.is_damaged = true;
	switch (random_below(5)) {
	case 0:
	case 1:
		damage_files();
		break;
	case 2:
		files_rot();
		break;
	case 3: /* a write that does not arrive */
		tell("  a write will go astray");
		run.counts[COUNT_FAULTS]++;
		sim_store_misplace(run.sim,
		    one_in(2) ? SIM_MISPLACE_NOWHERE : SIM_MISPLACE_ELSEWHERE,
		    1 + random_below(60));
		break;
	default:
		tell("  a read will be short");
		run.counts[COUNT_FAULTS]++;
		run.faults.reads_may_fail = true;
		sim_store_short_read(run.sim, 1 + random_below(60));
	}
}

/* ---- Episodes ------------------------------------------------------------------------------- */

static void
fail_begin(void)
{
	static const unsigned calls[] = {SIM_CALL_SYNC_FILE, SIM_CALL_SYNC_DIRECTORY,
	    SIM_CALL_SYNC_FILE | SIM_CALL_SYNC_DIRECTORY, SIM_CALL_WRITE, SIM_CALL_CREATE,
	    SIM_CALL_RENAME, SIM_CALL_REMOVE, SIM_CALL_CHANGES, SIM_CALL_READ, SIM_CALL_OPEN,
	    SIM_CALL_ANY};
	unsigned drawn = calls[random_below(ZP_ARRAY_COUNT(calls))];
	bool is_full = (drawn & (SIM_CALL_WRITE | SIM_CALL_CREATE)) != 0 &&
		       (drawn & SIM_CALL_READ) == 0 && one_in(2);

	tell("  a call of %x will fail", drawn);
	run.counts[COUNT_FAULTS]++;
	run.faults.reads_may_fail = (drawn & (SIM_CALL_READ | SIM_CALL_OPEN)) != 0;
	sim_store_fail(run.sim, drawn, 1 + random_below(80), is_full ? ENOSPC : EIO);
}

static void
space_begin(void)
{
	uint64_t left = one_in(2) ? random_below(2000) : random_below(200000);

	tell("  %" PRIu64 " bytes are free", left);
	run.counts[COUNT_FAULTS]++;
	sim_store_space_set(run.sim, sim_store_bytes(run.sim) + left + 1);
}

static void
hang_begin(void)
{
	static const unsigned calls[] = {SIM_CALL_SYNC_FILE, SIM_CALL_WRITE,
	    SIM_CALL_SYNC_FILE | SIM_CALL_SYNC_DIRECTORY, SIM_CALL_RENAME, SIM_CALL_READ,
	    SIM_CALL_ANY};

	run.faults.hang_calls = calls[random_below(ZP_ARRAY_COUNT(calls))];
	run.faults.hang_in = 1 + random_below(40);
	run.faults.hang_ns = (1 + random_below(600)) * SECOND_NS;
}

static void
crash_begin(void)
{
	if (one_in(3)) /* what is written and not synced is most of a commit */
		sim_store_die_at_call(run.sim, SIM_CALL_SYNC_FILE, 1 + random_below(30));
	else if (one_in(4))
		sim_store_die_at_call(run.sim, SIM_CALL_ANY, 1 + random_below(400));
	else
		sim_store_die_at(run.sim, 1 + random_below(150));
}

void
fault_begin(void)
{
	uint64_t sum = 0, drawn;
	unsigned episode = 0;

	if (run.faults.episode != EPISODE_NONE || run.model.is_torn)
		return;
	for (unsigned i = 0; i < EPISODES; i++)
		sum += run.fault_weights[i];
	drawn = random_below(sum);
	while (drawn >= run.fault_weights[episode])
		drawn -= run.fault_weights[episode++];
	if (episode == EPISODE_NONE)
		return;
	tell("episode %u", episode);
	run.faults = (struct faults){.episode = episode, .steps_left = 2 + random_below(25)};
	if (episode == EPISODE_CRASH)
		crash_begin();
	else if (episode == EPISODE_FAIL)
		fail_begin();
	else if (episode == EPISODE_SPACE)
		space_begin();
	else if (episode == EPISODE_HANG)
		hang_begin();
	else
		damage_begin();
	if (episode != EPISODE_CRASH && episode != EPISODE_HANG && one_in(5))
		sim_store_die_at(run.sim, 1 + random_below(100));
}

void
fault_disarm(void)
{
	sim_store_fail(run.sim, 0, 0, 0);
	sim_store_space_set(run.sim, 0);
	sim_store_short_read(run.sim, 0);
	sim_store_misplace(run.sim, SIM_MISPLACE_NOWHERE, 0);
	if (!sim_store_is_dead(run.sim)) {
		sim_store_die_at(run.sim, 0);
		sim_store_die_at_call(run.sim, SIM_CALL_ANY, 0);
	}
	run.faults.hang_in = 0;
}

void
fault_heal(void)
{
	sim_store_heal(run.sim);
}

void
fault_over(void)
{
	run.faults = (struct faults){.episode = EPISODE_NONE};
}

/* A full disk that has room again needs nothing but time. */
static void
space_end(void)
{
	struct zp_err err = {0};

	writes_wait_all();
	if (run.is_unknown || sim_store_is_dead(run.sim)) {
		life_reopen(END_ANY);
	} else {
		sim_world_sleep_ns(2 * COMMAND__BACKOFF_SECONDS_MAX * SECOND_NS);
		if (zp_command_checkpoint(run.node, &err) < 0)
			wrong("there is room again, and yet: %s", err.text);
	}
	fault_over();
	writes_send();
	writes_wait_all();
	compare_all();
}

/* A node that goes on while its files are mended needs a scrub, and then nothing is left of the
 * damage: not what was told of it, nor in what it answers. */
static void
damage_mended_look(void)
{
	struct zp_node_facts facts;

	writes_wait_all();
	/* A merge under way may have read it before, and tells it only now. */
	command__upkeep_enter(run.node);
	command__upkeep_leave(run.node);
	zp_node_facts_get(run.node, &facts);
	if (run.is_unknown || run.model.is_torn || sim_store_is_dead(run.sim) || facts.is_broken ||
	    facts.suspended_shards > 0)
		return;
	/* A merge that met the damage may tell of it while a first pass mends the files. */
	compare_scrub();
	if (sim_store_is_dead(run.sim))
		return;
	fault_over();
	compare_scrub();
	compare_all();
}

static void
damage_end(void)
{
	fault_suspects_look();
	if (one_in(3)) { /* once more over what is damaged */
		life_reopen(END_ANY);
		fault_disarm();
	}
	fault_heal();
	if (one_in(2))
		damage_mended_look();
	life_reopen(one_in(2) ? END_STOP : END_ANY);
}

static void
episode_end(void)
{
	enum episode episode = run.faults.episode;

	tell("episode %u ends", episode);
	fault_disarm();
	switch (episode) {
	case EPISODE_SPACE:
		space_end();
		return;
	case EPISODE_HANG:
		/* It may hang for long yet; then all must have been answered. */
		writes_wait_all();
		while (run.faults.is_hanging)
			sim_world_sleep_ns(SECOND_NS);
		break;
	case EPISODE_DAMAGE:
		damage_end();
		break;
	case EPISODE_FAIL:
		if (one_in(2)) {
			run.faults.log_may_fail = true;
			life_reopen(END_ANY);
			run.faults.log_may_fail = false;
			fault_disarm();
			fault_heal();
		}
		life_reopen(END_ANY);
		break;
	default:
		life_reopen(END_ANY);
	}
	fault_over();
	compare_all();
}

void
fault_look(void)
{
	if (sim_store_is_dead(run.sim)) {
		life_reopen(END_ANY);
		if (run.faults.episode == EPISODE_CRASH)
			fault_over();
	}
	if (run.is_unknown)
		life_reopen(END_ANY);
	if (run.faults.episode == EPISODE_NONE)
		return;
	if (run.faults.steps_left-- == 0)
		episode_end();
}
