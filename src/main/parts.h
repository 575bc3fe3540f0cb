/*
 * parts.h - what serve.c and offline.c share: the config's values as the node's parts want them.
 */
#ifndef ZP_MAIN_PARTS_H
#define ZP_MAIN_PARTS_H

#include <sys/types.h>

#include "command/command.h"
#include "main/config.h"
#include "main/identity.h"

/*
 * Reads the identity and fills in the node's options; texts belong to `config`. ZP_E_NOT_FOUND
 * where there is no node: only `init` makes one, since an empty directory may be one whose file
 * system is not mounted. `config_path`: --config or NULL, for the command that the error tells. A
 * data directory that is a snapshot of a node is opened as one, with the node's identity.
 */
ZP_MUST_CHECK int main__node_options(const struct zp_config *config, const char *config_path,
    struct zp_identity *identity_out, struct zp_node_options *options_out, struct zp_err *err);

enum main__made {
	MAIN__MADE_NOTHING,  /* both were there */
	MAIN__MADE_IDENTITY, /* for a node whose own is gone */
	MAIN__MADE_NODE,
};

/* Makes the data directory's node and its identity, each where there is none. */
ZP_MUST_CHECK int main__node_make(
    const struct zp_config *config, enum main__made *made_out, struct zp_err *err);

/* Makes one directory where there is none; its name outlives a power cut. */
ZP_MUST_CHECK int main__directory_make(const char *path, mode_t mode, struct zp_err *err);

/* Tries what a start would need besides the config itself: certificate and key; and the socket's
 * folder, which is a warning, since the service's own is made at its start. */
ZP_MUST_CHECK int main__config_try(
    const struct zp_config *config, struct zp_buf *warnings, struct zp_err *err);

/* Where the identity is: node.identity or <data>/identity.json. `path` has `bytes` bytes. */
void main__identity_path(const struct zp_config *config, char *path, size_t bytes);

/* How this program was called, for commands to paste: "build/zpin", or "zpin" by PATH. */
const char *main__program(void);

/* Appends such a command with the config that is used, as --config or by itself. */
void main__command(const char *command, const char *config_path, struct zp_buf *text);

#endif
