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

#include "ring/ring.h"

#define SLOTS_MAX    65536
#define TRIALS       20
#define BACKENDS_MAX 1000
#define ALGORITHMS   4

enum change { ADD, REMOVE, HALVE, CHANGES };
static const char *const change_names[CHANGES] = { "add", "remove", "halve" };

enum weights { EQUAL, SKEWED, WEIGHTS };
static const char *const weights_names[WEIGHTS] = { "equal", "skewed" };

static const size_t pool_sizes[] = { 10, 100, 1000 };
#define POOLS (sizeof(pool_sizes) / sizeof(pool_sizes[0]))

/* Pools that the default is measured with at the ring size that they get where the user fixes none. */
static const size_t usual_pools[] = { 5, 10, 20, 50, 100, 200, 500 };
#define USUAL_POOLS (sizeof(usual_pools) / sizeof(usual_pools[0]))

/* Rings of 100 backends that are smaller than usual: what is for those who have many services. */
#define NARROW_POOL 100
static const __u32 narrow_slots[] = { 1024, 2048, 4096, 8192, 16384 };
#define NARROW (sizeof(narrow_slots) / sizeof(narrow_slots[0]))

struct pool {
	struct lb_ring_member member[BACKENDS_MAX + 1];
	size_t n;
};

/* One change of one kind of pool under one algorithm: over TRIALS pools of other names. */
struct row {
	enum lb_algorithm algorithm;
	enum weights weights;
	enum change change;
	size_t backends;
	__u32 slots;
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
static double least_moves(const struct pool *before, const struct pool *after, __u32 slots)
{
	double sum_before = weight_sum(before), sum_after = weight_sum(after), gained = 0;

	for (size_t i = 0; i < after->n; i++) {
		double more = after->member[i].weight / sum_after -
			      share_of(before, after->member[i].id, sum_before);

		gained += more > 0 ? more : 0;
	}
	return gained * slots;
}

static double build(const struct lb_ring_builder *builder, int trial, const struct pool *pool, __u32 slots,
		    const struct lb_ring_previous *previous, __u32 *owner)
{
	char service[32];
	double start;
	int r;

	snprintf(service, sizeof(service), "service-%d", trial);
	start = now_ms();
	r = builder->build(lb_ring_seed("bench", service), pool->member, pool->n, slots, previous, owner);
	if (r < 0) {
		fprintf(stderr, "bench_rings: %s: %s\n", builder->name, strerror(-r));
		exit(1);
	}
	return now_ms() - start;
}

static void take_balance(struct row *row, const __u32 *owner, const struct pool *pool)
{
	double balance = lb_ring_max_over_mean(owner, row->slots, pool->member, pool->n);

	if (balance > row->max_over_mean)
		row->max_over_mean = balance;
}

static void measure(enum lb_algorithm algorithm, size_t n, __u32 slots, enum weights weights,
		    enum change change, struct row *row)
{
	static __u32 before_owner[SLOTS_MAX], after_owner[SLOTS_MAX], again[SLOTS_MAX];
	static struct pool before, after;
	const struct lb_ring_builder *builder = lb_ring_builder_get(algorithm);

	*row = (struct row){
		.algorithm = algorithm, .weights = weights, .change = change, .backends = n, .slots = slots
	};
	for (int trial = 0; trial < TRIALS; trial++) {
		struct lb_ring_previous previous = { before.member, 0, before_owner };
		__u32 moved = 0;
		double least;

		pool_init(&before, trial, n, weights);
		after = before;
		pool_change(&after, trial, change, weights);
		build(builder, trial, &before, slots, NULL, before_owner);
		previous.n_members = before.n;
		row->build_ms[trial] = build(builder, trial, &after, slots, NULL, after_owner);
		row->incremental_ms[trial] = build(builder, trial, &after, slots, &previous, again);
		if (memcmp(after_owner, again, slots * sizeof(again[0]))) {
			fprintf(stderr, "bench_rings: %s: what was known changed the result\n",
				builder->name);
			exit(1);
		}

		for (__u32 slot = 0; slot < slots; slot++)
			moved += before.member[before_owner[slot]].id != after.member[after_owner[slot]].id;
		least = least_moves(&before, &after, slots);
		row->moved += (double)moved / TRIALS;
		row->least += least / TRIALS;
		row->moved_over_least += moved / least / TRIALS;
		if (moved / least > row->moved_over_least_worst)
			row->moved_over_least_worst = moved / least;
		take_balance(row, before_owner, &before);
		take_balance(row, after_owner, &after);
	}
}

static void write_json(FILE *out, struct row *rows, size_t n)
{
	const char *separator = "[\n";

	for (size_t i = 0; i < n; i++) {
		struct row *row = &rows[i];
		double build_ms = median(row->build_ms); /* sorts: the first is then the least */

		fprintf(out,
			"%s  { \"algorithm\": \"%s\", \"backends\": %zu, \"weights\": \"%s\", \"change\": "
			"\"%s\", "
			"\"slots\": %u, \"max_over_mean\": %.4f, \"moved_over_least\": %.3f, "
			"\"moved_over_least_worst\": %.3f, \"moved_slots\": %.1f, \"least_slots\": %.1f, "
			"\"build_ms\": %.3f, \"build_min_ms\": %.3f, \"incremental_ms\": %.3f, \"trials\": "
			"%d }",
			separator, lb_ring_builder_get(row->algorithm)->name, row->backends,
			weights_names[row->weights], change_names[row->change], row->slots,
			row->max_over_mean, row->moved_over_least, row->moved_over_least_worst, row->moved,
			row->least, build_ms, row->build_ms[0], median(row->incremental_ms), TRIALS);
		separator = ",\n";
	}
	fprintf(out, "\n]\n");
}

/* One line for the three changes of a kind of pool. */
static void write_table(FILE *out, struct row *rows, size_t n)
{
	fprintf(out,
		"| algorithm | backends | slots | weights | max/mean | add | remove | halve | build ms | "
		"after a change ms |\n"
		"|---|---|---|---|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < n; i += CHANGES) {
		struct row *row = &rows[i];
		double most = 0;

		for (int change = ADD; change < CHANGES; change++)
			most = row[change].max_over_mean > most ? row[change].max_over_mean : most;
		fprintf(out, "| %s | %zu | %u | %s | %.4f |", lb_ring_builder_get(row->algorithm)->name,
			row->backends, row->slots, weights_names[row->weights], most);
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
static int update_page(const char *path, struct row *rows, size_t n)
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
	write_table(file, rows, n);
	fputs(end, file);
	if (fclose(file) || rename(new_path, path)) {
		unlink(new_path);
		return -EIO;
	}
	return 0;
}

/* What the default has to reach with 10, 100 and 1000 backends, for every kind of weights and change: at
 * 65536 slots, and with equal weights the balance at the ring sizes that small pools get. */
static bool meets(const struct row *row)
{
	bool large = row->backends > 128, whole = row->slots == SLOTS_MAX;
	struct row sorted = *row;

	if (row->algorithm != LB_ALGORITHM_BOUNDED || row->backends == 200 || row->backends == 500)
		return true;
	if (row->slots < lb_config_ring_size(row->backends))
		return true;
	if (!whole)
		return row->weights == SKEWED || row->max_over_mean <= 1.02;
	return row->max_over_mean <= (large ? 1.05 : 1.02) && row->moved_over_least <= (large ? 1.6 : 1.25) &&
	       median(sorted.build_ms) <= (large ? 400 : 50) &&
	       median(sorted.incremental_ms) <= (large ? 50 : 10);
}

static bool meets_targets(const struct row *rows, size_t n)
{
	bool met = true;

	for (size_t i = 0; i < n; i++) {
		if (meets(&rows[i]))
			continue;
		met = false;
		printf("missed: %zu backends, %u slots, %s weights, %s: max/mean %.4f, moved/least %.3f\n",
		       rows[i].backends, rows[i].slots, weights_names[rows[i].weights],
		       change_names[rows[i].change], rows[i].max_over_mean, rows[i].moved_over_least);
	}
	return met;
}

static size_t measure_pool(enum lb_algorithm algorithm, size_t backends, __u32 slots, struct row *rows)
{
	size_t n = 0;

	for (int weights = EQUAL; weights < WEIGHTS; weights++)
		for (int change = ADD; change < CHANGES; change++)
			measure(algorithm, backends, slots, (enum weights)weights, (enum change)change,
				&rows[n++]);
	return n;
}

static size_t measure_all(struct row *rows)
{
	size_t n = 0;

	for (int algorithm = 0; algorithm < ALGORITHMS; algorithm++)
		for (size_t i = 0; i < POOLS; i++)
			n += measure_pool((enum lb_algorithm)algorithm, pool_sizes[i], SLOTS_MAX, &rows[n]);
	for (size_t i = 0; i < USUAL_POOLS; i++)
		n += measure_pool(LB_ALGORITHM_BOUNDED, usual_pools[i], lb_config_ring_size(usual_pools[i]),
				  &rows[n]);
	for (size_t i = 0; i < NARROW; i++)
		n += measure_pool(LB_ALGORITHM_BOUNDED, NARROW_POOL, narrow_slots[i], &rows[n]);
	return n;
}

int main(int argc, char **argv)
{
	static struct row rows[(ALGORITHMS * POOLS + USUAL_POOLS + NARROW) * WEIGHTS * CHANGES];
	size_t n;
	FILE *json;
	int r;

	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: bench_rings JSON [PAGE]\n");
		return 2;
	}
	n = measure_all(rows);

	json = fopen(argv[1], "we");
	if (!json) {
		fprintf(stderr, "bench_rings: %s: %m\n", argv[1]);
		return 1;
	}
	write_json(json, rows, n);
	if (fclose(json)) {
		fprintf(stderr, "bench_rings: %s: %m\n", argv[1]);
		return 1;
	}
	write_table(stdout, rows, n);
	if (argc == 3) {
		r = update_page(argv[2], rows, n);
		if (r < 0) {
			fprintf(stderr, "bench_rings: %s: cannot put the table there: %s\n", argv[2],
				strerror(-r));
			return 1;
		}
	}
	printf("bench-rings: %s %s its targets\n", lb_ring_builder_get(LB_ALGORITHM_BOUNDED)->name,
	       meets_targets(rows, n) ? "meets" : "misses");
	return 0;
}
