/*
 * main.c - the program: the command line, given what only the whole program can do.
 *
 * A build without serve.c is a client; its node commands say so.
 */
#include "main/config.h"
#include "main/parts.h"
#include "main/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int
config_check(const char *config_path, bool show, struct zp_buf *faults, struct zp_buf *warnings,
    struct zp_buf *values, struct zp_err *err)
{
	struct zp_config_faults found;
	struct zp_config config;
	int rc = zp_config_load_judged(config_path, environ, &config, &found);

	for (size_t i = 0; i < found.count; i++) {
		zp_buf_append_text(faults, found.items[i].err.text);
		zp_buf_append_byte(faults, '\n');
	}
	if (found.count == ZP_CONFIG_FAULTS_MAX)
		zp_buf_append_text(faults, "more was not looked for\n");
	if (rc < 0)
		return rc;
	rc = zp_config_check(&config, warnings, err);
#ifdef ZP_HAS_NODE
	if (rc == 0)
		rc = main__config_try(&config, warnings, err);
#endif
	if (rc == 0 && show)
		zp_config_show(&config, values);
	zp_config_done(&config);
	return rc;
}

/* An address that commands on this machine can ask. */
static void
address_put(const char *scheme, const struct zp_config_addresses *addresses, struct zp_buf *url)
{
	for (size_t i = 0; i < addresses->count && url->length == 0; i++) {
		const struct zp_config_address *address = &addresses->items[i];
		const char *host = address->host;

		if (address->port == 0) /* the kernel chose; only the log says which */
			continue;
		if (strcmp(host, "::") == 0 || strcmp(host, "0.0.0.0") == 0)
			host = "localhost"; /* all of the machine's */
		zp_buf_printf(url, strchr(host, ':') != NULL ? "%s://[%s]:%u" : "%s://%s:%u",
		    scheme, host, address->port);
	}
}

/* The socket has both, and asks for no account. */
static int
config_addresses(
    const char *config_path, struct zp_buf *api, struct zp_buf *management, struct zp_err *err)
{
	struct zp_config config;
	int rc = zp_config_load(config_path, environ, &config, err);

	if (rc < 0)
		return rc;
	if (config.management.socket[0] != '\0') {
		zp_buf_printf(api, "unix:%s", config.management.socket);
		zp_buf_append_slice(management, zp_buf_slice(api));
	} else {
		address_put(config.api.tls_certificate[0] != '\0' ? "https" : "http",
		    &config.api.listen, api);
		address_put("http", &config.management.listen, management);
	}
	zp_config_done(&config);
	return 0;
}

static void
config_reference(bool as_scdoc, struct zp_buf *text)
{
	if (as_scdoc)
		zp_config_scdoc(text);
	else
		zp_config_markdown(text);
}

/* Who starts us may have closed them (`>&-`): the next file that is opened would take the number,
 * and what is meant for people would be written into it. What can't be written to is an error to
 * who looks. */
static void
standard_files_open(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) == -1 && errno == EBADF &&
		    open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
			_exit(1);
	}
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
	    .repair = zp_node_mend,
#endif
	    .config_check = config_check,
	    .addresses = config_addresses,
	    .config_example = zp_config_example,
	    .config_reference = config_reference,
	};

	standard_files_open();
	return zp_cli_main(argc, argv, &ops);
}
