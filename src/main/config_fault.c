/*
 * config_fault.c - where values of the config were given, and what is wrong with them.
 *
 * Flow: config_read.c and config_check.c note faults; config.c hands them on. Owner: the main
 * thread.
 */
#include "main/config_internal.h"

void
config__place_set(struct zp_config_place *place, const char *source, size_t line, size_t column)
{
	ZP_AUTO_BUF(text, ZP_CONFIG_TEXT_BYTES_MAX * 2);

	zp_buf_append_text(&text, source);
	if (line > 0)
		zp_buf_printf(&text, ":%zu:%zu", line, column);
	zp_free(place->text);
	place->text = config__text_copy(zp_buf_slice(&text));
	place->line = line;
}

struct zp_config_place *
config__place(const struct zp_config *config, const struct config_key *key)
{
	return &config->places[key - config__keys];
}

bool
config__fault_add(struct zp_config_faults *faults, size_t line, const struct zp_err *err)
{
	if (faults->count < ZP_CONFIG_FAULTS_MAX) {
		faults->items[faults->count].line = line;
		faults->items[faults->count].err = *err;
		faults->count++;
	}
	return faults->count < ZP_CONFIG_FAULTS_MAX;
}

void
config__faults_sort(struct zp_config_faults *faults)
{
	for (size_t i = 1; i < faults->count; i++) {
		for (size_t j = i; j > 0 && faults->items[j].line < faults->items[j - 1].line;
		     j--) {
			__typeof__(faults->items[0]) kept = faults->items[j];

			faults->items[j] = faults->items[j - 1];
			faults->items[j - 1] = kept;
		}
	}
}

int
config__faults_first(const struct zp_config_faults *faults, struct zp_err *err)
{
	if (faults->count == 0)
		return ZP_OK;
	if (err != NULL)
		*err = faults->items[0].err;
	return faults->items[0].err.code;
}
