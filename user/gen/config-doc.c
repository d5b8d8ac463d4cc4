// SPDX-License-Identifier: GPL-2.0-only
/*
 * Build-time tool: writes configs/schema.json or docs/weir.json.5, as made from the schema table in liblb,
 * to standard output. Run by `make config-docs`.
 */
#include <stdio.h>
#include <string.h>

#include "config/config.h"

int main(int argc, char **argv)
{
	int r = -1;

	if (argc == 2 && strcmp(argv[1], "schema") == 0)
		r = lb_config_write_schema(stdout);
	else if (argc == 2 && strcmp(argv[1], "man") == 0)
		r = lb_config_write_man(stdout);
	else
		fprintf(stderr, "usage: config-doc schema|man\n");
	return r < 0 || fflush(stdout) != 0;
}
