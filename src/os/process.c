/*
 * process.c - see process.h. Any thread.
 */
#include "os/process.h"

#include <dirent.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void
memory_read(struct zp_process_facts *facts)
{
	FILE *file = fopen("/proc/self/statm", "re");
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	unsigned long long all = 0, resident = 0;

	if (file == NULL)
		return;
	if (fscanf(file, "%llu %llu", &all, &resident) == 2) {
		facts->virtual_bytes = all * page;
		facts->resident_bytes = resident * page;
	}
	fclose(file);
}

/* How many names a folder of /proc/self has. */
static uint64_t
names_count(const char *path)
{
	DIR *folder = opendir(path);
	struct dirent *entry;
	uint64_t count = 0;

	if (folder == NULL)
		return 0;
	while ((entry = readdir(folder)) != NULL)
		count += entry->d_name[0] != '.';
	closedir(folder);
	return count;
}

void
zp_process_facts_get(struct zp_process_facts *facts_out)
{
	struct rusage usage;
	struct rlimit files;

	*facts_out = (struct zp_process_facts){0};
	if (getrusage(RUSAGE_SELF, &usage) == 0) {
		facts_out->cpu_user_seconds =
		    (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6;
		facts_out->cpu_system_seconds =
		    (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6;
	}
	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
		facts_out->open_files_max = files.rlim_cur;
	memory_read(facts_out);
	facts_out->open_files = names_count("/proc/self/fd");
	facts_out->threads = names_count("/proc/self/task");
}

void
zp_process_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length;
	int fd;

	if (path == NULL || (path[0] != '/' && path[0] != '@'))
		return;
	length = strlen(path);
	if (length >= sizeof(address.sun_path))
		return;
	memcpy(address.sun_path, path, length);
	if (path[0] == '@')
		address.sun_path[0] = '\0'; /* an abstract socket */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	/* Nobody waits for the answer: a supervisor that does not listen is not our failure. */
	zp_ignore(sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address,
		      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) < 0);
	close(fd);
}

void
zp_process_files_raise(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0)
		return;
	files.rlim_cur = files.rlim_max;
	zp_ignore(setrlimit(RLIMIT_NOFILE, &files)); /* the present limit serves too */
}

void
zp_machine_name(char *name, size_t bytes)
{
	if (gethostname(name, bytes) != 0)
		snprintf(name, bytes, "zpin");
	name[bytes - 1] = '\0';
}
