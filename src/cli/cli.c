/*
 * cli.c - the way of one call: parse, settle the settings, run, say what failed, exit code.
 *
 * Owner: the main thread.
 */
#include "cli/cli_internal.h"

#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "pin/pin.h"

#define API_DEFAULT "http://127.0.0.1:9094"
#define MANAGEMENT_DEFAULT "http://127.0.0.1:9098"

/* ---- Output --------------------------------------------------------------------------------- */

int
cli__out_check(struct cli_call *call, struct zp_err *err)
{
	if (!ferror(call->out))
		return 0;
	call->is_out_closed = errno == EPIPE;
	return zp_fail_errno(err, errno != 0 ? errno : EIO, "can't write the output");
}

int
cli__print(struct cli_call *call, struct zp_slice text, struct zp_err *err)
{
	if (fwrite(text.data, 1, text.length, call->out) == text.length)
		return 0;
	return cli__out_check(call, err);
}

int
cli__print_line(struct cli_call *call, struct zp_slice text, struct zp_err *err)
{
	int rc = cli__print(call, text, err);

	return rc < 0 ? rc : cli__print(call, zp_slice_of("\n"), err);
}

void
cli__note(struct cli_call *call, const char *format, ...)
{
	ZP_AUTO_BUF(shown, 8192);
	char text[2048];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	cli__text_fit(zp_slice_of(text), 0, &shown);
	/* What begins with the command ("zpin pin add: ") says already who speaks. */
	fprintf(call->notes, "%s%.*s\n",
	    strncmp(text, "zpin ", 5) == 0 ? "" : "zpin: ", (int)shown.length,
	    (const char *)shown.data);
}

/* ---- Settings ------------------------------------------------------------------------------- */

/* The option, else the variable, else `otherwise`; an empty variable is none. */
static const char *
setting(const struct cli_parsed *parsed, const char *option, const char *variable,
    const char *otherwise)
{
	const char *value = cli__value(parsed, option);

	if (value == NULL && variable != NULL)
		value = getenv(variable);
	return value == NULL || value[0] == '\0' ? otherwise : value;
}

bool
cli__is_local(const struct cli_command *command)
{
	static int (*const local[])(struct cli_call *) = {cli__cmd_serve, cli__cmd_init,
	    cli__cmd_config_check, cli__cmd_config_example, cli__cmd_config_reference,
	    cli__cmd_account, cli__cmd_repair, cli__cmd_completion, cli__cmd_help};

	for (size_t i = 0; i < ZP_ARRAY_COUNT(local); i++) {
		if (command->run == local[i])
			return true;
	}
	return false;
}

/* Whether the command talks to a running node. */
static bool
asks_a_node(const struct cli_parsed *parsed)
{
	return !cli__is_local(parsed->command) && !cli__has(parsed, "offline");
}

/* What names the node most closely decides: --api, --config, ZPIN_API, ZPIN_CONFIG. */
static bool
config_says_where(const struct cli_parsed *parsed)
{
	if (!asks_a_node(parsed) || setting(parsed, "api", NULL, NULL) != NULL)
		return false;
	if (setting(parsed, "config", NULL, NULL) != NULL)
		return true;
	return setting(parsed, "api", "ZPIN_API", NULL) == NULL &&
	       setting(parsed, "config", "ZPIN_CONFIG", NULL) != NULL;
}

/* The addresses of a config instead of those that are usual. */
static int
addresses_read(
    struct cli_call *call, const struct cli_parsed *parsed, struct cli_settings *settings)
{
	bool is_option = setting(parsed, "config", NULL, NULL) != NULL;
	int rc = call->ops->addresses(
	    settings->config_path, &settings->config_api, &settings->config_management, &call->err);

	if (rc < 0)
		return rc;
	if (settings->config_api.length == 0)
		return zp_fail(&call->err, ZP_E_INVALID,
		    "the config has no address that can be asked: give --api");
	zp_buf_append_byte(&settings->config_api, '\0');
	settings->api = (const char *)settings->config_api.data;
	settings->is_management_guessed = false;
	settings->management =
	    setting(parsed, "management", is_option ? NULL : "ZPIN_MANAGEMENT", NULL);
	if (settings->management == NULL && settings->config_management.length > 0) {
		zp_buf_append_byte(&settings->config_management, '\0');
		settings->management = (const char *)settings->config_management.data;
	}
	return 0;
}

static int
settings_read(struct cli_call *call, const struct cli_parsed *parsed, struct cli_settings *settings)
{
	struct zp_err *err = &call->err;
	int rc;

	const char *timeout = cli__value(parsed, "timeout");

	*settings = (struct cli_settings){
	    .api = setting(parsed, "api", "ZPIN_API", API_DEFAULT),
	    .credentials = setting(parsed, "credentials", "ZPIN_CREDENTIALS", NULL),
	    .config_path = setting(parsed, "config", NULL, NULL),
	    .ca_file = setting(parsed, "ca-file", NULL, NULL),
	    .is_timeout_given = timeout != NULL,
	    .no_certificate_check = cli__has(parsed, "no-check-certificate"),
	    .is_json = cli__has(parsed, "json"),
	    .is_quiet = cli__has(parsed, "quiet"),
	    .config_api = ZP_BUF_INIT(CLI_URL_BYTES_MAX),
	    .config_management = ZP_BUF_INIT(CLI_URL_BYTES_MAX),
	};
	/* A socket has both; a node elsewhere has its management where only its operator knows. */
	settings->management = setting(parsed, "management", "ZPIN_MANAGEMENT",
	    strncmp(settings->api, "unix:", 5) == 0   ? settings->api
	    : strcmp(settings->api, API_DEFAULT) == 0 ? MANAGEMENT_DEFAULT
						      : NULL);
	settings->is_management_guessed =
	    settings->management != NULL && strcmp(settings->api, API_DEFAULT) == 0 &&
	    setting(parsed, "management", "ZPIN_MANAGEMENT", NULL) == NULL;
	if (config_says_where(parsed)) {
		rc = addresses_read(call, parsed, settings);
		if (rc < 0)
			return rc;
	}
	if (settings->ca_file != NULL && access(settings->ca_file, R_OK) < 0)
		return zp_fail(
		    err, ZP_E_INVALID, "--ca-file %s: %s", settings->ca_file, strerror(errno));
	if (settings->credentials != NULL && strchr(settings->credentials, ':') == NULL)
		return zp_fail(err, ZP_E_INVALID, "credentials are USER:PASSWORD");
	if (timeout != NULL)
		return zp_duration_parse(zp_slice_of(timeout), &settings->timeout_ns, err);
	return 0;
}

/* ---- The way of a call ---------------------------------------------------------------------- */

static int
help_print(struct cli_call *call)
{
	ZP_AUTO_BUF(text, 1u << 20);

	if (call->parsed->command == NULL)
		cli__help_all(&text);
	else
		cli__help_command(call->parsed->command, &text);
	return cli__print(call, zp_buf_slice(&text), &call->err);
}

static int
call_run(struct cli_call *call, int argc, char **argv, struct cli_parsed *parsed)
{
	int rc = cli__parse(argc, argv, parsed, &call->err);

	if (rc < 0)
		return rc;
	if (parsed->wants_help)
		return help_print(call);
	if (parsed->command == NULL)
		return zp_fail(&call->err, ZP_E_INVALID, "which command? `zpin help` lists them");
	rc = settings_read(call, parsed, &call->settings);
	if (rc == 0)
		rc = parsed->command->run(call);
	/* Also what a table could not write, which flushed by itself. */
	if (rc == 0 && (fflush(call->out) != 0 || ferror(call->out)))
		rc = cli__out_check(call, &call->err);
	return rc;
}

int
zp_cli_main(int argc, char **argv, const struct zp_cli_node_ops *ops)
{
	static char version[] = "version";
	struct cli_parsed parsed = {0};
	struct cli_call call = {.parsed = &parsed, .ops = ops, .out = stdout, .notes = stderr};
	int rc;

	/* wcwidth() needs to know that text is UTF-8; nothing else here depends on a locale. */
	setlocale(LC_CTYPE, "C.UTF-8");
	if (argc == 2 && strcmp(argv[1], "--version") == 0) /* what people try first */
		argv[1] = version;
	rc = call_run(&call, argc, argv, &parsed);
	cli__client_free(call.client);
	zp_buf_done(&call.settings.config_api);
	zp_buf_done(&call.settings.config_management);
	cli__parsed_done(&parsed);
	if (call.is_out_closed) {
		signal(SIGPIPE, SIG_DFL); /* `zpin pin ls | head`: end as any filter does */
		raise(SIGPIPE);
	}
	if (rc < 0 && call.err.text[0] != '\0')
		cli__note(&call, "%s", call.err.text);
	return rc < 0 ? zp_err_exit_code(rc) : EXIT_SUCCESS;
}
