/*
 * metric.h - numbers as Prometheus reads them (text exposition format 0.0.4).
 *
 * Flow:  api/ collects facts at each scrape and writes them with these calls.
 * Owner: the caller's buffer.
 */
#ifndef ZP_METRIC_METRIC_H
#define ZP_METRIC_METRIC_H

#include "base/base.h"

enum zp_metric_type {
	ZP_METRIC_GAUGE,
	ZP_METRIC_COUNTER,
};

/* "# HELP" and "# TYPE" of a family; its values follow at once. */
void zp_metric_family(
    struct zp_buf *page, const char *name, enum zp_metric_type type, const char *help);

/* One value. `labels` is "" or a ready {name="value",…} list without braces. */
void zp_metric_u64(struct zp_buf *page, const char *name, const char *labels, uint64_t value);
void zp_metric_double(struct zp_buf *page, const char *name, const char *labels, double value);

/* Family and single value in one. */
void zp_metric_gauge(struct zp_buf *page, const char *name, const char *help, uint64_t value);
void zp_metric_counter(struct zp_buf *page, const char *name, const char *help, uint64_t value);

/* process_cpu_seconds_total, process_resident_memory_bytes and their like. */
void zp_metric_process(struct zp_buf *page);

#endif
