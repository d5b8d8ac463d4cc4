// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is to run, as changes carry it: a configuration with the services of its sources, and the words of
 * operators that still fit it. Makes and copies; change.c makes it run.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "lbd/state/change.h"
#include "lbd/state/sources_store.h"
#include "lbd/state/words.h"

/* Nobody else knows of it any more. */
static void free_beside(void *context)
{
	struct desired *desired = context;

	lb_config_free(desired->config);
	lb_config_free(desired->file);
	free(desired->text);
}

void desired_done(struct desired *desired)
{
	struct desired gone = *desired;

	memset(desired, 0, sizeof(*desired));
	lb_words_done(&gone.words);
	if (gone.shares)
		lb_config_unshare(gone.config, gone.shares);
	else if (!gone.borrowed && (gone.config || gone.text))
		task_beside(free_beside, &gone);
}

/* Some 100 ms for each 10 MiB. */
struct parsing {
	const char *text;
	size_t length;
	struct lb_config **config;
	int r;
	struct lb_error *error;
};

static void parse_beside(void *context)
{
	struct parsing *parsing = context;

	parsing->r = lb_config_parse(parsing->text, parsing->length, parsing->config, parsing->error);
}

int config_parse(const char *text, size_t length, struct lb_config **ret_config, struct lb_error *error)
{
	struct parsing parsing = { text, length, ret_config, .error = error };

	task_beside(parse_beside, &parsing);
	return parsing.r;
}

int desired_copy(const struct desired *from, struct desired *ret_desired, struct lb_error *error)
{
	struct desired copy = *from;

	if (lb_words_copy(&from->words, &copy.words) < 0)
		return lb_error_set(error, ENOMEM, "out of memory");
	copy.text = NULL;
	copy.borrowed = true;
	*ret_desired = copy;
	return 0;
}

const struct lb_config *desired_file(const struct desired *desired)
{
	return desired->file ? desired->file : desired->config;
}

/* Only tasks change the services of sources. */
struct merging {
	const struct lb_sources *sources;
	const struct lb_config *config;
	struct lb_config *merged;
	int r;
};

static void merge_beside(void *context)
{
	struct merging *merging = context;

	merging->r = lb_sources_merge(merging->sources, merging->config, &merging->merged);
}

int desired_merge_sources(const struct lbd *lbd, struct desired *desired, struct lb_error *error)
{
	struct merging merging = { .sources = &lbd->sources.list, .config = desired->config };

	if (!lbd->sources.list.n)
		return 0;
	task_beside(merge_beside, &merging);
	if (merging.r < 0)
		return lb_error_set(error, ENOMEM, "out of memory");
	desired->file = desired->config;
	desired->config = merging.merged;
	return 0;
}

/* Whether more is made of its backends than what the tables have: pools, widths of ways. */
static bool goes_further(const struct lb_config_service *service)
{
	for (size_t i = 0; i < service->n_backends; i++) {
		if (service->backends[i].tier || service->backends[i].mtu)
			return true;
	}
	return false;
}

/* Services of sources that have changed within, in their places: all the others are as they were. -EAGAIN: it
 * takes more than that. */
static int patch_sources(struct lbd *lbd, struct desired *ret_next)
{
	struct lb_config *runs = lbd->running.config, *patched;
	int r = lbd->running.file ? lb_sources_patch(&lbd->sources.list, runs, &patched) : -EAGAIN;

	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < runs->n_services; i++) {
		if (patched->services[i].backends != runs->services[i].backends &&
		    (goes_further(&patched->services[i]) || goes_further(&runs->services[i])))
			r = -EAGAIN;
	}
	if (r < 0) {
		lb_config_unshare(patched, runs);
		return r;
	}
	ret_next->config = patched;
	ret_next->file = lbd->running.file;
	ret_next->shares = runs;
	return 0;
}

/* All services of sources, behind those of the file. */
static int merge_sources(struct lbd *lbd, struct desired *ret_next)
{
	int r = lb_config_copy(desired_file(&lbd->running), &ret_next->config);

	return r < 0 ? r : desired_merge_sources(lbd, ret_next, NULL);
}

int desired_from_sources(struct lbd *lbd, struct desired *ret_desired, struct lb_error *error)
{
	const struct desired *running = &lbd->running;
	struct desired desired = { .length = running->length };
	int r = patch_sources(lbd, &desired);

	if (r == -EAGAIN)
		r = merge_sources(lbd, &desired);
	if (r < 0 || lb_words_copy(&running->words, &desired.words) < 0) {
		desired_done(&desired);
		return lb_error_set(error, ENOMEM, "out of memory");
	}
	memcpy(desired.digest, running->digest, sizeof(desired.digest));
	memcpy(desired.file_digest, running->file_digest, sizeof(desired.file_digest));
	words_filter(&desired.words, desired.config);
	*ret_desired = desired;
	return 0;
}

struct reading {
	const char *text;
	size_t length;
	struct desired *desired;
	int r;
	struct lb_error *error;
};

static void read_beside(void *context)
{
	struct reading *reading = context;
	struct desired *desired = reading->desired;

	reading->r = lb_config_parse(reading->text, reading->length, &desired->config, reading->error);
	if (reading->r < 0)
		return;
	desired->text = malloc(reading->length + 1);
	if (!desired->text) {
		reading->r = lb_error_set(reading->error, ENOMEM, "out of memory");
		return;
	}
	memcpy(desired->text, reading->text, reading->length);
	desired->text[reading->length] = '\0';
	desired->length = reading->length;
	store_digest(reading->text, reading->length, desired->digest);
}

int desired_from_text(const struct lbd *lbd, const char *text, size_t length, struct desired *ret_desired,
		      struct lb_error *error)
{
	struct desired desired = {};
	struct reading reading = { text, length, &desired, .error = error };
	int r;

	task_beside(read_beside, &reading);
	r = reading.r;
	if (r < 0) {
		desired_done(&desired);
		return r;
	}
	memcpy(desired.file_digest, lbd->running.file_digest, sizeof(desired.file_digest));
	r = desired_merge_sources(lbd, &desired, error);
	if (r == 0 && lb_words_copy(&lbd->running.words, &desired.words) < 0)
		r = lb_error_set(error, ENOMEM, "out of memory");
	if (r < 0) {
		desired_done(&desired);
		return r;
	}
	words_filter(&desired.words, desired.config);
	*ret_desired = desired;
	return 0;
}

int running_text(const struct lbd *lbd, char **ret_text, size_t *ret_length, struct lb_error *error)
{
	_cleanup_(freep) char *text = NULL;
	size_t length;
	FILE *out;
	int r;

	if (store_get_config(&lbd->store, lbd->running.digest, ret_text, ret_length, NULL) == 0)
		return 0;
	out = open_memstream(&text, &length);
	if (!out)
		return lb_error_set(error, ENOMEM, "out of memory");
	r = lb_config_write(desired_file(&lbd->running), out);
	if (fclose(out) != 0 || r < 0)
		return lb_error_set(error, ENOMEM, "out of memory");
	*ret_text = text;
	*ret_length = length;
	text = NULL;
	return 0;
}
