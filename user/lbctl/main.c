// SPDX-License-Identifier: GPL-2.0-only
/*
 * lbctl: how people drive lbd. This file looks at where it runs (terminal, environment), has the command line
 * split (arguments.c), and runs one verb. Output that cannot be written is a failure.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent.h"
#include "lbctl.h"
#include "version.h"

static unsigned int terminal_columns(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20)
		return size.ws_col;
	return 80;
}

static void look_around(struct lbctl *c)
{
	const char *socket = getenv("LBCTL_SOCKET");

	c->socket = socket && *socket ? socket : LBCTL_SOCKET_DEFAULT;
	c->timeout_s = LBCTL_TIMEOUT_DEFAULT;
	c->terminal = isatty(STDOUT_FILENO);
	c->columns = c->terminal ? terminal_columns() : 0;
}

static int run(struct lbctl *c, int argc, char **argv)
{
	int r = lbctl_parse(c, argc, argv);

	if (r != EXIT_DONE)
		return r;
	if (option_given(c, OPTION_HELP)) {
		lbctl_help(c, c->verb, stdout);
		return EXIT_DONE;
	}
	if (option_given(c, OPTION_VERSION)) {
		printf(c->json ? "{\"lbctl\":\"%s\"}\n" : "lbctl %s\n", LB_VERSION);
		return EXIT_DONE;
	}
	return c->verb->run(c);
}

int main(int argc, char **argv)
{
	struct lbctl c = { 0 };
	int r;

	look_around(&c);
	if (argc > 2 && strcmp(argv[1], "__complete") == 0)
		r = lbctl_complete(&c, argc - 2, argv + 2);
	else
		r = run(&c, argc, argv);
	agent_done(&c);
	if ((fflush(stdout) != 0 || ferror(stdout)) && r == EXIT_DONE) {
		fprintf(stderr, "lbctl: cannot write the output: %s\n", strerror(errno));
		r = EXIT_FAILED;
	}
	return r;
}
