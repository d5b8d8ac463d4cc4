// SPDX-License-Identifier: GPL-2.0-only
/*
 * The copies of what runs: written after each change, compared at each start. Three hold the newest record
 * and its configuration: generations/ with configs/, copy/, and the kernel. The record that was written last
 * is believed; where the kernel has one, only records of its history, since packets see the tables beside it.
 */
#include "lbd/state/store_recover.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "lbd/state/store_file.h"
#include "lbd/state/store_kernel.h"
#include "lbd/state/store_record.h"

enum copy {
	COPY_DISK,
	COPY_KERNEL,
	COPIES,
};

static const struct {
	const char *record, *config; /* names */
	const char *what;
} copies[COPIES] = {
	[COPY_DISK] = { "record.json", "config.json", "copy/" },
	[COPY_KERNEL] = { "lb_state_record", "lb_state_config", "the kernel" },
};

static int copy_read(const struct store *store, enum copy copy, const char *name, char **ret_text,
		     size_t *ret_length)
{
	if (copy == COPY_DISK)
		return store_read(store, "copy", name, ret_text, ret_length);
	return store->bpffs[0] ? store_kernel_get(store->bpffs, name, ret_text, ret_length) : -ENOENT;
}

struct kernel_copy {
	const struct store *store;
	const char *name, *text;
	size_t length;
	int r;
};

static void put_in_kernel(void *context)
{
	struct kernel_copy *put = context;

	put->r = store_kernel_put(put->store->bpffs, put->name, put->text, put->length);
}

static int copy_write(struct store *store, enum copy copy, const char *name, const char *text, size_t length)
{
	struct kernel_copy put = { store, name, text, length, 0 };

	/* Not synced: after a power cut what was written first, and synced, is whole. */
	if (copy == COPY_DISK)
		return store_write(store, "copy", name, text, length, false, NULL);
	if (!store->bpffs[0])
		return 0;
	if (store->beside)
		store->beside(put_in_kernel, &put);
	else
		put_in_kernel(&put);
	return put.r;
}

static int copy_record(const struct store *store, enum copy copy, struct record *ret_record)
{
	_cleanup_(freep) char *text = NULL;
	size_t length;
	int r = copy_read(store, copy, copies[copy].record, &text, &length);

	return r < 0 ? r : record_parse(text, length, ret_record, NULL);
}

static bool text_is(const char *text, size_t length, const char digest[STORE_DIGEST])
{
	char actual[STORE_DIGEST];

	store_digest(text, length, actual);
	return strcmp(actual, digest) == 0;
}

static int copy_config(const struct store *store, enum copy copy, const char digest[STORE_DIGEST],
		       char **ret_text, size_t *ret_length)
{
	_cleanup_(freep) char *text = NULL;
	size_t length;
	int r = copy_read(store, copy, copies[copy].config, &text, &length);

	if (r < 0)
		return r;
	if (!text_is(text, length, digest))
		return -EPROTO;
	*ret_text = text;
	*ret_length = length;
	text = NULL;
	return 0;
}

static int kept_config(const struct store *store, const char digest[STORE_DIGEST], char **ret_text,
		       size_t *ret_length)
{
	_cleanup_(freep) char *text = NULL;
	char name[STORE_DIGEST + 8];
	size_t length;
	int r;

	snprintf(name, sizeof(name), "%s.json", digest);
	r = store_read(store, "configs", name, &text, &length);
	if (r < 0)
		return r;
	if (!text_is(text, length, digest))
		return -EPROTO;
	*ret_text = text;
	*ret_length = length;
	text = NULL;
	return 0;
}

int store_get_config(const struct store *store, const char digest[STORE_DIGEST], char **ret_text,
		     size_t *ret_length, struct lb_error *error)
{
	int r = kept_config(store, digest, ret_text, ret_length);

	if (r == 0 || r == -ENOMEM)
		return r;
	for (enum copy copy = 0; copy < COPIES; copy++)
		if (copy_config(store, copy, digest, ret_text, ret_length) == 0)
			return 0;
	return lb_error_set(error, EPROTO,
			    "the stored configuration %s/configs/%s.json %s, and there is no copy of it",
			    store->directory, digest,
			    r == -ENOENT   ? "is gone"
			    : r == -EPROTO ? "is damaged (its content is not what its name says)"
					   : "cannot be read");
}

/* --- after a change --------------------------------------------------------------------------------------
 */

/* Whether a copy has a configuration still; its content is looked at when it is needed. */
static bool copy_has(struct store *store, enum copy copy, const char digest[STORE_DIGEST])
{
	char path[PATH_MAX + 32];

	if (strcmp(store->copied_config[copy], digest) != 0)
		return false;
	snprintf(path, sizeof(path), "%s/%s%s", copy == COPY_DISK ? store->directory : store->bpffs,
		 copy == COPY_DISK ? "copy/" : "", copies[copy].config);
	return access(path, F_OK) == 0;
}

static int copy_make(struct store *store, enum copy copy)
{
	_cleanup_(freep) char *text = NULL;
	size_t length;
	int r;

	if (!copy_has(store, copy, store->copying_config)) {
		store->copied_config[copy][0] = '\0';
		r = store_get_config(store, store->copying_config, &text, &length, NULL);
		if (r == 0)
			r = copy_write(store, copy, copies[copy].config, text, length);
		if (r < 0)
			return r;
		memcpy(store->copied_config[copy], store->copying_config, STORE_DIGEST);
	}
	return copy_write(store, copy, copies[copy].record, store->copying, strlen(store->copying));
}

void store_copy(struct store *store)
{
	for (enum copy copy = 0; store->copying && copy < COPIES; copy++) {
		int r = copy_make(store, copy);

		if (r < 0)
			store_tell(store, "what runs cannot be copied to %s: %s", copies[copy].what,
				   strerror(-r));
	}
	free(store->copying);
	store->copying = NULL;
}

void store_settle(struct store *store, const struct record *record)
{
	_cleanup_(freep) char *config = NULL;
	_cleanup_(freep) char *text = record_print(record);
	char name[32];
	struct record there = {};
	size_t length;

	if (!text)
		return;
	if (store_get_config(store, record->config, &config, &length, NULL) == 0)
		(void)store_put_config(store, config, length, record->config, NULL);
	record_name(record->generation, name);
	if (store_read_record(store, name, &there, NULL) < 0 || there.stamp_ms != record->stamp_ms)
		(void)store_write(store, "generations", name, text, strlen(text), true, NULL);
	record_done(&there);
	free(store->copying);
	store->copying = text;
	text = NULL;
	memcpy(store->copying_config, record->config, sizeof(store->copying_config));
	for (enum copy copy = 0; copy < COPIES; copy++) {
		free(config);
		config = NULL;
		if (copy_config(store, copy, record->config, &config, &length) == 0)
			memcpy(store->copied_config[copy], record->config, STORE_DIGEST);
	}
	store_copy(store);
}

/* --- at a start ------------------------------------------------------------------------------------------
 */

bool store_is_ours(const struct store *store)
{
	struct record *records = NULL, record;
	bool ours = false;
	size_t n = 0;

	if (copy_record(store, COPY_DISK, &record) == 0) {
		record_done(&record);
		return true;
	}
	if (store_scan(store, &records, &n, NULL) == 0)
		for (size_t i = 0; i < n; i++)
			ours |= records[i].history[0] != '\0';
	records_free(records, n);
	return ours;
}

static void on_bad(const struct store *store, const char *name, const char *why)
{
	(void)store_set_aside((struct store *)store, "generations", name, why);
}

struct found {
	struct record copy[COPIES];
	bool whole[COPIES];
	struct record *records; /* newest first */
	size_t n;
};

static void found_done(struct found *found)
{
	for (enum copy copy = 0; copy < COPIES; copy++)
		if (found->whole[copy])
			record_done(&found->copy[copy]);
	records_free(found->records, found->n);
}

static const struct record *later(const struct record *a, const struct record *b)
{
	if (!a || b->stamp_ms > a->stamp_ms)
		return b;
	return b->stamp_ms == a->stamp_ms && b->generation > a->generation ? b : a;
}

static bool fits(const struct found *found, const struct record *record, __u64 limit)
{
	const struct record *kernel = found->whole[COPY_KERNEL] ? &found->copy[COPY_KERNEL] : NULL;

	return record->generation <= limit && (!kernel || strcmp(record->history, kernel->history) == 0);
}

/* limit: the highest number that is not beyond the tables. */
static const struct record *choose(const struct found *found, __u64 limit)
{
	const struct record *best = NULL;

	for (enum copy copy = COPIES; copy-- > 0;)
		if (found->whole[copy] && fits(found, &found->copy[copy], limit))
			best = later(best, &found->copy[copy]);
	for (size_t i = 0; i < found->n; i++)
		if (fits(found, &found->records[i], limit))
			best = later(best, &found->records[i]);
	return best;
}

/* Records beyond the chosen one are in the way of what comes. */
static void clear_way(struct store *store, const struct found *found, const struct record *chosen)
{
	char name[32];

	for (size_t i = 0; i < found->n; i++) {
		const struct record *record = &found->records[i];

		if (record->generation <= chosen->generation && record->stamp_ms <= chosen->stamp_ms)
			continue;
		record_name(record->generation, name);
		(void)store_set_aside(store, "generations", name, "it is beyond what was running last");
	}
}

static int new_history(struct store *store)
{
	__u64 random[2];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return -EIO;
	snprintf(store->history, sizeof(store->history), "%016llx%016llx", random[0], random[1]);
	return 0;
}

static int record_copy(const struct record *record, struct record *ret_record)
{
	struct record copy = *record;

	if (lb_words_copy(&record->words, &copy.words) < 0)
		return -ENOMEM;
	*ret_record = copy;
	return 0;
}

/* Goes on from the chosen record: what is written next is of its history. */
static int go_on(struct store *store, const struct record *chosen, struct record *ret_record)
{
	int r = record_copy(chosen, ret_record);

	if (r == 0 && !chosen->history[0]) {
		/* Of an older lbd: the first of ours. */
		r = new_history(store);
		memcpy(ret_record->history, store->history, sizeof(store->history));
		ret_record->stamp_ms = store_stamp(store);
	}
	if (r < 0)
		return r;
	memcpy(store->history, ret_record->history, sizeof(store->history));
	store->stamp_ms = ret_record->stamp_ms;
	return 0;
}

int store_recover(struct store *store, __u64 generation, struct record *ret_record, struct lb_error *error)
{
	struct found found = {};
	const struct record *chosen;
	int r = store_scan(store, &found.records, &found.n, on_bad);

	for (enum copy copy = 0; r == 0 && copy < COPIES; copy++) {
		int got = copy_record(store, copy, &found.copy[copy]);

		found.whole[copy] = got == 0;
		if (got < 0 && got != -ENOENT && copy == COPY_DISK)
			(void)store_set_aside(store, "copy", copies[copy].record, "it cannot be read");
	}
	if (r == 0) {
		chosen = choose(&found, generation ? generation + 1 : ~0ull);
		if (!chosen)
			chosen = choose(&found, ~0ull);
		if (chosen)
			clear_way(store, &found, chosen);
		r = chosen ? go_on(store, chosen, ret_record) : new_history(store);
		if (r == 0)
			r = chosen != NULL;
	}
	found_done(&found);
	return r < 0 ? lb_error_set(error, -r, "Failed to read the state back: %s", strerror(-r)) : r;
}
