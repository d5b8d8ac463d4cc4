// SPDX-License-Identifier: GPL-2.0-only
/*
 * Three configurations: the file as it was read before, what runs, the file as it is now. What differs
 * between the first two was changed by requests.
 */
#include "lbd/state/change_reverts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "config/config_diff.h"
#include "lbd/lbd.h"
#include "lbd/state/change.h"

static int compare_paths(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int note(void *context, const struct lb_difference *difference)
{
	struct reverts *reverts = context;
	char **paths;

	if (reverts->n == reverts->room) {
		size_t room = reverts->room ? 2 * reverts->room : 64;

		paths = realloc(reverts->paths, room * sizeof(*paths));
		if (!paths)
			return -ENOMEM;
		reverts->paths = paths;
		reverts->room = room;
	}
	reverts->paths[reverts->n] = strdup(difference->path);
	if (!reverts->paths[reverts->n])
		return -ENOMEM;
	reverts->n++;
	return 0;
}

struct comparing {
	const struct lb_config *before, *running;
	struct reverts *reverts;
	int r;
};

static void compare_beside(void *context)
{
	struct comparing *comparing = context;

	comparing->r = lb_config_diff(comparing->before, comparing->running, note, comparing->reverts);
}

void reverts_make(const struct lbd *lbd, const struct desired *next, struct reverts *ret_reverts)
{
	const struct desired *running = &lbd->running;
	_cleanup_(lb_config_freep) struct lb_config *before = NULL;
	_cleanup_(freep) char *text = NULL;
	struct comparing comparing;
	struct lb_error error = {};
	size_t length;

	*ret_reverts = (struct reverts){};
	if (!running->config || !running->file_digest[0])
		return;
	if (strcmp(running->file_digest, next->file_digest) == 0) {
		ret_reverts->all = true;
		return;
	}
	/* What runs is the file as it was. */
	if (strcmp(running->file_digest, running->digest) == 0)
		return;
	if (store_get_config(&lbd->store, running->file_digest, &text, &length, NULL) < 0 ||
	    config_parse(text, length, &before, &error) < 0)
		return;
	comparing = (struct comparing){ before, desired_file(running), ret_reverts, 0 };
	task_beside(compare_beside, &comparing);
	if (comparing.r < 0)
		reverts_done(ret_reverts);
	else if (ret_reverts->n)
		qsort(ret_reverts->paths, ret_reverts->n, sizeof(*ret_reverts->paths), compare_paths);
}

void reverts_done(struct reverts *reverts)
{
	for (size_t i = 0; i < reverts->n; i++)
		free(reverts->paths[i]);
	free(reverts->paths);
	*reverts = (struct reverts){};
}

/* A key is in what was added, or is what was changed: the place itself, and those that it lies in. */
bool reverts_has(const struct reverts *reverts, const char *path)
{
	_cleanup_(freep) char *place = NULL;

	if (reverts->all)
		return true;
	place = reverts->n ? strdup(path) : NULL;
	while (place && *place) {
		char *end = place + strlen(place);

		if (bsearch(&place, reverts->paths, reverts->n, sizeof(*reverts->paths), compare_paths))
			return true;
		while (end > place && *end != '.' && *end != '[')
			end--;
		*end = '\0';
	}
	return false;
}
