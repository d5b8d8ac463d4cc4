// SPDX-License-Identifier: GPL-2.0-only
/*
 * make simulate-health: how soon the shipped state machines find faults, how often they are wrong, and how
 * soon a backend is back, in virtual time and with fixed seeds. Times are of the verdict; what lbd takes to
 * bring it into the ring is measured by make bench-health.
 *
 *   simulate_health [--backends N] [--hours N] [--check 'KEYS'] [--json FILE] [--page FILE]
 *
 * --check: keys of a check (JSON, without braces) instead of the defaults, in the rows that are of the
 * defaults. Ends with status 1 if a target does not hold.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

#define SAMPLES       2000u
#define ROUND_TRIP_NS 1000000ull

struct options {
	size_t backends;
	__u64 hours;
	const char *check, *json, *page;
};

struct row {
	char what[160];
	const char *unit;
	double value, target;
	bool holds;
};

static struct row rows[32];
static size_t n_rows;

static void add(double value, const char *unit, double target, const char *what)
{
	struct row *row = &rows[n_rows++];

	*row = (struct row){ .unit = unit, .value = value, .target = target, .holds = value <= target };
	snprintf(row->what, sizeof(row->what), "%s", what);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double percentile(double *samples, size_t n, double percent)
{
	qsort(samples, n, sizeof(*samples), compare);
	return n ? samples[(size_t)(percent / 100 * (double)(n - 1))] : 0;
}

/* --- faults ----------------------------------------------------------------------------------------------
 */

/* Seconds from the fault to the verdict, of many backends. Those that were never found count as an hour. */
static size_t find(const struct settings *settings, enum fault fault, __u32 loss_ppm, double *ret_samples)
{
	struct world world = {
		.settings = settings, .random = { 42 }, .loss_ppm = loss_ppm, .round_trip_ns = ROUND_TRIP_NS
	};

	for (size_t i = 0; i < SAMPLES; i++) {
		__u64 from = 100 * S_NS + random_next(&world.random) % (10 * S_NS);
		struct backend backend = { .trouble = { fault, from, 3600 * S_NS } };

		backend_init(&backend, &world, 1);
		backend_run(&backend, &world, from + 60 * S_NS);
		ret_samples[i] = backend.opened_ns >= from ? (double)(backend.opened_ns - from) / S_NS : 3600;
	}
	return SAMPLES;
}

static void faults(const struct options *options)
{
	static double samples[SAMPLES];
	struct settings settings;
	size_t n;

	settings_read(&settings, "\"interval_ms\": 1000, \"fall\": 3, \"fast_interval_ms\": 250");
	n = find(&settings, FAULT_REFUSES, 0, samples);
	add(percentile(samples, n, 50), "s", 1.1, "process killed, interval 1 s, fall 3, fast 0.25 s: p50");
	add(percentile(samples, n, 99), "s", 1.8, "process killed, interval 1 s, fall 3, fast 0.25 s: p99");
	settings_read(&settings,
		      "\"interval_ms\": 1000, \"timeout_ms\": 1000, \"fall\": 2, \"fast_interval_ms\": 250");
	n = find(&settings, FAULT_SILENT, 0, samples);
	add(percentile(samples, n, 99), "s", 3.5,
	    "blackhole, interval 1 s, timeout 1 s, fall 2, fast 0.25 s: p99");
	settings_read(&settings, options->check);
	n = find(&settings, FAULT_REFUSES, 0, samples);
	add(percentile(samples, n, 100), "s", 6, "process killed, defaults: longest");
	n = find(&settings, FAULT_SILENT, 0, samples);
	add(percentile(samples, n, 100), "s", 6, "blackhole, defaults: longest");
	n = find(&settings, FAULT_SILENT, 10000, samples);
	add(percentile(samples, n, 99), "s", 6, "blackhole, defaults, 1 % loss before it: p99");
}

/* --- loss ------------------------------------------------------------------------------------------------
 */

static void loss(const struct options *options)
{
	struct world world = { .random = { 7 }, .loss_ppm = 10000, .round_trip_ns = ROUND_TRIP_NS };
	struct settings settings;
	__u64 opens = 0, checks = 0;
	char what[160];

	settings_read(&settings, options->check);
	world.settings = &settings;
	/* Each for itself, since packets are lost for each; nobody doubts the checker, which only makes it
	 * harder. */
	for (size_t i = 0; i < options->backends; i++) {
		struct backend backend = {};

		backend_init(&backend, &world, 1);
		backend_run(&backend, &world, options->hours * 3600 * S_NS);
		opens += backend.opens;
		checks += backend.checks;
	}
	snprintf(what, sizeof(what),
		 "1 %% loss per packet and direction, %zu backends, %llu h, defaults, %.1f million checks: "
		 "ejections",
		 options->backends, options->hours, (double)checks / 1e6);
	add((double)opens, "", 0, what);
}

/* --- coming back -----------------------------------------------------------------------------------------
 */

static void recovery(const struct options *options)
{
	struct world world = { .random = { 11 }, .loss_ppm = 10000, .round_trip_ns = ROUND_TRIP_NS };
	struct settings settings;
	double sum = 0, failed = 0;

	settings_read(&settings, options->check);
	world.settings = &settings;
	for (size_t i = 0; i < SAMPLES; i++) {
		__u64 from = 100 * S_NS + random_next(&world.random) % (10 * S_NS), until = from + 60 * S_NS;
		struct backend backend = { .trouble = { i % 2 ? FAULT_SILENT : FAULT_REFUSES, from, until } };

		backend_init(&backend, &world, 1);
		backend_run(&backend, &world, until + 600 * S_NS);
		sum += backend.full_ns > until ? (double)(backend.full_ns - until) / S_NS : 600;
		failed += backend.opens > 1;
	}
	add(sum / SAMPLES, "s", 12, "from the end of a fault of 60 s to full weight, 1 % loss: mean");
	add(100 * failed / SAMPLES, "%", 6, "recoveries that fail, 1 % loss");
}

/* --- the checker's own trouble ---------------------------------------------------------------------------
 */

/* Backends of 20 services behind one checker, whose link is cut for so many seconds. */
static __u64 cut(const struct settings *settings, enum fault fault, __u64 seconds, size_t n, bool suspicious)
{
	struct lb_suspect suspect;
	struct world world = { .settings = settings,
			       .random = { 13 },
			       .loss_ppm = 10000,
			       .round_trip_ns = ROUND_TRIP_NS,
			       .link = { fault, 60 * S_NS, (60 + seconds) * S_NS },
			       .suspect = suspicious ? &suspect : NULL,
			       .n_backends = n };
	__u64 opens = 0;

	lb_suspect_init(&suspect);
	world.backends = calloc(n, sizeof(*world.backends));
	if (!world.backends)
		exit(1);
	for (size_t i = 0; i < n; i++) {
		world.backends[i].service = i % 20;
		backend_init(&world.backends[i], &world, 1);
	}
	world_run(&world, (90 + seconds) * S_NS);
	for (size_t i = 0; i < n; i++)
		opens += world.backends[i].opens;
	free(world.backends);
	return opens;
}

static void checker(const struct options *options)
{
	struct settings settings;

	settings_read(&settings, options->check);
	add((double)cut(&settings, FAULT_SILENT, 20, 200, true), "", 0,
	    "checker's own link cut for 20 s, 200 backends: ejections");
	add((double)cut(&settings, FAULT_REFUSES, 20, 200, true), "", 0,
	    "a firewall refuses all that the checker sends for 20 s, 200 backends: ejections");
	add((double)cut(&settings, FAULT_REFUSES, 20, 12, true), "", 0,
	    "the same with 12 backends: ejections");
	/* All are really gone: after the bound they must be out. */
	add(200 - (double)cut(&settings, FAULT_SILENT, 60, 200, true), "", 0,
	    "all of 200 backends silent for 60 s, longer than a freeze may last: not ejected");
}

/* --- results ---------------------------------------------------------------------------------------------
 */

static void write_json(const char *path)
{
	FILE *out = fopen(path, "we");

	if (!out) {
		perror(path);
		exit(1);
	}
	fprintf(out, "[");
	for (size_t i = 0; i < n_rows; i++)
		fprintf(out,
			"%s\n  { \"what\": \"%s\", \"value\": %.3f, \"unit\": \"%s\", \"target\": %.3f, "
			"\"holds\": %s }",
			i ? "," : "", rows[i].what, rows[i].value, rows[i].unit, rows[i].target,
			rows[i].holds ? "true" : "false");
	fprintf(out, "\n]\n");
	fclose(out);
}

static void write_table(FILE *out)
{
	fprintf(out, "| what | value | at most | holds |\n|---|---|---|---|\n");
	for (size_t i = 0; i < n_rows; i++)
		fprintf(out, "| %s | %.2f %s | %g %s | %s |\n", rows[i].what, rows[i].value, rows[i].unit,
			rows[i].target, rows[i].unit, rows[i].holds ? "yes" : "NO");
}

#define BEGIN "<!-- made by make simulate-health -->\n"
#define END   "<!-- end -->\n"

/* Between the marks of the page. */
static void write_page(const char *path)
{
	static char text[1 << 18];
	FILE *file = fopen(path, "re");
	size_t n = file ? fread(text, 1, sizeof(text) - 1, file) : 0;
	char *begin = strstr(text, BEGIN), *end = begin ? strstr(begin, END) : NULL;

	if (file)
		fclose(file);
	if (!n || !end || !(file = fopen(path, "we"))) {
		fprintf(stderr, "simulate: %s has no place for the table\n", path);
		exit(1);
	}
	fwrite(text, 1, (size_t)(begin - text) + strlen(BEGIN), file);
	write_table(file);
	fputs(end, file);
	fclose(file);
}

static void read_options(int argc, char **argv, struct options *options)
{
	static const struct option known[] = {
		{ "backends", required_argument, NULL, 'b' }, { "hours", required_argument, NULL, 'h' },
		{ "check", required_argument, NULL, 'c' },    { "json", required_argument, NULL, 'j' },
		{ "page", required_argument, NULL, 'p' },     { NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (c == 'b')
			options->backends = strtoul(optarg, NULL, 10);
		else if (c == 'h')
			options->hours = strtoul(optarg, NULL, 10);
		else if (c == 'c')
			options->check = optarg;
		else if (c == 'j')
			options->json = optarg;
		else if (c == 'p')
			options->page = optarg;
		else
			exit(2);
	}
}

int main(int argc, char **argv)
{
	struct options options = { .backends = 10000, .hours = 24, .check = "" };
	bool holds = true;

	read_options(argc, argv, &options);
	faults(&options);
	checker(&options);
	recovery(&options);
	loss(&options);
	write_table(stdout);
	if (options.json)
		write_json(options.json);
	if (options.page)
		write_page(options.page);
	for (size_t i = 0; i < n_rows; i++)
		holds &= rows[i].holds;
	return holds ? 0 : 1;
}
