/*
 * print.c - what a bench says: lines of figures, or why it ends.
 */
#include "engine/bench.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void
bench_fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("bench-engine: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	exit(1);
}

void
bench_print(const char *store, const char *what, double value, const char *unit)
{
	printf("%s.%s %.6g %s\n", store, what, value, unit);
	fflush(stdout);
}
