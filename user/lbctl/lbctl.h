/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of lbctl share: the parsed command line, the tables of verbs and options (verbs.c) that
 * drive dispatch, help and completion, and the ways to end. A verb's function returns the exit status.
 * lbctl is a short-lived program: running out of memory ends it (lbctl_memory), nothing else exits early.
 */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <stdio.h>

#include "base/cleanup.h"

#define LBCTL_SOCKET_DEFAULT  "/run/weir/lbd.sock"
#define LBCTL_TIMEOUT_DEFAULT 30.0 /* seconds */
#define LBCTL_ARGUMENTS_MAX   40u

enum lbctl_exit { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_WRONG_USAGE = 2, EXIT_DIFFERS = 3 };

enum option_id {
	OPTION_JSON,
	OPTION_SOCKET,
	OPTION_TIMEOUT,
	OPTION_HELP,
	OPTION_VERSION,
	OPTION_FILE,
	OPTION_DRY_RUN,
	OPTION_ALLOW_RING_RESIZE,
	OPTION_YES,
	OPTION_TO,
	OPTION_WEIGHT,
	OPTION_STATE,
	OPTION_RESET,
	OPTION_INTERVAL,
	OPTION_COUNT,
	OPTION_DELTA,
	OPTION_DUMP,
	OPTION_SYN,
	OPTION_LIMIT,
	OPTION_FOLLOW,
	OPTION_VERBOSE,
	OPTION_WRITE,
	OPTION_SERVICE,
	OPTION_BACKEND,
	OPTION_DROPS,
	OPTION_FLOW,
	OPTION_SECONDS,
	OPTION_REASON,
	OPTION_FOR,
	OPTION_BREAKER,
	OPTION_OVERRIDES,
	OPTION_WAIT,
	OPTION_UNDO,
	OPTION_SAVE,
	OPTION_ALLOW_BREAK,
	OPTION_PEER,
	OPTIONS_MAX,
};
#define OPTION_BIT(id) (1ull << (id))
#define OPTIONS_GLOBAL                                                                                       \
	(OPTION_BIT(OPTION_JSON) | OPTION_BIT(OPTION_SOCKET) | OPTION_BIT(OPTION_TIMEOUT) |                  \
	 OPTION_BIT(OPTION_HELP))

/* What completion offers for a value or an argument. */
enum hint { HINT_NONE, HINT_FILE, HINT_SERVICE, HINT_BACKEND, HINT_PROTOCOL, HINT_STATE, HINT_VERB };

struct option {
	const char *name;  /* without the dashes */
	char letter;       /* 0: none */
	const char *value; /* its name in the help; NULL: the option takes none */
	enum hint hint;
	const char *help;
};

struct lbctl;
struct verb {
	const char *name; /* one word or two */
	int (*run)(struct lbctl *c);
	const char *arguments;      /* as the help shows them */
	const char *help;           /* one line */
	const char *more;           /* further lines of its own help, or NULL */
	unsigned long long options; /* OPTION_BIT()s beside the global ones */
	unsigned int least, most;   /* positional arguments */
	enum hint hint[2];          /* of the first ones */
};

extern const struct option lbctl_options[OPTIONS_MAX];
extern const struct verb lbctl_verbs[]; /* ends with a NULL name */

struct lbctl {
	const struct verb *verb;
	const char *option[OPTIONS_MAX]; /* value; "" for one that takes none; NULL: not given */
	const char *argument[LBCTL_ARGUMENTS_MAX];
	size_t n_arguments;
	bool json;
	bool terminal;        /* stdout is one */
	unsigned int columns; /* of the terminal; 0: no limit */
	const char *socket;
	bool remote; /* socket is a URL: of another balancer's HTTP address */
	double timeout_s;
	const char *progress; /* what goes on, shown on a terminal when it takes long; or NULL */
	void *curl;           /* connection kept between requests, see agent.c */
};

/* Splits the command line. EXIT_DONE, or EXIT_WRONG_USAGE after saying why. argv is borrowed. */
int lbctl_parse(struct lbctl *c, int argc, char **argv);

/* The word of a NULL-terminated list nearest in spelling, with a question around it, or "". */
const char *lbctl_did_you_mean(const char *word, const char *const *words, const char *before,
			       char buffer[128]);

/* Verbs that are no more than output of the tables. words: the command line so far, the last word unfinished.
 */
void lbctl_help(const struct lbctl *c, const struct verb *verb, FILE *out);
int lbctl_complete(struct lbctl *c, int n_words, char **words);

/* Says what went wrong (text, or {"error":...} with -j) and returns the exit status for it. */
int lbctl_usage(const struct lbctl *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
int lbctl_fail(const struct lbctl *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same with an error object {"message", "path", "value", "file", ...}, which is freed. */
int lbctl_fail_with(const struct lbctl *c, cJSON *error);
/* Makes such an object. */
cJSON *lbctl_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Warnings go to stderr, also with -j. */
void lbctl_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

_Noreturn void lbctl_memory(void);
char *lbctl_format(const char *format, ...) __attribute__((format(printf, 1, 2))); /* malloc'd, never NULL */

/* Values of options; false after lbctl_usage has been called. Not given: *ret stays as it is. */
bool option_number(const struct lbctl *c, enum option_id id, unsigned long long least,
		   unsigned long long most, unsigned long long *ret);
bool option_seconds(const struct lbctl *c, enum option_id id, double least, double *ret);
static inline bool option_given(const struct lbctl *c, enum option_id id)
{
	return c->option[id] != NULL;
}

/* Sleeps until the next multiple of interval_s after *next_ns (0: starts counting now). False: whoever reads
 * stdout is gone, and there is nothing to go on for. */
bool lbctl_pace(double interval_s, unsigned long long *next_ns);

int verb_status(struct lbctl *c);
int verb_apply(struct lbctl *c);
int verb_diff(struct lbctl *c);
int verb_reload(struct lbctl *c);
int verb_rollback(struct lbctl *c);
int verb_generations(struct lbctl *c);
int verb_config(struct lbctl *c);
int verb_validate(struct lbctl *c);
int verb_service_list(struct lbctl *c);
int verb_service_show(struct lbctl *c);
int verb_backend_list(struct lbctl *c);
int verb_backend_set(struct lbctl *c);
int verb_backend_drain(struct lbctl *c);
int verb_drain(struct lbctl *c);
int verb_service_add(struct lbctl *c);
int verb_service_set(struct lbctl *c);
int verb_service_del(struct lbctl *c);
int verb_backend_add(struct lbctl *c);
int verb_backend_del(struct lbctl *c);
int verb_stats(struct lbctl *c);
int verb_drops(struct lbctl *c);
int verb_capture(struct lbctl *c);
int verb_ring(struct lbctl *c);
int verb_explain(struct lbctl *c);
int verb_flows(struct lbctl *c);
int verb_health(struct lbctl *c);
int verb_observe(struct lbctl *c);
int verb_events(struct lbctl *c);
int verb_top(struct lbctl *c);
int verb_profile(struct lbctl *c);
int verb_doctor(struct lbctl *c);
int verb_leave(struct lbctl *c);
int verb_join(struct lbctl *c);
int verb_version(struct lbctl *c);
int verb_help(struct lbctl *c);
