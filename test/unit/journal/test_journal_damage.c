/*
 * test_journal_damage.c - damage is cut where it can only be an unfinished write, and refused
 * everywhere else; nothing damaged is ever read as something else.
 *
 * After a power cut the mark may be an older one: then the last write counts as unfinished. With
 * the mark that its commit left, there is nothing that may be cut.
 */
#include "journal_fixture.h"

/* Two files: batches 1 … 6 (singly) in the first, 7 … 9 in the second, 8 and 9 in one write. */
#define BATCHES 9u
#define FIRST_OF_LAST_FILE 7u
#define FIRST_OF_LAST_WRITE 8u
#define RECORDS 6u

struct fixture {
	struct sim_store *sim;
	struct zp_store *store;
	char first_file[40];
	char last_file[40];
	uint64_t last_write_offset; /* in the last file */
	struct zp_buf older_mark;   /* as before the last write */
};

static int
open_journal(struct fixture *fixture, struct zp_journal **journal_out, struct zp_err *err)
{
	struct zp_journal_options options = fixture_options(fixture->store);

	return zp_journal_open(&options, journal_out, err);
}

static void
append(struct zp_journal *journal, uint64_t number)
{
	uint64_t given = 0;

	assert_int_equal(fixture_append(journal, number, RECORDS, &given), 0);
	assert_int_equal(given, number);
}

static int
setup(void **state)
{
	struct fixture *fixture = zp_alloc_zero(1, sizeof(*fixture));
	struct zp_journal_options options;
	struct zp_journal *journal = NULL;

	fixture->sim = sim_store_new(3);
	assert_int_equal(sim_store_open(fixture->sim, FIXTURE_PATH, &fixture->store, NULL), 0);
	fixture_name(1, fixture->first_file);
	fixture_name(FIRST_OF_LAST_FILE, fixture->last_file);
	options = fixture_options(fixture->store);
	options.file_bytes = 1u << 20;
	assert_int_equal(zp_journal_open(&options, &journal, NULL), 0);
	for (uint64_t number = 1; number < FIRST_OF_LAST_FILE; number++) {
		append(journal, number);
		assert_int_equal(zp_journal_commit(journal, NULL), 0);
	}
	zp_journal_close(journal);
	options.file_bytes = 1; /* the next commit begins a file */
	assert_int_equal(zp_journal_open(&options, &journal, NULL), 0);
	append(journal, FIRST_OF_LAST_FILE);
	assert_int_equal(zp_journal_commit(journal, NULL), 0);
	zp_journal_close(journal);
	options.file_bytes = 1u << 20;
	assert_int_equal(zp_journal_open(&options, &journal, NULL), 0);
	fixture->last_write_offset =
	    sim_store_file_bytes(fixture->sim, FIXTURE_PATH, fixture->last_file);
	zp_buf_init(&fixture->older_mark, 1u << 20);
	sim_store_file_get(fixture->sim, FIXTURE_PATH, "mark", &fixture->older_mark);
	append(journal, 8);
	append(journal, 9);
	assert_int_equal(zp_journal_commit(journal, NULL), 0);
	zp_journal_close(journal);
	*state = fixture;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *fixture = *state;

	zp_buf_done(&fixture->older_mark);
	zp_store_close(fixture->store);
	sim_store_free(fixture->sim);
	zp_free(fixture);
	return 0;
}

/* What a power cut may leave. */
static void
older_mark_put(struct fixture *fixture)
{
	sim_store_file_put(fixture->sim, FIXTURE_PATH, "mark", fixture->older_mark.data,
	    fixture->older_mark.length);
}

/* Reads all and says how many batches there are, each being what was written. */
static uint64_t
batches_intact(struct zp_journal *journal)
{
	struct zp_journal_reader *reader = NULL;
	struct zp_journal_batch batch;
	uint64_t number = 0;
	int rc;

	assert_int_equal(zp_journal_reader_open(journal, 1, &reader, NULL), 0);
	while ((rc = zp_journal_reader_next(reader, &batch, NULL)) == 0) {
		number++;
		assert_int_equal(batch.number, number);
		assert_true(fixture_batch_is(&batch, number, RECORDS));
	}
	assert_int_equal(rc, ZP_END);
	zp_journal_reader_close(reader);
	return number;
}

/* Opens what is there and checks the one rule: the right answer, or all before the last write. */
static void
expect(struct fixture *fixture, int rc_expected, uint64_t batches_min)
{
	struct zp_journal *journal = NULL;
	struct zp_err err = {0};
	int rc = open_journal(fixture, &journal, &err);

	assert_int_equal(rc, rc_expected);
	if (rc < 0) {
		assert_null(journal);
		return;
	}
	assert_in_range(batches_intact(journal), batches_min, BATCHES - 1);
	zp_journal_close(journal);
}

/* Each bit of the journal flipped in turn: damage to the last write is cut, all other is refused.
 */
static void
any_flipped_bit_is_found(void **state)
{
	struct fixture *fixture = *state;
	ZP_AUTO_BUF(last, 1u << 20);
	ZP_AUTO_BUF(mark, 1u << 20);
	size_t bytes = sim_store_file_bytes(fixture->sim, FIXTURE_PATH, fixture->first_file);

	for (size_t offset = 0; offset < bytes; offset++) {
		uint8_t mask = (uint8_t)(1u << offset % 8);

		sim_store_file_flip(fixture->sim, FIXTURE_PATH, fixture->first_file, offset, mask);
		expect(fixture, ZP_E_CORRUPT, 0);
		sim_store_file_flip(fixture->sim, FIXTURE_PATH, fixture->first_file, offset, mask);
	}
	sim_store_file_get(fixture->sim, FIXTURE_PATH, "mark", &mark);
	sim_store_file_get(fixture->sim, FIXTURE_PATH, fixture->last_file, &last);
	for (size_t offset = 0; offset < last.length; offset++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			bool is_last_write = offset >= fixture->last_write_offset;

			last.data[offset] ^= (uint8_t)(1u << bit);
			sim_store_file_put(
			    fixture->sim, FIXTURE_PATH, fixture->last_file, last.data, last.length);
			expect(fixture, ZP_E_CORRUPT, 0);
			older_mark_put(fixture);
			expect(fixture, is_last_write ? 0 : ZP_E_CORRUPT, FIRST_OF_LAST_WRITE - 1);
			last.data[offset] ^= (uint8_t)(1u << bit);
			sim_store_file_put(
			    fixture->sim, FIXTURE_PATH, fixture->last_file, last.data, last.length);
			sim_store_file_put(
			    fixture->sim, FIXTURE_PATH, "mark", mark.data, mark.length);
		}
	}
}

/* The last file cut at any length: with the mark of its commit it is refused; with none an
 * unfinished write goes, and appending goes on behind it. */
static void
any_cut_is_repaired_or_refused(void **state)
{
	struct fixture *fixture = *state;
	ZP_AUTO_BUF(last, 1u << 20);
	ZP_AUTO_BUF(mark, 1u << 20);

	sim_store_file_get(fixture->sim, FIXTURE_PATH, "mark", &mark);
	sim_store_file_get(fixture->sim, FIXTURE_PATH, fixture->last_file, &last);
	for (size_t length = 0; length < last.length; length++) {
		struct zp_journal *journal = NULL;
		struct zp_journal_facts facts;
		int rc;

		sim_store_file_put(
		    fixture->sim, FIXTURE_PATH, fixture->last_file, last.data, length);
		sim_store_file_put(fixture->sim, FIXTURE_PATH, "mark", mark.data, mark.length);
		assert_int_equal(open_journal(fixture, &journal, NULL), ZP_E_CORRUPT);
		assert_int_equal(
		    sim_store_file_bytes(fixture->sim, FIXTURE_PATH, fixture->last_file),
		    length); /* nothing was cut */
		sim_store_file_remove(fixture->sim, FIXTURE_PATH, "mark");
		rc = open_journal(fixture, &journal, NULL);
		if (length < 64) {
			assert_int_equal(rc, ZP_E_CORRUPT);
			continue;
		}
		assert_int_equal(rc, 0);
		zp_journal_facts_get(journal, &facts);
		assert_int_equal(batches_intact(journal), facts.last_batch);
		assert_true(facts.last_batch >= FIRST_OF_LAST_FILE - 1);
		assert_int_equal(facts.cut_bytes,
		    length - sim_store_file_bytes(fixture->sim, FIXTURE_PATH, fixture->last_file));
		append(journal, facts.last_batch + 1);
		assert_int_equal(zp_journal_commit(journal, NULL), 0);
		zp_journal_close(journal);
	}
}

/* The second half of an unfinished write, whole, does not make its lost first half damage. */
static void
half_of_the_last_write_is_cut(void **state)
{
	struct fixture *fixture = *state;
	ZP_AUTO_BUF(last, 1u << 20);

	sim_store_file_get(fixture->sim, FIXTURE_PATH, fixture->last_file, &last);
	memset(last.data + fixture->last_write_offset, 0, 100);
	sim_store_file_put(fixture->sim, FIXTURE_PATH, fixture->last_file, last.data, last.length);
	older_mark_put(fixture);
	expect(fixture, 0, FIRST_OF_LAST_WRITE - 1);
}

/* A batch that proves damage to be damage is found also where its magic lies across the border of
 * the pieces (1 MiB) in which what stands behind the damage is read. */
static void
witness_is_found_across_pieces(void **state)
{
	static const size_t payload_bytes[] = {500000, (1u << 20) - 2 - 500000 - 2 * 128, 10};
	static uint8_t payload[600000];
	struct fixture *fixture = *state;
	struct zp_journal_options options = fixture_options(fixture->store);
	struct zp_journal *journal = NULL;
	uint64_t number = 0;
	size_t second;
	char name[40];

	options.file_bytes = 1; /* a file of its own */
	assert_int_equal(zp_journal_open(&options, &journal, NULL), 0);
	fixture_name(BATCHES + 1, name);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(payload_bytes); i++) {
		ZP_AUTO_BUF(records, ZP_JOURNAL_BATCH_BYTES_MAX);
		struct zp_journal_record record = {
		    .operation = ZP_OP_PUT,
		    .payload = {payload, payload_bytes[i]},
		};

		assert_int_equal(zp_journal_record_append(&records, &record, NULL), 0);
		assert_int_equal(zp_journal_append(journal, ZP_JOURNAL_RECORDS, NULL,
				     zp_buf_slice(&records), 1, 2000, &number, NULL),
		    0);
		assert_int_equal(zp_journal_commit(journal, NULL), 0);
		if (i == 0) { /* the rest into the same file */
			zp_journal_close(journal);
			options.file_bytes = 1u << 30;
			assert_int_equal(zp_journal_open(&options, &journal, NULL), 0);
		}
	}
	zp_journal_close(journal);
	journal = NULL;
	second = 64 + 128 + payload_bytes[0];
	assert_int_equal(second + 128 + payload_bytes[1], 64 + (1u << 20) - 2);
	sim_store_file_flip(fixture->sim, FIXTURE_PATH, name, 64, 1);
	sim_store_file_flip(fixture->sim, FIXTURE_PATH, name, second, 1);
	assert_int_equal(open_journal(fixture, &journal, NULL), ZP_E_CORRUPT);
}

/* A batch as a stranger makes it who has this program: far ahead, and saying that all before it was
 * durable. */
static void
forged_make(struct fixture *fixture, bool knows_cluster, struct zp_buf *bytes)
{
	struct zp_journal_options options;
	struct zp_journal *journal = NULL;
	struct zp_store *store;
	char name[40];
	size_t last;

	assert_int_equal(sim_store_open(fixture->sim, "elsewhere", &store, NULL), 0);
	options = fixture_options(store);
	options.cluster_id[15] ^= !knows_cluster;
	options.file_bytes = 1u << 20;
	assert_int_equal(zp_journal_open(&options, &journal, NULL), 0);
	fixture_name(1, name);
	for (uint64_t number = 1; number <= 30; number++) {
		last = number == 1 ? 0 : sim_store_file_bytes(fixture->sim, "elsewhere", name);
		append(journal, number);
		assert_int_equal(zp_journal_commit(journal, NULL), 0);
	}
	zp_journal_close(journal);
	zp_store_close(store);
	sim_store_file_get(fixture->sim, "elsewhere", name, bytes);
	zp_buf_consume(bytes, last);
}

static int
number_take(void *context, const struct zp_journal_batch *batch, struct zp_err *err)
{
	(void)err;
	*(uint64_t *)context = batch->number;
	return 0;
}

/* What clients send stands in batches as it is. Where the batch around it is damaged, a whole batch
 * in it is neither a witness nor salvaged, unless it has the cluster's id, which is random and
 * which nobody is told. (Who has it can forge: that shows that the test looks at the right place.)
 */
static void
strangers_cannot_forge_batches(void **state)
{
	struct fixture *fixture = *state;
	struct zp_journal_options options = fixture_options(fixture->store);
	size_t batch = sim_store_file_bytes(fixture->sim, FIXTURE_PATH, fixture->last_file);

	for (int knows_cluster = 0; knows_cluster < 2; knows_cluster++) {
		ZP_AUTO_BUF(forged, ZP_JOURNAL_BATCH_BYTES_MAX);
		ZP_AUTO_BUF(records, ZP_JOURNAL_BATCH_BYTES_MAX);
		struct zp_journal_record record = {.operation = ZP_OP_PUT};
		struct zp_journal_salvage found;
		struct zp_journal *journal = NULL;
		uint64_t number = 0;

		forged_make(fixture, knows_cluster, &forged);
		record.payload = zp_buf_slice(&forged);
		options.file_bytes = 1u << 20;
		assert_int_equal(zp_journal_open(&options, &journal, NULL), 0);
		zp_buf_clear(&fixture->older_mark);
		sim_store_file_get(fixture->sim, FIXTURE_PATH, "mark", &fixture->older_mark);
		assert_int_equal(zp_journal_record_append(&records, &record, NULL), 0);
		assert_int_equal(zp_journal_append(journal, ZP_JOURNAL_RECORDS, NULL,
				     zp_buf_slice(&records), 1, 2000, &number, NULL),
		    0);
		assert_int_equal(zp_journal_commit(journal, NULL), 0);
		zp_journal_close(journal);
		assert_int_equal(number, BATCHES + 1);
		older_mark_put(fixture);
		sim_store_file_flip(fixture->sim, FIXTURE_PATH, fixture->last_file, batch + 20, 1);
		assert_int_equal(
		    zp_journal_salvage(&options, number_take, &number, &found, NULL), 0);
		assert_int_equal(found.batches, BATCHES + (knows_cluster ? 1 : 0));
		assert_int_equal(number, knows_cluster ? 30 : BATCHES);
		journal = NULL;
		assert_int_equal(
		    open_journal(fixture, &journal, NULL), knows_cluster ? ZP_E_CORRUPT : 0);
		zp_journal_close(journal);
		sim_store_file_remove(fixture->sim, "elsewhere", "mark");
		sim_store_file_remove(fixture->sim, "elsewhere", fixture->first_file);
	}
}

/* The error says which file, which batch, where, and what to do. */
static void
damage_is_named(void **state)
{
	struct fixture *fixture = *state;
	struct zp_journal *journal = NULL;
	struct zp_err err = {0};

	sim_store_file_flip(fixture->sim, FIXTURE_PATH, fixture->last_file, 100, 1);
	assert_int_equal(open_journal(fixture, &journal, &err), ZP_E_CORRUPT);
	assert_non_null(strstr(err.text, fixture->last_file));
	assert_non_null(strstr(err.text, "batch 7 at offset 64"));
	assert_non_null(strstr(err.text, "restore the file"));
}

static void
missing_files_are_found(void **state)
{
	struct fixture *fixture = *state;
	struct zp_journal_options options = fixture_options(fixture->store);
	struct zp_journal *journal = NULL;
	struct zp_err err = {0};

	options.file_bytes = 1;
	assert_int_equal(zp_journal_open(&options, &journal, NULL), 0);
	append(journal, 10);
	assert_int_equal(zp_journal_commit(journal, NULL), 0);
	zp_journal_close(journal);
	journal = NULL;
	sim_store_file_remove(fixture->sim, FIXTURE_PATH, fixture->last_file);
	assert_int_equal(open_journal(fixture, &journal, &err), ZP_E_CORRUPT);
	assert_non_null(strstr(err.text, "batches 7 to 9 are missing"));
}

/* A file that is whole but belongs elsewhere is refused and never cut. */
static void
foreign_files_are_refused(void **state)
{
	struct fixture *fixture = *state;
	struct zp_journal_options options = fixture_options(fixture->store);
	struct zp_journal *journal = NULL;
	ZP_AUTO_BUF(bytes, 1u << 20);
	char wrong_name[40];

	for (unsigned i = 0; i < 2; i++) { /* the mark says it, and without it the files do */
		options = fixture_options(fixture->store);
		options.cluster_id[0] ^= 1;
		assert_int_equal(zp_journal_open(&options, &journal, NULL), ZP_E_CONFLICT);
		options = fixture_options(fixture->store);
		options.node++;
		assert_int_equal(zp_journal_open(&options, &journal, NULL), ZP_E_CONFLICT);
		sim_store_file_remove(fixture->sim, FIXTURE_PATH, "mark");
	}
	sim_store_file_get(fixture->sim, FIXTURE_PATH, fixture->last_file, &bytes);
	fixture_name(BATCHES + 1, wrong_name);
	sim_store_file_put(fixture->sim, FIXTURE_PATH, wrong_name, bytes.data, bytes.length);
	assert_int_equal(open_journal(fixture, &journal, NULL), ZP_E_CORRUPT);
}

/* Writes a checksum over what was changed, as the newer zpin would have. */
static void
batch_reseal(uint8_t *batch)
{
	uint32_t length = zp_load_u32le(batch + 4);
	uint64_t number = zp_load_u64le(batch + 56);

	zp_store_u64le(batch + 8, zp_hash64(batch + 16, length - 16, number));
}

/* What a newer zpin wrote is refused as such, even as the very last batch, and never cut. */
static void
newer_versions_are_refused(void **state)
{
	static const struct {
		size_t offset; /* in the file header, or from the last write on */
		bool is_header;
	} changes[] = {{16, true}, {56, true}, {16, false}, {17, false}, {112 + 12, false}};
	struct fixture *fixture = *state;
	ZP_AUTO_BUF(good, 1u << 20);

	sim_store_file_get(fixture->sim, FIXTURE_PATH, fixture->last_file, &good);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(changes); i++) {
		size_t start = changes[i].is_header ? 0 : fixture->last_write_offset;
		ZP_AUTO_BUF(bytes, 1u << 20);

		zp_buf_append(&bytes, good.data, good.length);
		bytes.data[start + changes[i].offset] = 77;
		if (changes[i].is_header)
			zp_store_u64le(bytes.data + 8, zp_hash64(bytes.data + 16, 48, 0));
		else
			batch_reseal(bytes.data + start);
		sim_store_file_put(
		    fixture->sim, FIXTURE_PATH, fixture->last_file, bytes.data, bytes.length);
		expect(fixture, ZP_E_VERSION, 0);
		assert_int_equal(
		    sim_store_file_bytes(fixture->sim, FIXTURE_PATH, fixture->last_file),
		    good.length);
	}
}

/* A whole batch that does not follow is refused: chain, durable, time, epoch, cluster, reserved. */
static void
batches_that_do_not_follow_are_refused(void **state)
{
	static const size_t offsets[] = {18, 24, 40, 44, 71, 96, 104};
	struct fixture *fixture = *state;
	ZP_AUTO_BUF(good, 1u << 20);

	sim_store_file_get(fixture->sim, FIXTURE_PATH, fixture->last_file, &good);
	/* The mark alone would refuse them all. */
	sim_store_file_remove(fixture->sim, FIXTURE_PATH, "mark");
	for (size_t i = 0; i < ZP_ARRAY_COUNT(offsets); i++) {
		ZP_AUTO_BUF(bytes, 1u << 20);

		zp_buf_append(&bytes, good.data, good.length);
		bytes.data[fixture->last_write_offset + offsets[i]] ^= 0x80;
		batch_reseal(bytes.data + fixture->last_write_offset);
		sim_store_file_put(
		    fixture->sim, FIXTURE_PATH, fixture->last_file, bytes.data, bytes.length);
		expect(fixture, ZP_E_CORRUPT, 0);
	}
}

/* Each rule of what may follow by itself: the second of two batches breaks one, and everything
 * else, checksums and chain included, is right. */
static void
each_rule_of_the_chain_counts(void **state)
{
	enum { FIRST = 64, KIND = 17, EPOCH = 48, TIME = 64, PREVIOUS = 96, DURABLE = 104 };
	enum { BATCH_BYTES = 112 };
	static const struct {
		size_t offset; /* of a u64 of the second batch, or KIND: of the first */
		uint64_t value;
		const char *text;
	} changes[] = {
	    {EPOCH, 0, "its epoch 0 had ended"},
	    {TIME, 999, "its time is before"},
	    {DURABLE, 2, "it says that batch 2 was durable"},
	    {KIND, ZP_JOURNAL_SEAL, "its epoch 1 had ended"},
	};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(changes); i++) {
		struct sim_store *sim = sim_store_new(1);
		struct zp_journal *journal = NULL;
		struct zp_store *store = NULL;
		struct zp_err err = {0};
		ZP_AUTO_BUF(file, 4096);
		uint8_t *first, *second;
		char name[40];
		struct zp_journal_options options;

		assert_int_equal(sim_store_open(sim, FIXTURE_PATH, &store, NULL), 0);
		options = fixture_options(store);
		assert_int_equal(zp_journal_open(&options, &journal, NULL), 0);
		for (unsigned n = 0; n < 2; n++) {
			assert_int_equal(fixture_append(journal, 1, 0, NULL), 0);
			assert_int_equal(zp_journal_commit(journal, NULL), 0);
		}
		zp_journal_close(journal);
		fixture_name(1, name);
		sim_store_file_get(sim, FIXTURE_PATH, name, &file);
		assert_int_equal(file.length, FIRST + 2 * BATCH_BYTES);
		first = file.data + FIRST;
		second = first + BATCH_BYTES;
		if (changes[i].offset == KIND)
			first[KIND] = (uint8_t)changes[i].value;
		else
			zp_store_u64le(second + changes[i].offset, changes[i].value);
		batch_reseal(first);
		zp_store_u64le(second + PREVIOUS, zp_load_u64le(first + 8));
		batch_reseal(second);
		sim_store_file_put(sim, FIXTURE_PATH, name, file.data, file.length);
		sim_store_file_remove(sim, FIXTURE_PATH, "mark");
		assert_int_equal(zp_journal_open(&options, &journal, &err), ZP_E_CORRUPT);
		assert_non_null(strstr(err.text, changes[i].text));
		zp_store_close(store);
		sim_store_free(sim);
	}
}

/* A disk that can't be read is an error of the disk, and nothing is cut for it. */
static void
read_errors_cut_nothing(void **state)
{
	struct fixture *fixture = *state;
	size_t bytes = sim_store_file_bytes(fixture->sim, FIXTURE_PATH, fixture->last_file);

	sim_store_read_error(fixture->sim, FIXTURE_PATH, fixture->last_file, bytes - 1, 1);
	expect(fixture, ZP_E_IO, 0);
	assert_int_equal(
	    sim_store_file_bytes(fixture->sim, FIXTURE_PATH, fixture->last_file), bytes);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH(any_flipped_bit_is_found),
	    WITH(any_cut_is_repaired_or_refused),
	    WITH(half_of_the_last_write_is_cut),
	    WITH(witness_is_found_across_pieces),
	    WITH(strangers_cannot_forge_batches),
	    WITH(damage_is_named),
	    WITH(missing_files_are_found),
	    WITH(foreign_files_are_refused),
	    WITH(newer_versions_are_refused),
	    WITH(batches_that_do_not_follow_are_refused),
	    cmocka_unit_test(each_rule_of_the_chain_counts),
	    WITH(read_errors_cut_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
