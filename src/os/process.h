/*
 * process.h - what the system knows of this process, and how it tells a supervisor about itself.
 */
#ifndef ZP_OS_PROCESS_H
#define ZP_OS_PROCESS_H

#include "base/base.h"

struct zp_process_facts {
	double cpu_user_seconds;
	double cpu_system_seconds;
	uint64_t resident_bytes;
	uint64_t virtual_bytes;
	uint64_t open_files;
	uint64_t open_files_max;
	uint64_t threads;
};

/* What cannot be read is 0. */
void zp_process_facts_get(struct zp_process_facts *facts_out);

/* Sends a line such as "READY=1" to the supervisor that NOTIFY_SOCKET names (sd_notify's protocol);
 * nothing happens without one. */
void zp_process_notify(const char *state);

/* Raises the limit of open files as far as it goes. */
void zp_process_files_raise(void);

/* The machine's name, NUL-terminated, cut to `bytes`. */
void zp_machine_name(char *name, size_t bytes);

#endif
