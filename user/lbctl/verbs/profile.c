// SPDX-License-Identifier: GPL-2.0-only
/*
 * profile: for some seconds, what the programs cost, and what each core is busy with. lbctl looks by itself,
 * with its own rights: the agent has none that this would need. What it switches on goes off with it, however
 * it ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "lbctl/format.h"
#include "lbctl/json.h"
#include "lbctl/lbctl.h"
#include "lbctl/profile/counters.h"
#include "lbctl/profile/programs.h"
#include "lbctl/table.h"
#include "observe/cpu_time.h"

#define SECONDS_DEFAULT 5.0
#define SECONDS_MAX     600.0
#define CPUS_MAX        4096u
#define STAT_BYTES      (1u << 20)

struct profile {
	double seconds;
	int stats_fd;       /* while open the kernel counts; -1: it does not, for programs_error */
	int programs_error; /* errno */
	struct program_cost *programs;
	size_t n_programs;
	size_t cpus;
	struct lb_cpu_time *time; /* of each CPU */
	struct counters counters;
};

static void profile_done(struct profile *profile)
{
	if (profile->stats_fd >= 0)
		close(profile->stats_fd);
	free(profile->programs);
	free(profile->time);
	counters_close(&profile->counters);
}

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* --- looking ---------------------------------------------------------------------------------------------
 */

static struct lb_cpu_time *look_at_cpus(size_t n)
{
	_cleanup_(closep) int fd = open("/proc/stat", O_RDONLY | O_CLOEXEC);
	_cleanup_(freep) char *text = calloc(1, STAT_BYTES);
	struct lb_cpu_time *time = calloc(n, sizeof(*time));
	size_t have = 0;
	ssize_t r = 1;

	if (!text || !time)
		lbctl_memory();
	while (fd >= 0 && r > 0 && have < STAT_BYTES - 1) {
		r = read(fd, text + have, STAT_BYTES - 1 - have);
		have += r > 0 ? (size_t)r : 0;
	}
	lb_cpu_time_parse(text, time, n);
	return time;
}

static void open_counters(struct profile *profile, const struct lb_cpu_time *time)
{
	_cleanup_(freep) bool *online = calloc(profile->cpus, sizeof(*online));

	if (!online)
		lbctl_memory();
	for (size_t i = 0; i < profile->cpus; i++)
		online[i] = time[i].online;
	counters_open(&profile->counters, online, profile->cpus);
}

static void look(struct profile *profile, double seconds)
{
	_cleanup_(freep) struct program_cost *programs = NULL;
	_cleanup_(freep) struct lb_cpu_time *before = look_at_cpus(profile->cpus);
	struct timespec pause = { .tv_sec = (time_t)seconds,
				  .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9) };
	size_t n = 0;
	double begin;

	profile->stats_fd = programs_count();
	profile->programs_error = profile->stats_fd < 0 ? -profile->stats_fd : -programs_look(&programs, &n);
	open_counters(profile, before);
	begin = now_s();
	nanosleep(&pause, NULL);
	profile->seconds = now_s() - begin;
	counters_read(&profile->counters);
	if (!profile->programs_error)
		profile->programs_error = -programs_look(&profile->programs, &profile->n_programs);
	programs_subtract(profile->programs, profile->n_programs, programs, n);
	profile->time = look_at_cpus(profile->cpus);
	for (size_t i = 0; i < profile->cpus; i++)
		profile->time[i] = lb_cpu_time_between(&before[i], &profile->time[i]);
}

static const char *programs_why(int error)
{
	return error == EPERM || error == EACCES ? "not permitted: it needs root (CAP_SYS_ADMIN)"
	       : error == EINVAL                 ? "this kernel cannot count it"
						 : strerror(error);
}

/* --- as text ---------------------------------------------------------------------------------------------
 */

static void print_programs(const struct lbctl *c, const struct profile *profile)
{
	static const struct column columns[] = {
		{ "PROGRAM", 0 },           { "ID", COLUMN_RIGHT },        { "RUNS/S", COLUMN_RIGHT },
		{ "NS/RUN", COLUMN_RIGHT }, { "OF A CORE", COLUMN_RIGHT }, { NULL, 0 }
	};
	_cleanup_(table_freep) struct table *table = table_new(columns, 0);

	if (profile->programs_error)
		return;
	for (size_t i = 0; i < profile->n_programs; i++) {
		const struct program_cost *program = &profile->programs[i];

		table_cell(table, "%s", program->name);
		table_cell(table, "%u", program->id);
		table_cell(table, "%s", format_count((double)program->runs / profile->seconds).text);
		table_cell(table, "%.0f", program->runs ? (double)program->ns / (double)program->runs : 0.0);
		table_cell(table, "%.2f%%", (double)program->ns / profile->seconds / 1e7);
	}
	if (!table_rows(table)) {
		puts("No program of ours is loaded.\n");
		return;
	}
	table_print(table, c);
	puts("What a program calls is in its time; so is the clock that it is measured by, some tens of ns a "
	     "run.\n");
}

static double counted(const struct profile *profile, size_t cpu, enum counter counter)
{
	return profile->counters.value[cpu * COUNTERS + counter];
}

static double per_thousand(const struct profile *profile, size_t cpu, enum counter counter)
{
	double instructions = counted(profile, cpu, COUNTER_INSTRUCTIONS);

	return instructions > 0 ? 1000 * counted(profile, cpu, counter) / instructions : 0;
}

/* "" where the machine does not count it: the column is left out. */
static void counter_cell(struct table *table, const struct profile *profile, enum counter counter,
			 double value)
{
	if (profile->counters.missing[counter])
		table_cell(table, "%s", "");
	else
		table_cell(table, "%.2f", value);
}

static void print_counters(struct table *table, const struct profile *profile, size_t cpu)
{
	double cycles = counted(profile, cpu, COUNTER_CYCLES);

	if (profile->counters.missing[COUNTER_CYCLES])
		table_cell(table, "%s", "");
	else
		table_cell(table, "%s", format_count(cycles / profile->seconds).text);
	counter_cell(table, profile, COUNTER_INSTRUCTIONS,
		     cycles > 0 ? counted(profile, cpu, COUNTER_INSTRUCTIONS) / cycles : 0);
	for (enum counter i = COUNTER_L1D_MISSES; i < COUNTERS; i++)
		counter_cell(table, profile, i, per_thousand(profile, cpu, i));
}

static void print_cpus(const struct lbctl *c, const struct profile *profile)
{
	static const struct column columns[] = { { "CPU", COLUMN_RIGHT },
						 { "SOFTIRQ", COLUMN_RIGHT },
						 { "IRQ", COLUMN_RIGHT },
						 { "SYSTEM", COLUMN_RIGHT },
						 { "USER", COLUMN_RIGHT },
						 { "STEAL", COLUMN_RIGHT },
						 { "IDLE", COLUMN_RIGHT },
						 { "CYCLES/S", COLUMN_RIGHT | COLUMN_FILLED },
						 { "INSNS/CYCLE", COLUMN_RIGHT | COLUMN_FILLED },
						 { "L1D/1000", COLUMN_RIGHT | COLUMN_FILLED },
						 { "LLC/1000", COLUMN_RIGHT | COLUMN_FILLED },
						 { "TLB/1000", COLUMN_RIGHT | COLUMN_FILLED },
						 { "REMOTE/1000", COLUMN_RIGHT | COLUMN_FILLED },
						 { NULL, 0 } };
	_cleanup_(table_freep) struct table *table = table_new(columns, 0);

	for (size_t i = 0; i < profile->cpus; i++) {
		const struct lb_cpu_time *time = &profile->time[i];
		const __u64 kinds[] = { time->softirq,           time->irq,   time->system,
					time->user + time->nice, time->steal, time->idle + time->iowait };
		double all = (double)lb_cpu_time_all(time);

		if (!time->online)
			continue;
		table_cell(table, "%zu", i);
		for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
			table_cell(table, "%.1f%%", all > 0 ? 100 * (double)kinds[k] / all : 0.0);
		print_counters(table, profile, i);
	}
	table_print(table, c);
}

static void print_missing(const struct profile *profile)
{
	putchar('\n');
	if (profile->programs_error)
		printf("not known: what the programs cost: %s\n", programs_why(profile->programs_error));
	for (enum counter i = 0; i < COUNTERS; i++)
		if (profile->counters.missing[i])
			printf("not known: %s: %s\n", counter_text(i),
			       counter_why(profile->counters.missing[i]));
}

static void print_text(const struct lbctl *c, const struct profile *profile)
{
	printf("In %.1f s:\n\n", profile->seconds);
	print_programs(c, profile);
	print_cpus(c, profile);
	print_missing(profile);
}

/* --- as JSON ---------------------------------------------------------------------------------------------
 */

static cJSON *need(cJSON *item)
{
	if (!item)
		lbctl_memory();
	return item;
}

static void add_u64(cJSON *object, const char *key, unsigned long long value)
{
	json_set_u64(need(cJSON_AddNumberToObject(object, key, 0)), value);
}

static cJSON *add_object(cJSON *array)
{
	cJSON *object = need(cJSON_CreateObject());

	cJSON_AddItemToArray(array, object);
	return object;
}

static void add_programs(cJSON *root, const struct profile *profile)
{
	cJSON *array = need(cJSON_AddArrayToObject(root, "programs"));

	for (size_t i = 0; i < profile->n_programs; i++) {
		cJSON *object = add_object(array);

		need(cJSON_AddStringToObject(object, "name", profile->programs[i].name));
		add_u64(object, "id", profile->programs[i].id);
		add_u64(object, "runs", profile->programs[i].runs);
		add_u64(object, "ns", profile->programs[i].ns);
	}
}

static void add_cpus(cJSON *root, const struct profile *profile)
{
	cJSON *array = need(cJSON_AddArrayToObject(root, "cpus"));

	for (size_t i = 0; i < profile->cpus; i++) {
		double all = (double)lb_cpu_time_all(&profile->time[i]);
		cJSON *object, *share;

		if (!profile->time[i].online)
			continue;
		object = add_object(array);
		add_u64(object, "cpu", i);
		share = need(cJSON_AddObjectToObject(object, "share"));
#define X(kind, column)                                                                                      \
	need(cJSON_AddNumberToObject(share, #kind, all > 0 ? (double)profile->time[i].kind / all : 0));
		LB_CPU_TIMES(X)
#undef X
		for (enum counter k = 0; k < COUNTERS; k++)
			if (!profile->counters.missing[k])
				add_u64(object, counter_name(k),
					(unsigned long long)profile->counters.value[i * COUNTERS + k]);
	}
}

static void add_missing(cJSON *array, const char *what, const char *why)
{
	cJSON *object = add_object(array);

	need(cJSON_AddStringToObject(object, "what", what));
	need(cJSON_AddStringToObject(object, "why", why));
}

static void print_json(const struct profile *profile)
{
	_cleanup_(cjson_freep) cJSON *root = need(cJSON_CreateObject());
	cJSON *missing;

	need(cJSON_AddNumberToObject(root, "seconds", profile->seconds));
	add_programs(root, profile);
	add_cpus(root, profile);
	missing = need(cJSON_AddArrayToObject(root, "missing"));
	if (profile->programs_error)
		add_missing(missing, "programs", programs_why(profile->programs_error));
	for (enum counter i = 0; i < COUNTERS; i++)
		if (profile->counters.missing[i])
			add_missing(missing, counter_name(i), counter_why(profile->counters.missing[i]));
	json_print(root);
}

int verb_profile(struct lbctl *c)
{
	_cleanup_(profile_done) struct profile profile = { .stats_fd = -1 };
	long cpus = sysconf(_SC_NPROCESSORS_CONF);
	double seconds = SECONDS_DEFAULT;

	if (!option_seconds(c, OPTION_SECONDS, 0.1, &seconds))
		return EXIT_WRONG_USAGE;
	if (seconds > SECONDS_MAX)
		return lbctl_usage(c, "--seconds: %g is more than %g", seconds, SECONDS_MAX);
	profile.cpus = cpus < 1 ? 1 : cpus > CPUS_MAX ? CPUS_MAX : (size_t)cpus;
	look(&profile, seconds);
	if (c->json)
		print_json(&profile);
	else
		print_text(c, &profile);
	return EXIT_DONE;
}
