/*
 * serve.h - the node of this process: what serve.c assembles from all parts.
 *
 * Flow:  main.c puts these into struct zp_cli_node_ops; cli.h says what each must do. They read the
 *        config themselves, with zp_config_load(config_path, environ, …).
 * Owner: the main thread. Each call builds the parts it needs in order and takes them down in the
 *        reverse order before it returns.
 */
#ifndef ZP_MAIN_SERVE_H
#define ZP_MAIN_SERVE_H

#include "cli/cli.h"

ZP_MUST_CHECK int zp_node_serve(const char *config_path, struct zp_err *err);
ZP_MUST_CHECK int zp_node_init(const char *config_path, const char *directory, bool as_json,
    struct zp_buf *report, struct zp_err *err);
ZP_MUST_CHECK int zp_node_import(const char *config_path, const struct zp_cli_import *import,
    struct zp_cli_counts *counts_out, struct zp_err *err);
ZP_MUST_CHECK int zp_node_export(const char *config_path, struct zp_cli_export *export,
    struct zp_cli_counts *counts_out, struct zp_err *err);
ZP_MUST_CHECK int zp_node_verify(
    const char *config_path, struct zp_cli_verify *verify, struct zp_err *err);
ZP_MUST_CHECK int zp_node_mend(
    const char *config_path, struct zp_cli_repair *repair, struct zp_err *err);

#endif
