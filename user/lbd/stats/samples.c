// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads lb_samples. The packet path writes while we read: a sample whose time is not the same before and
 * after the copy is not whole.
 */
#include "lbd/stats/samples.h"

#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "lb/access.h"

void samples_open(const struct maps *maps, struct samples *ret_samples)
{
	size_t page = sysconf(_SC_PAGESIZE);
	void *memory;

	*ret_samples = (struct samples){ .cpus = maps->tables.sizes.cpus };
	for (size_t i = 0; i < maps->n; i++) {
		if (strcmp(maps->name[i], "lb_samples") != 0)
			continue;
		ret_samples->bytes =
			(sizeof(struct lb_sample) * ret_samples->cpus * LB_REASONS_MAX + page - 1) / page *
			page;
		memory = mmap(NULL, ret_samples->bytes, PROT_READ, MAP_SHARED, maps->fd[i], 0);
		ret_samples->sample = memory == MAP_FAILED ? NULL : memory;
	}
}

void samples_close(struct samples *samples)
{
	if (samples->sample)
		munmap((void *)samples->sample, samples->bytes);
	samples->sample = NULL;
}

bool samples_get(const struct samples *samples, __u32 cpu, __u32 reason, struct lb_sample *ret_sample)
{
	const struct lb_sample *from =
		samples->sample ? &samples->sample[cpu * LB_REASONS_MAX + reason] : NULL;
	__u64 taken_ns = from ? LB_LOAD(&from->taken_ns) : 0;
	struct lb_sample copy;

	if (!taken_ns)
		return false;
	memcpy(&copy, from, sizeof(copy));
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (LB_LOAD(&from->taken_ns) != taken_ns || copy.sample_bytes > LB_SAMPLE_BYTES)
		return false;
	copy.taken_ns = taken_ns;
	*ret_sample = copy;
	return true;
}

bool samples_newest(const struct samples *samples, __u32 reason, struct lb_sample *ret_sample)
{
	struct lb_sample sample;
	bool found = false;

	for (__u32 cpu = 0; cpu < samples->cpus; cpu++) {
		if (!samples_get(samples, cpu, reason, &sample) ||
		    (found && sample.taken_ns <= ret_sample->taken_ns))
			continue;
		*ret_sample = sample;
		found = true;
	}
	return found;
}

void samples_write(const struct samples *samples, __u32 reason, struct json *json)
{
	struct lb_sample sample;
	struct timespec ts;
	__u64 now_ns;

	if (!samples_newest(samples, reason, &sample)) {
		json_null(json, "example");
		return;
	}
	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	now_ns = (__u64)ts.tv_sec * 1000000000 + ts.tv_nsec;
	json_object(json, "example");
	json_hex(json, "hex", sample.data, sample.sample_bytes);
	json_u64(json, "frame_bytes", sample.frame_bytes);
	json_u64(json, "age_s", now_ns > sample.taken_ns ? (now_ns - sample.taken_ns) / 1000000000 : 0);
	json_object_end(json);
}
