/*
 * metrics_page.h - the Prometheus page; private to api/.
 */
#ifndef ZP_API_METRICS_PAGE_H
#define ZP_API_METRICS_PAGE_H

#include "api/api.h"

/* Everything there is to count, read now. */
void api__metrics_page(const struct zp_manage_options *sources, struct zp_buf *page);

#endif
