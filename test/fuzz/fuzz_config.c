/*
 * fuzz_config.c - any text as a config: refused with a message, or shown, read again and shown
 * alike.
 */
#include "main/config.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ZP_AUTO_BUF(warnings, 65536);
	struct zp_config config;
	struct zp_err err = {0};
	int rc;

	zp_config_init(&config);
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
