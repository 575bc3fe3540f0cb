/*
 * main.c - the program: the command line, given what only the whole program can do.
 *
 * A build without serve.c is a client; its node commands say so.
 */
#include "main/config.h"
#include "main/serve.h"

#include <unistd.h>

static int
config_check(const char *config_path, bool show, struct zp_buf *warnings, struct zp_buf *values,
    struct zp_err *err)
{
	struct zp_config config;
	int rc = zp_config_load(config_path, environ, &config, err);

	if (rc < 0)
		return rc;
	rc = zp_config_check(&config, warnings, err);
	if (rc == 0 && show)
		zp_config_show(&config, values);
	zp_config_done(&config);
	return rc;
}

static void
config_reference(bool as_scdoc, struct zp_buf *text)
{
	if (as_scdoc)
		zp_config_scdoc(text);
	else
		zp_config_markdown(text);
}

int
main(int argc, char **argv)
{
	static const struct zp_cli_node_ops ops = {
#ifdef ZP_HAS_NODE
	    .serve = zp_node_serve,
	    .init = zp_node_init,
	    .import = zp_node_import,
	    .export = zp_node_export,
	    .verify = zp_node_verify,
#endif
	    .config_check = config_check,
	    .config_example = zp_config_example,
	    .config_reference = config_reference,
	};

	return zp_cli_main(argc, argv, &ops);
}
