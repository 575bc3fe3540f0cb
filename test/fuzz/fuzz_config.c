/*
 * fuzz_config.c - any text as a config: refused with a message, or shown, read again and shown
 * alike.
 *
 * A first byte of 1, which no YAML begins with: the lines behind it are variables of the
 * environment, without their ZPIN_.
 */
#include "main/config.h"

#define VARIABLES_MAX 32u
#define VARIABLE_BYTES_MAX 4096u

static void
shows_alike(const struct zp_config *config)
{
	ZP_AUTO_BUF(once, 16u << 20);
	ZP_AUTO_BUF(twice, 16u << 20);
	struct zp_config again;
	struct zp_err err = {0};
	int rc;

	zp_config_show(config, &once);
	if (once.length > ZP_CONFIG_BYTES_MAX)
		return; /* quotes and brackets can make a full file too long to read again */
	zp_config_init(&again);
	rc = zp_config_read(zp_buf_slice(&once), "again", &again, &err);
	ZP_ASSERT(rc == 0);
	zp_config_show(&again, &twice);
	ZP_ASSERT(zp_slice_equal(zp_buf_slice(&once), zp_buf_slice(&twice)));
	zp_config_done(&again);
}

static int
variables_read(struct zp_slice lines, struct zp_config *config, struct zp_err *err)
{
	char *environment[VARIABLES_MAX + 1] = {NULL};
	int rc;

	for (size_t i = 0; i < VARIABLES_MAX && lines.length > 0; i++) {
		const uint8_t *end = memchr(lines.data, '\n', lines.length);
		size_t length = end != NULL ? (size_t)(end - lines.data) : lines.length;
		ZP_AUTO_BUF(variable, VARIABLE_BYTES_MAX);

		zp_buf_append_text(&variable, "ZPIN_");
		zp_buf_append(&variable, lines.data, zp_min_u64(length, VARIABLE_BYTES_MAX / 2));
		zp_buf_append_byte(&variable, 0);
		environment[i] = zp_strdup((const char *)variable.data);
		length += end != NULL;
		lines.data += length;
		lines.length -= length;
	}
	rc = zp_config_override(environment, config, err);
	for (size_t i = 0; i < VARIABLES_MAX; i++)
		zp_free(environment[i]);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ZP_AUTO_BUF(warnings, 65536);
	struct zp_config config;
	struct zp_err err = {0};
	int rc;

	zp_config_init(&config);
	if (size > 0 && data[0] == 1)
		rc = variables_read((struct zp_slice){data + 1, size - 1}, &config, &err);
	else
		rc = zp_config_read((struct zp_slice){data, size}, "input", &config, &err);
	ZP_ASSERT(rc <= 0 && (rc == 0) == (err.text[0] == '\0'));
	if (rc == 0) {
		rc = zp_config_check(&config, &warnings, &err);
		ZP_ASSERT((rc == 0) == (err.text[0] == '\0'));
		shows_alike(&config);
	}
	zp_config_done(&config);
	return 0;
}
