/*
 * form_check.c - a test of one form of what is compiled for several processors (ZP_CLONES): skipped
 * on a processor that lacks it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SKIPPED 77 /* as meson knows it */

__attribute__((constructor)) static void
form_check(void)
{
	__builtin_cpu_init();
	if ((strcmp(ZP_FORM, "avx2") == 0 && !__builtin_cpu_supports("avx2")) ||
	    (strcmp(ZP_FORM, "avx512f") == 0 && !__builtin_cpu_supports("avx512f"))) {
		puts("this processor has no " ZP_FORM);
		exit(SKIPPED);
	}
}
