// SPDX-License-Identifier: GPL-2.0-only
/*
 * Measures the ring builders: balance, slots moved by one change over the least possible, time of a full
 * build and of the build after the change. Writes the rows as JSON and as a table between the markers of a
 * Markdown page. docs/rings.md says what the columns mean.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ring.h"

#define SLOTS        65536
#define TRIALS       20
#define BACKENDS_MAX 1000
#define ALGORITHMS   4

enum change { ADD, REMOVE, HALVE, CHANGES };
static const char *const change_names[CHANGES] = { "add", "remove", "halve" };

enum weights { EQUAL, SKEWED, WEIGHTS };
static const char *const weights_names[WEIGHTS] = { "equal", "skewed" };

static const size_t pool_sizes[] = { 10, 100, 1000 };
#define POOLS (sizeof(pool_sizes) / sizeof(pool_sizes[0]))

struct pool {
	struct lb_ring_member member[BACKENDS_MAX + 1];
	size_t n;
};

/* One change of one kind of pool under one algorithm: over TRIALS pools of other names. */
struct row {
	double max_over_mean; /* highest of all rings seen */
	double moved;         /* slots, mean */
	double least;         /* slots, mean */
	double moved_over_least;
	double moved_over_least_worst;
	double build_ms[TRIALS];
	double incremental_ms[TRIALS];
};

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int compare_doubles(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return a < b ? -1 : a > b;
}

/* Sorts the values. */
static double median(double values[TRIALS])
{
	qsort(values, TRIALS, sizeof(values[0]), compare_doubles);
	return (values[(TRIALS - 1) / 2] + values[TRIALS / 2]) / 2;
}

static struct lb_ring_member member_make(int trial, size_t i, enum weights weights)
{
	char name[48];

	snprintf(name, sizeof(name), "pool-%d-backend-%zu", trial, i);
	return (struct lb_ring_member){ lb_ring_member_id(name),
					weights == SKEWED ? (__u32)(i % 10 + 1) * 100 : 100 };
}

static void pool_init(struct pool *pool, int trial, size_t n, enum weights weights)
{
	pool->n = n;
	for (size_t i = 0; i < n; i++)
		pool->member[i] = member_make(trial, i, weights);
}

/* Trials go through the weights: the k-th backend is the one that changes, or the pattern of the new one. */
static void pool_change(struct pool *pool, int trial, enum change change, enum weights weights)
{
	size_t k = (size_t)(trial * 7) % pool->n;

	switch (change) {
	case ADD:
		pool->member[pool->n] = member_make(trial, pool->n, weights);
		pool->member[pool->n++].weight = pool->member[k].weight;
		break;
	case REMOVE:
		pool->member[k] = pool->member[--pool->n];
		break;
	default:
		pool->member[k].weight /= 2;
	}
}

static double weight_sum(const struct pool *pool)
{
	double sum = 0;

	for (size_t i = 0; i < pool->n; i++)
		sum += pool->member[i].weight;
	return sum;
}

static double share_of(const struct pool *pool, __u64 id, double sum)
{
	for (size_t i = 0; i < pool->n; i++) {
		if (pool->member[i].id == id)
			return pool->member[i].weight / sum;
	}
	return 0;
}

/* Slots that must change hands so that every backend goes from its old exact share to its new one. */
static double least_moves(const struct pool *before, const struct pool *after)
{
	double sum_before = weight_sum(before), sum_after = weight_sum(after), gained = 0;

	for (size_t i = 0; i < after->n; i++) {
		double more = after->member[i].weight / sum_after -
			      share_of(before, after->member[i].id, sum_before);

		gained += more > 0 ? more : 0;
	}
	return gained * SLOTS;
}

static double build(const struct lb_ring_builder *builder, int trial, const struct pool *pool,
		    const struct lb_ring_cache *previous, __u32 *owner, struct lb_ring_cache **ret_cache)
{
	char service[32];
	double start;
	int r;

	snprintf(service, sizeof(service), "service-%d", trial);
	start = now_ms();
	r = builder->build(lb_ring_seed("bench", service), pool->member, pool->n, SLOTS, previous, owner,
			   ret_cache);
	if (r < 0) {
		fprintf(stderr, "bench_rings: %s: %s\n", builder->name, strerror(-r));
		exit(1);
	}
	return now_ms() - start;
}

static void measure(const struct lb_ring_builder *builder, size_t n, enum weights weights, enum change change,
		    struct row *row)
{
	static __u32 before_owner[SLOTS], after_owner[SLOTS], again[SLOTS];
	static struct pool before, after;

	*row = (struct row){ 0 };
	for (int trial = 0; trial < TRIALS; trial++) {
		struct lb_ring_cache *cache = NULL;
		double least, balance;
		__u32 moved = 0;

		pool_init(&before, trial, n, weights);
		after = before;
		pool_change(&after, trial, change, weights);
		build(builder, trial, &before, NULL, before_owner, &cache);
		row->build_ms[trial] = build(builder, trial, &after, NULL, after_owner, NULL);
		row->incremental_ms[trial] = build(builder, trial, &after, cache, again, NULL);
		lb_ring_cache_free(cache);
		if (memcmp(after_owner, again, sizeof(again))) {
			fprintf(stderr, "bench_rings: %s: the cache changed the result\n", builder->name);
			exit(1);
		}

		for (__u32 slot = 0; slot < SLOTS; slot++)
			moved += before.member[before_owner[slot]].id != after.member[after_owner[slot]].id;
		least = least_moves(&before, &after);
		row->moved += (double)moved / TRIALS;
		row->least += least / TRIALS;
		row->moved_over_least += moved / least / TRIALS;
		if (moved / least > row->moved_over_least_worst)
			row->moved_over_least_worst = moved / least;
		balance = lb_ring_max_over_mean(before_owner, SLOTS, before.member, before.n);
		if (balance > row->max_over_mean)
			row->max_over_mean = balance;
		balance = lb_ring_max_over_mean(after_owner, SLOTS, after.member, after.n);
		if (balance > row->max_over_mean)
			row->max_over_mean = balance;
	}
}

static void write_json(FILE *out, struct row rows[ALGORITHMS][POOLS][WEIGHTS][CHANGES])
{
	const char *separator = "[\n";

	for (size_t i = 0; i < ALGORITHMS * POOLS * WEIGHTS * CHANGES; i++) {
		size_t change = i % CHANGES, weights = i / CHANGES % WEIGHTS,
		       pool = i / (CHANGES * WEIGHTS) % POOLS, algorithm = i / (CHANGES * WEIGHTS * POOLS);
		struct row *row = &rows[algorithm][pool][weights][change];
		double build_ms = median(row->build_ms); /* sorts: the first is then the least */

		fprintf(out,
			"%s  { \"algorithm\": \"%s\", \"backends\": %zu, \"weights\": \"%s\", \"change\": "
			"\"%s\", "
			"\"slots\": %d, \"max_over_mean\": %.4f, \"moved_over_least\": %.3f, "
			"\"moved_over_least_worst\": %.3f, \"moved_slots\": %.1f, \"least_slots\": %.1f, "
			"\"build_ms\": %.3f, \"build_min_ms\": %.3f, \"incremental_ms\": %.3f, \"trials\": "
			"%d }",
			separator, lb_ring_builder_get((enum lb_algorithm)algorithm)->name, pool_sizes[pool],
			weights_names[weights], change_names[change], SLOTS, row->max_over_mean,
			row->moved_over_least, row->moved_over_least_worst, row->moved, row->least, build_ms,
			row->build_ms[0], median(row->incremental_ms), TRIALS);
		separator = ",\n";
	}
	fprintf(out, "\n]\n");
}

static void write_table(FILE *out, struct row rows[ALGORITHMS][POOLS][WEIGHTS][CHANGES])
{
	fprintf(out, "| algorithm | backends | weights | max/mean | add | remove | halve | build ms | after "
		     "a change ms |\n"
		     "|---|---|---|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < ALGORITHMS * POOLS * WEIGHTS; i++) {
		size_t weights = i % WEIGHTS, pool = i / WEIGHTS % POOLS, algorithm = i / (WEIGHTS * POOLS);
		struct row *row = rows[algorithm][pool][weights];
		double most = 0;

		for (int change = ADD; change < CHANGES; change++)
			most = row[change].max_over_mean > most ? row[change].max_over_mean : most;
		fprintf(out, "| %s | %zu | %s | %.4f |",
			lb_ring_builder_get((enum lb_algorithm)algorithm)->name, pool_sizes[pool],
			weights_names[weights], most);
		for (int change = ADD; change < CHANGES; change++)
			fprintf(out, " %.2f (%.2f) |", row[change].moved_over_least,
				row[change].moved_over_least_worst);
		fprintf(out, " %.1f | %.1f |\n", median(row[REMOVE].build_ms),
			median(row[REMOVE].incremental_ms));
	}
}

#define BEGIN_MARKER "<!-- bench-rings: begin -->\n"
#define END_MARKER   "<!-- bench-rings: end -->"

/* Puts the table between the markers of the page. The page is replaced whole or not at all. */
static int update_page(const char *path, struct row rows[ALGORITHMS][POOLS][WEIGHTS][CHANGES])
{
	static char text[1 << 20];
	char new_path[4096];
	FILE *file = fopen(path, "re");
	char *begin, *end;
	size_t length;

	if (!file)
		return -errno;
	length = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[length] = 0;
	begin = strstr(text, BEGIN_MARKER);
	end = begin ? strstr(begin, END_MARKER) : NULL;
	if (!end)
		return -EBADMSG;

	snprintf(new_path, sizeof(new_path), "%s.new", path);
	file = fopen(new_path, "we");
	if (!file)
		return -errno;
	fwrite(text, 1, (size_t)(begin - text) + strlen(BEGIN_MARKER), file);
	write_table(file, rows);
	fputs(end, file);
	if (fclose(file) || rename(new_path, path)) {
		unlink(new_path);
		return -EIO;
	}
	return 0;
}

/* What the default has to reach at 65536 slots, for every kind of weights and change. */
static bool meets_targets(struct row rows[POOLS][WEIGHTS][CHANGES])
{
	static const struct {
		double max_over_mean, moved_over_least, build_ms, incremental_ms;
	} targets[POOLS] = { { 1.02, 1.25, 50, 10 }, { 1.02, 1.25, 50, 10 }, { 1.05, 1.6, 400, 50 } };
	bool met = true;

	for (size_t i = 0; i < POOLS * WEIGHTS * CHANGES; i++) {
		size_t change = i % CHANGES, weights = i / CHANGES % WEIGHTS, pool = i / (CHANGES * WEIGHTS);
		struct row *row = &rows[pool][weights][change];

		if (row->max_over_mean <= targets[pool].max_over_mean &&
		    row->moved_over_least <= targets[pool].moved_over_least &&
		    median(row->build_ms) <= targets[pool].build_ms &&
		    median(row->incremental_ms) <= targets[pool].incremental_ms)
			continue;
		met = false;
		printf("missed: %zu backends, %s weights, %s: max/mean %.4f, moved/least %.3f, build %.1f "
		       "ms, "
		       "after a change %.1f ms\n",
		       pool_sizes[pool], weights_names[weights], change_names[change], row->max_over_mean,
		       row->moved_over_least, median(row->build_ms), median(row->incremental_ms));
	}
	return met;
}

int main(int argc, char **argv)
{
	static struct row rows[ALGORITHMS][POOLS][WEIGHTS][CHANGES];
	FILE *json;
	int r;

	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: bench_rings JSON [PAGE]\n");
		return 2;
	}
	for (size_t i = 0; i < ALGORITHMS * POOLS * WEIGHTS * CHANGES; i++) {
		size_t change = i % CHANGES, weights = i / CHANGES % WEIGHTS,
		       pool = i / (CHANGES * WEIGHTS) % POOLS, algorithm = i / (CHANGES * WEIGHTS * POOLS);

		measure(lb_ring_builder_get((enum lb_algorithm)algorithm), pool_sizes[pool], weights, change,
			&rows[algorithm][pool][weights][change]);
	}

	json = fopen(argv[1], "we");
	if (!json) {
		fprintf(stderr, "bench_rings: %s: %m\n", argv[1]);
		return 1;
	}
	write_json(json, rows);
	if (fclose(json)) {
		fprintf(stderr, "bench_rings: %s: %m\n", argv[1]);
		return 1;
	}
	write_table(stdout, rows);
	if (argc == 3) {
		r = update_page(argv[2], rows);
		if (r < 0) {
			fprintf(stderr, "bench_rings: %s: cannot put the table there: %s\n", argv[2],
				strerror(-r));
			return 1;
		}
	}
	printf("bench-rings: %s %s its targets\n", lb_ring_builder_get(LB_ALGORITHM_BOUNDED)->name,
	       meets_targets(rows[LB_ALGORITHM_BOUNDED]) ? "meets" : "misses");
	return 0;
}
