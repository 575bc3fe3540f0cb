/*
 * cmd_account.c - a password into an account of the config: argon2id hash and a fresh token secret.
 *
 * The password is read once and wiped; it is never an argument, which other users could see.
 */
#include "cli/cli_internal.h"

#include <errno.h>
#include <sodium.h>
#include <termios.h>
#include <unistd.h>

#define PASSWORD_BYTES_MAX 1024u
#define PASSWORD_BYTES_MIN 8u
#define SECRET_BYTES 32u

/* Reads a line from standard input, without echo on a terminal. */
static int
password_read(struct cli_call *call, char password_out[PASSWORD_BYTES_MAX])
{
	bool is_terminal = isatty(STDIN_FILENO);
	struct termios echo;
	struct termios silent;
	char *line;

	if (is_terminal) {
		fputs("Password: ", call->notes);
		fflush(call->notes);
		tcgetattr(STDIN_FILENO, &echo);
		silent = echo;
		silent.c_lflag &= (tcflag_t)~ECHO;
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
	}
	line = fgets(password_out, PASSWORD_BYTES_MAX, stdin);
	if (is_terminal) {
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &echo);
		fputc('\n', call->notes);
	}
	if (line == NULL)
		return zp_fail(&call->err, ZP_E_INVALID, "no password on standard input");
	if (strlen(line) == PASSWORD_BYTES_MAX - 1 && line[PASSWORD_BYTES_MAX - 2] != '\n')
		return zp_fail(&call->err, ZP_E_TOO_LARGE, "the password is over %u bytes",
		    PASSWORD_BYTES_MAX - 2);
	line[strcspn(line, "\r\n")] = '\0';
	if (strlen(line) < PASSWORD_BYTES_MIN)
		return zp_fail(&call->err, ZP_E_INVALID, "the password is shorter than %u bytes",
		    PASSWORD_BYTES_MIN);
	return 0;
}

static int
account_print(struct cli_call *call, const char *name, const char *password)
{
	char hash[crypto_pwhash_STRBYTES];
	uint8_t secret[SECRET_BYTES];
	char secret_text[SECRET_BYTES * 2 + 1];

	if (sodium_init() < 0 ||
	    crypto_pwhash_str(hash, password, strlen(password), crypto_pwhash_OPSLIMIT_INTERACTIVE,
		crypto_pwhash_MEMLIMIT_INTERACTIVE) != 0)
		return zp_fail(&call->err, ZP_E_MEMORY, "argon2id needs 64 MiB of memory");
	randombytes_buf(secret, sizeof(secret));
	sodium_bin2hex(secret_text, sizeof(secret_text), secret, sizeof(secret));
	/* The name has nothing in it that would have to be escaped. */
	fprintf(call->out,
	    call->settings.is_json
		? "{\"name\":\"%s\",\"password_hash\":\"%s\",\"token_secret\":\"%s\"}\n"
		: "- name: \"%s\"\n  password_hash: \"%s\"\n  token_secret: \"%s\"\n",
	    name, hash, secret_text);
	sodium_memzero(secret, sizeof(secret));
	sodium_memzero(secret_text, sizeof(secret_text));
	return 0;
}

int
cli__cmd_account(struct cli_call *call)
{
	const char *name = call->parsed->arguments[0];
	char password[PASSWORD_BYTES_MAX];
	int rc;

	for (const char *at = name; *at != '\0'; at++) {
		if ((unsigned char)*at < 0x20 || strchr(":\"\\\x7f", *at) != NULL)
			return zp_fail(&call->err, ZP_E_INVALID,
			    "the name holds a colon, quote, backslash or control character");
	}
	if (name[0] == '\0')
		return zp_fail(&call->err, ZP_E_INVALID, "the name is empty");
	rc = password_read(call, password);
	if (rc == 0)
		rc = account_print(call, name, password);
	explicit_bzero(password, sizeof(password));
	return rc;
}
