/*
 * metrics_page.c - IPFS Cluster's names, so that its dashboards go on, then zpin's own.
 *
 * Flow: a scrape → facts of node and server → page. Any thread.
 */
#include "api/metrics_page.h"

#include <stdio.h>

#include "metric/metric.h"

/* What this release has no part for is 0, as it is on a cluster peer that did not do it. */
static void
cluster_names(
    const struct zp_node_facts *facts, const struct zp_manage_options *sources, struct zp_buf *page)
{
	uint64_t pins = 0, free_bytes = 0;

	for (unsigned type = 0; type < ZP_PIN_TYPE_COUNT; type++)
		pins += facts->engines.pins[type];
	zp_metric_gauge(page, "ipfscluster_pins", "Total number of cluster pins.", pins);
	zp_metric_gauge(
	    page, "ipfscluster_pins_pin_queued", "Current number of pins queued.", pins);
	zp_metric_gauge(page, "ipfscluster_pins_pinning", "Current number of pins pinning.", 0);
	zp_metric_gauge(page, "ipfscluster_pins_pin_error", "Current number of pins in error.", 0);
	zp_metric_gauge(
	    page, "ipfscluster_pins_ipfs_pins", "Current number of items pinned on IPFS.", 0);
	zp_metric_counter(
	    page, "ipfscluster_pins_pin_add", "Total number of IPFS pin requests.", 0);
	zp_metric_counter(
	    page, "ipfscluster_pins_pin_add_errors", "Total number of failed pin requests.", 0);
	zp_metric_counter(page, "ipfscluster_blocks_put", "Total number of block/put requests.", 0);
	zp_metric_counter(page, "ipfscluster_blocks_added_size", "Total size of blocks added.", 0);
	zp_metric_counter(page, "ipfscluster_blocks_added", "Total number of blocks added.", 0);
	zp_metric_counter(
	    page, "ipfscluster_blocks_put_errors", "Total number of failed block/put requests.", 0);
	if (sources->free_space != NULL && sources->free_space(sources->context, &free_bytes))
		zp_metric_gauge(page, "ipfscluster_informer_disk",
		    "The metric value weight issued by disk informer.", free_bytes);
}

static void
pins_by_type(const struct zp_node_facts *facts, struct zp_buf *page)
{
	zp_metric_family(page, "zpin_pins", ZP_METRIC_GAUGE, "Live pins by type; exact.");
	for (unsigned type = 0; type < ZP_PIN_TYPE_COUNT; type++) {
		char label[64];

		snprintf(label, sizeof(label), "type=\"%s\"", zp_pin_type_name(type));
		zp_metric_u64(page, "zpin_pins", label, facts->engines.pins[type]);
	}
}

static void
engine_names(const struct zp_node_facts *facts, struct zp_buf *page)
{
	const struct zp_engine_facts *engines = &facts->engines;

	pins_by_type(facts, page);
	zp_metric_gauge(
	    page, "zpin_pinned_size_bytes", "Sum of the pins' known sizes.", engines->size_bytes);
	zp_metric_gauge(page, "zpin_shards", "Shards of this node.", facts->shards);
	zp_metric_gauge(page, "zpin_runs", "Runs of family pin, all shards.", engines->runs);
	zp_metric_gauge(page, "zpin_segments", "Segment files, all families.", engines->segments);
	zp_metric_gauge(page, "zpin_damaged_segments", "Segments that could not be opened.",
	    engines->damaged_segments);
	zp_metric_counter(page, "zpin_damaged_blocks_total",
	    "Blocks and files that a read, list, merge, verify or scrub since the start found "
	    "damaged.",
	    facts->damages_met);
	zp_metric_gauge(page, "zpin_damaged_places",
	    "Blocks, files and shards that are known to be damaged and not mended yet.",
	    facts->damages);
	zp_metric_gauge(page, "zpin_segment_bytes", "Bytes of live segments.", engines->disk_bytes);
	zp_metric_gauge(page, "zpin_time_bytes", "Of these, what lists by time of creation take.",
	    engines->time_bytes);
	zp_metric_gauge(page, "zpin_memtable_bytes", "Memory of rows not yet in files.",
	    engines->memtable_bytes);
	zp_metric_gauge(
	    page, "zpin_memtable_entries", "Rows not yet in files.", engines->memtable_entries);
	zp_metric_gauge(page, "zpin_resident_index_bytes", "Memory of directories and filters.",
	    engines->resident_bytes);
	zp_metric_gauge(page, "zpin_texts_cache_bytes", "Memory of unpacked names and the like.",
	    facts->texts_cache_bytes);
	zp_metric_gauge(page, "zpin_block_cache_bytes", "Memory of blocks of segments, checked.",
	    facts->block_cache_bytes);
	zp_metric_gauge(page, "zpin_moments_open",
	    "Snapshots and checkpoints open for as_of reads.", facts->moments_open);
	zp_metric_gauge(page, "zpin_moments_held", "Of these, the ones that are being read.",
	    facts->moments_held);
	zp_metric_counter(
	    page, "zpin_moments_opened_total", "Openings of them.", facts->moments_opened);
	zp_metric_gauge(
	    page, "zpin_moments_index_bytes", "Memory of their directories.", facts->moments_bytes);
	zp_metric_counter(page, "zpin_flushed_bytes_total", "Segment bytes written by checkpoints.",
	    engines->flushed_bytes);
	zp_metric_counter(page, "zpin_merged_bytes_total", "Segment bytes written by merges.",
	    engines->merged_bytes);
	zp_metric_family(page, "zpin_merge_paused_seconds_total", ZP_METRIC_COUNTER,
	    "Time that merges paused for clients.");
	zp_metric_double(
	    page, "zpin_merge_paused_seconds_total", "", (double)facts->merge_paused_ns / 1e9);
	zp_metric_gauge(page, "zpin_journal_bytes", "Bytes of the journal.", facts->journal.bytes);
	zp_metric_gauge(page, "zpin_journal_last_batch", "Number of the newest durable batch.",
	    facts->journal.last_batch);
	zp_metric_counter(
	    page, "zpin_journal_syncs_total", "Syncs of the journal.", facts->journal.syncs);
	zp_metric_gauge(
	    page, "zpin_journal_broken", "1 when a write to the journal failed.", facts->is_broken);
	zp_metric_gauge(page, "zpin_disk_hanging_calls",
	    "Calls of the disk that have been under way for storage.hang_after or longer.",
	    facts->hanging_calls);
	zp_metric_gauge(page, "zpin_disk_hang_seconds",
	    "How long the oldest of them has been under way; the log and /health name its file.",
	    facts->hang_seconds);
	zp_metric_counter(
	    page, "zpin_disk_hangs_total", "Times that the disk did not answer.", facts->hangs);
	zp_metric_gauge(page, "zpin_writes_hang", "1 when writes are refused until it does.",
	    facts->writes_hang);
	zp_metric_gauge(page, "zpin_suspended_shards",
	    "Shards that could not be opened: their pins answer an error.",
	    facts->suspended_shards);
	zp_metric_gauge(page, "zpin_disk_full", "1 when writes are refused until there is space.",
	    facts->is_full);
	zp_metric_gauge(page, "zpin_read_only", "1 when writes are refused.", facts->read_only);
	zp_metric_counter(
	    page, "zpin_commits_total", "Groups of writes made durable together.", facts->commits);
	zp_metric_counter(page, "zpin_writes_total", "Writes answered.", facts->writes_done);
	zp_metric_gauge(page, "zpin_writes_waiting", "Writes in the queue.", facts->writes_waiting);
	zp_metric_counter(
	    page, "zpin_expired_pins_total", "Pins removed at their expiry.", facts->expired);
	zp_metric_counter(
	    page, "zpin_accesses_noted_total", "Accesses told.", facts->accesses_noted);
	zp_metric_counter(page, "zpin_accesses_written_total", "Accesses that were written.",
	    facts->accesses_written);
	zp_metric_counter(page, "zpin_accesses_unknown_total",
	    "Accesses told of what is not pinned.", facts->accesses_unknown);
	zp_metric_counter(page, "zpin_accesses_lost_total",
	    "Accesses that there was no room for in memory.", facts->accesses_lost);
	zp_metric_gauge(page, "zpin_accesses_pending", "Pins with accesses that wait in memory.",
	    facts->accesses_pending);
	zp_metric_gauge(page, "zpin_access_bytes", "Bytes of live segments of accesses.",
	    engines->access_bytes);
	zp_metric_gauge(page, "zpin_access_rows", "Rows in these.", engines->access_rows);
	zp_metric_gauge(page, "zpin_checkpoint_number", "Number of the last checkpoint.",
	    facts->checkpoint_number);
	zp_metric_gauge(page, "zpin_checkpoint_batch", "Journal position of the last checkpoint.",
	    facts->checkpoint_batch);
	zp_metric_gauge(page, "zpin_checkpoint_timestamp_seconds", "When it was written.",
	    (uint64_t)(facts->checkpoint_time_microseconds / 1000000));
}

static void
scrub_names(struct zp_node *node, struct zp_buf *page)
{
	struct zp_scrub_facts scrub;

	zp_node_scrub_facts_get(node, &scrub);
	zp_metric_gauge(page, "zpin_scrub_running", "1 while all files are being read and checked.",
	    scrub.is_running && !scrub.is_paused);
	zp_metric_counter(
	    page, "zpin_scrub_bytes_total", "Bytes that scrubs have read.", scrub.bytes);
	zp_metric_counter(
	    page, "zpin_scrub_passes_total", "Scrubs that read everything.", scrub.passes);
	zp_metric_gauge(page, "zpin_scrub_shards_done",
	    "Shards that the scrub under way has been through.", scrub.shards_done);
	zp_metric_gauge(page, "zpin_scrub_last_timestamp_seconds",
	    "When the last scrub that read everything ended; 0 never.",
	    (uint64_t)(scrub.last_ended_microseconds / 1000000));
}

static void
http_names(const struct zp_http_server *server, struct zp_buf *page)
{
	struct zp_http_counters counters;

	zp_http_server_counters(server, &counters);
	zp_metric_gauge(
	    page, "zpin_http_connections", "Open connections.", counters.connections_open);
	zp_metric_counter(
	    page, "zpin_http_connections_total", "Connections accepted.", counters.connections);
	zp_metric_counter(page, "zpin_http_connections_refused_total",
	    "Connections over the limit.", counters.connections_refused);
	zp_metric_counter(page, "zpin_http_requests_total", "Requests.", counters.requests);
	zp_metric_family(
	    page, "zpin_http_answers_total", ZP_METRIC_COUNTER, "Answers by class of status.");
	for (unsigned class = 1; class < ZP_ARRAY_COUNT(counters.answers); class ++) {
		char label[32];

		snprintf(label, sizeof(label), "class=\"%uxx\"", class);
		zp_metric_u64(page, "zpin_http_answers_total", label, counters.answers[class]);
	}
	zp_metric_counter(page, "zpin_http_bytes_in_total", "Bytes received.", counters.bytes_in);
	zp_metric_counter(page, "zpin_http_bytes_out_total", "Bytes sent.", counters.bytes_out);
	zp_metric_counter(page, "zpin_http_parse_errors_total", "Requests that were not HTTP.",
	    counters.parse_errors);
	zp_metric_counter(
	    page, "zpin_http_timeouts_total", "Slow clients that were cut off.", counters.timeouts);
	zp_metric_counter(
	    page, "zpin_tls_failures_total", "TLS handshakes that failed.", counters.tls_failures);
}

void
api__metrics_page(const struct zp_manage_options *sources, struct zp_buf *page)
{
	struct zp_node_facts facts;
	char label[128];

	zp_node_facts_get(sources->node, &facts);
	cluster_names(&facts, sources, page);
	zp_metric_family(page, "zpin_info", ZP_METRIC_GAUGE, "Which zpin this is.");
	snprintf(label, sizeof(label), "version=\"%s\"", sources->version);
	zp_metric_u64(page, "zpin_info", label, 1);
	engine_names(&facts, page);
	scrub_names(sources->node, page);
	http_names(sources->server, page);
	zp_metric_process(page);
}
