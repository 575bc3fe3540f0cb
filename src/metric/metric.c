/*
 * metric.c - see metric.h.
 */
#include "metric/metric.h"

#include "os/process.h"

void
zp_metric_family(struct zp_buf *page, const char *name, enum zp_metric_type type, const char *help)
{
	zp_buf_printf(page, "# HELP %s %s\n# TYPE %s %s\n", name, help, name,
	    type == ZP_METRIC_GAUGE ? "gauge" : "counter");
}

static void
name_append(struct zp_buf *page, const char *name, const char *labels)
{
	zp_buf_append_text(page, name);
	if (labels[0] != '\0')
		zp_buf_printf(page, "{%s}", labels);
	zp_buf_append_byte(page, ' ');
}

void
zp_metric_u64(struct zp_buf *page, const char *name, const char *labels, uint64_t value)
{
	name_append(page, name, labels);
	zp_buf_append_decimal_u64(page, value);
	zp_buf_append_byte(page, '\n');
}

void
zp_metric_double(struct zp_buf *page, const char *name, const char *labels, double value)
{
	name_append(page, name, labels);
	zp_buf_printf(page, "%.17g\n", value);
}

void
zp_metric_gauge(struct zp_buf *page, const char *name, const char *help, uint64_t value)
{
	zp_metric_family(page, name, ZP_METRIC_GAUGE, help);
	zp_metric_u64(page, name, "", value);
}

void
zp_metric_counter(struct zp_buf *page, const char *name, const char *help, uint64_t value)
{
	zp_metric_family(page, name, ZP_METRIC_COUNTER, help);
	zp_metric_u64(page, name, "", value);
}

void
zp_metric_process(struct zp_buf *page)
{
	struct zp_process_facts facts;

	zp_process_facts_get(&facts);
	zp_metric_family(
	    page, "process_cpu_seconds_total", ZP_METRIC_COUNTER, "User and system CPU time.");
	zp_metric_double(page, "process_cpu_seconds_total", "",
	    facts.cpu_user_seconds + facts.cpu_system_seconds);
	zp_metric_gauge(
	    page, "process_resident_memory_bytes", "Memory in RAM.", facts.resident_bytes);
	zp_metric_gauge(
	    page, "process_virtual_memory_bytes", "Address space.", facts.virtual_bytes);
	zp_metric_gauge(page, "process_open_fds", "Open files and sockets.", facts.open_files);
	zp_metric_gauge(page, "process_max_fds", "Limit of open files.", facts.open_files_max);
	zp_metric_gauge(page, "process_threads", "Threads.", facts.threads);
}
