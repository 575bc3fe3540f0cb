/*
 * routes.c - every endpoint. The first that fits is taken, as in IPFS Cluster's list, whose order
 * this keeps.
 */
#include "api/api_internal.h"

const struct api_route api__routes[] = {
    {ZP_HTTP_GET, "/id", api__id},
    {ZP_HTTP_GET, "/version", api__version},
    {ZP_HTTP_GET, "/peers", api__peers},
    {ZP_HTTP_POST, "/peers", api__peer_add},
    {ZP_HTTP_DELETE, "/peers/*", api__peer_remove},
    {ZP_HTTP_POST, "/add", api__add},
    {ZP_HTTP_GET, "/allocations", api__allocations},
    {ZP_HTTP_GET, "/allocations/*", api__allocation},
    {ZP_HTTP_GET, "/pins", api__statuses},
    {ZP_HTTP_POST, "/pins/*/recover", api__recover},
    {ZP_HTTP_POST, "/pins/recover", api__recover_all},
    {ZP_HTTP_GET, "/pins/*", api__status},
    {ZP_HTTP_POST, "/pins/*", api__pin},
    {ZP_HTTP_POST, "/pins/@/**", api__pin_path},
    {ZP_HTTP_DELETE, "/pins/*", api__unpin},
    {ZP_HTTP_DELETE, "/pins/@/**", api__unpin_path},
    {ZP_HTTP_POST, "/ipfs/gc", api__gc},
    {ZP_HTTP_GET, "/health/graph", api__graph},
    {ZP_HTTP_GET, "/health/alerts", api__alerts},
    {ZP_HTTP_GET, "/health/bandwidth", api__bandwidth},
    {ZP_HTTP_GET, "/monitor/metrics/*", api__metrics},
    {ZP_HTTP_GET, "/monitor/metrics", api__metric_names},
    {ZP_HTTP_POST, "/token", api__token},
    {ZP_HTTP_GET, "/health", api__health},
    /* Not in IPFS Cluster. */
    {ZP_HTTP_POST, "/pins", api__bulk},
    {ZP_HTTP_POST, "/import", api__import},
    {ZP_HTTP_GET, "/import", api__import_state},
    {ZP_HTTP_GET, "/export", api__export},
    {ZP_HTTP_POST, "/accesses", api__accesses},
};

const size_t api__routes_count = ZP_ARRAY_COUNT(api__routes);
