// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads what the kernel and lb_redirect count by CPU, and what /sys and /proc/irq say of the interfaces'
 * queues.
 */
#include "lbd/stats/cores.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "lbd/clock.h"
#include "lbd/kernel/redirect.h"
#include "lbd/lbd.h"

#define WINDOW_MS    10000u
#define FILE_MAX     262144u /* softnet_stat: a line of 135 bytes for each CPU */
#define IRQS_AT_ONCE 512u    /* interrupts looked at, of an interface */

struct cores {
	size_t n;
	__u64 *before; /* packets of each CPU when the window began; owned */
	__u64 before_ms;
	bool *online;                    /* of n */
	struct lb_cores_verdict verdict; /* busiest: number of a CPU */
	size_t n_online;
};

/* The whole of a small file, with a zero behind it; NULL: it is not to be had. Owned by the caller. */
static char *contents(const char *path, size_t most)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text = fd < 0 ? NULL : malloc(most + 1);
	size_t have = 0;
	ssize_t n = 1;

	while (text && have < most && n > 0) {
		n = read(fd, text + have, most - have);
		have += n > 0 ? (size_t)n : 0;
	}
	if (text)
		text[have] = 0;
	return text;
}

void cores_sample_free(struct cores_sample *sample)
{
	free(sample->polls);
	free(sample->softnet);
	free(sample->lost);
	*sample = (struct cores_sample){};
}

struct cores_sample cores_sample(const struct lbd *lbd)
{
	size_t n = lbd->maps.tables.sizes.cpus;
	struct cores_sample sample = { .n = n,
				       .polls = calloc(n, sizeof(*sample.polls)),
				       .softnet = calloc(n, sizeof(*sample.softnet)),
				       .lost = calloc(n, sizeof(*sample.lost)) };
	_cleanup_(freep) char *text = NULL;

	if (!sample.polls || !sample.softnet || !sample.lost) {
		cores_sample_free(&sample);
		return sample;
	}
	sample.polls_counted = redirect_polls(lbd, sample.polls, n) == 0;
	redirect_lost_by_cpu(lbd, sample.lost, n);
	text = contents("/proc/net/softnet_stat", FILE_MAX);
	if (text)
		lb_softnet_parse(text, sample.softnet, n);
	return sample;
}

void cores_write(const struct cores_sample *sample, size_t cpu, struct json *json)
{
	static const char *const classes[LB_POLL_CLASSES] = LB_POLL_CLASS_NAMES;
	const struct lb_polls *polls = &sample->polls[cpu];
	__u64 all = 0;

	if (cpu >= sample->n)
		return;
	json_u64(json, "lost", sample->lost[cpu]);
	json_u64(json, "squeezed", sample->softnet[cpu].squeezed);
	json_u64(json, "backlog_dropped", sample->softnet[cpu].backlog_dropped);
	if (!sample->polls_counted)
		return;
	for (__u32 i = 0; i < LB_POLL_CLASSES; i++)
		all += polls->polls[i];
	json_u64(json, "polls", all);
	json_u64(json, "polled_packets", polls->packets);
	json_u64(json, "full_polls", polls->full);
	json_object(json, "polls_by_packets");
	for (__u32 i = 0; i < LB_POLL_CLASSES; i++)
		json_u64(json, classes[i], polls->polls[i]);
	json_object_end(json);
}

/* --- what the interfaces have ----------------------------------------------------------------------------
 */

static unsigned int count_entries(const char *path, const char *prefix)
{
	DIR *directory = opendir(path);
	unsigned int n = 0;
	struct dirent *entry;

	while (directory && (entry = readdir(directory)))
		n += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
	if (directory)
		closedir(directory);
	return n;
}

/* Cores that the interrupts of a device go to are set in seen[]; how many interrupts there are. */
static unsigned int look_at_interrupts(const char *path, bool *seen, size_t n_cpus)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	unsigned int n = 0;

	while (directory && (entry = readdir(directory)) && n < IRQS_AT_ONCE) {
		_cleanup_(freep) char *list = NULL;
		char file[64];

		if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
			continue;
		snprintf(file, sizeof(file), "/proc/irq/%.16s/effective_affinity_list", entry->d_name);
		list = contents(file, 4095);
		n += list && lb_cpu_list(list, seen, n_cpus) > 0;
	}
	if (directory)
		closedir(directory);
	return n;
}

static void look_at_interface(const char *name, struct lb_cores *cores, bool *seen, size_t n_cpus)
{
	/* A virtio device's interrupts are those of the device that it is on. */
	static const char *const places[] = { "device/msi_irqs", "device/../msi_irqs" };
	char path[96];

	snprintf(path, sizeof(path), "/sys/class/net/%.15s/queues", name);
	cores->queues += count_entries(path, "rx-");
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		unsigned int n;

		snprintf(path, sizeof(path), "/sys/class/net/%.15s/%s", name, places[i]);
		n = look_at_interrupts(path, seen, n_cpus);
		cores->interrupts += n;
		if (n)
			return;
	}
}

/* Queues and interrupts of all that the packet path is attached to. */
static void look_at_interfaces(const struct lbd *lbd, struct lb_cores *cores)
{
	size_t n_cpus = lbd->maps.tables.sizes.cpus;
	_cleanup_(freep) bool *seen = calloc(n_cpus, sizeof(*seen));

	for (size_t i = 0; seen && i < lbd->n_attachments; i++)
		if (lbd->attachments[i].by != ATTACHED_NOT)
			look_at_interface(lbd->attachments[i].wanted.name, cores, seen, n_cpus);
	for (size_t i = 0; seen && i < n_cpus; i++)
		cores->interrupt_cpus += seen[i];
}

/* --- judging ---------------------------------------------------------------------------------------------
 */

static struct cores *open_cores(const struct lbd *lbd)
{
	struct cores *cores = calloc(1, sizeof(*cores));

	if (!cores)
		return NULL;
	cores->n = lbd->maps.tables.sizes.cpus;
	cores->before = calloc(cores->n, sizeof(*cores->before));
	cores->online = calloc(cores->n, sizeof(*cores->online));
	if (cores->before && cores->online)
		return cores;
	free(cores->before);
	free(cores->online);
	free(cores);
	return NULL;
}

void cores_close(struct lbd *lbd)
{
	if (!lbd->cores)
		return;
	free(lbd->cores->before);
	free(lbd->cores->online);
	free(lbd->cores);
	lbd->cores = NULL;
}

static void look_who_is_online(struct cores *cores)
{
	_cleanup_(freep) char *list = contents("/sys/devices/system/cpu/online", 4095);

	memset(cores->online, 0, cores->n * sizeof(*cores->online));
	if (list && lb_cpu_list(list, cores->online, cores->n))
		return;
	memset(cores->online, 1, cores->n * sizeof(*cores->online));
}

static void judge(struct lbd *lbd, const struct cores_sample *sample, double seconds)
{
	struct cores *cores = lbd->cores;
	_cleanup_(freep) __u64 *packets = calloc(cores->n, sizeof(*packets));
	_cleanup_(freep) size_t *number = calloc(cores->n, sizeof(*number));
	struct lb_cores now = { .packets = packets, .seconds = seconds };

	if (!packets || !number)
		return;
	look_who_is_online(cores);
	for (size_t i = 0; i < cores->n; i++) {
		if (!cores->online[i])
			continue;
		packets[now.n] = sample->polls[i].packets - cores->before[i];
		number[now.n++] = i;
	}
	lb_cores_judge(&now, &cores->verdict);
	if (cores->verdict.cause != LB_CORES_EVEN) {
		look_at_interfaces(lbd, &now);
		lb_cores_judge(&now, &cores->verdict);
	}
	cores->n_online = now.n;
	if (now.n)
		cores->verdict.busiest = number[cores->verdict.busiest];
}

static void begin_window(struct cores *cores, const struct cores_sample *sample)
{
	for (size_t i = 0; i < cores->n; i++)
		cores->before[i] = sample->polls[i].packets;
	cores->before_ms = now_ms();
}

void cores_look(struct lbd *lbd)
{
	struct cores_sample sample;

	if (lbd->cores && now_ms() - lbd->cores->before_ms < WINDOW_MS)
		return;
	sample = cores_sample(lbd);
	if (sample.n && sample.polls_counted) {
		if (lbd->cores)
			judge(lbd, &sample, (double)(now_ms() - lbd->cores->before_ms) / 1000);
		else
			lbd->cores = open_cores(lbd);
		if (lbd->cores)
			begin_window(lbd->cores, &sample);
	}
	cores_sample_free(&sample);
}

double cores_ratio(const struct lbd *lbd)
{
	return lbd->cores ? lbd->cores->verdict.ratio : 0;
}

void cores_warn(const struct lbd *lbd, struct json *json)
{
	const struct lb_cores_verdict *verdict = lbd->cores ? &lbd->cores->verdict : NULL;
	const char *cause = verdict ? lb_cores_cause_text(verdict->cause) : NULL;

	if (cause)
		json_format(json, NULL, "CPU %zu takes %.1f times the mean of %zu CPUs, %.0f packets/s: %s",
			    verdict->busiest, verdict->ratio, lbd->cores->n_online, verdict->packets_s,
			    cause);
}
