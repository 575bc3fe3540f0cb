/*
 * parts.h - what serve.c and offline.c share: the config's values as the node's parts want them.
 */
#ifndef ZP_MAIN_PARTS_H
#define ZP_MAIN_PARTS_H

#include "command/command.h"
#include "main/config.h"
#include "main/identity.h"

/* Reads the identity and fills in the node's options; texts belong to `config`. */
ZP_MUST_CHECK int main__node_options(const struct zp_config *config,
    struct zp_identity *identity_out, struct zp_node_options *options_out, struct zp_err *err);

/* Makes the data directory's node when there is none. *made_out tells whether it did. */
ZP_MUST_CHECK int main__node_make(const struct zp_config *config, bool *made_out,
    struct zp_err *err);

/* Where the identity is: node.identity or <data>/identity.json. `path` has `bytes` bytes. */
void main__identity_path(const struct zp_config *config, char *path, size_t bytes);

/* How this program was called, for commands to paste: "build/zpin", or "zpin" by PATH. */
const char *main__program(void);

#endif
