/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Runs packets through the loaded packet path for the reference balancer (docs/reference-balancer.md).
 *
 *   reference_run [--several] CONFIG...
 *
 * First line of stdout: the tables as JSON. Then, until stdin ends, batches. All numbers are little endian.
 *   request: u32 bytes of what follows; records of
 *            u32 length, u8 kind, u8 0, u16 linear, u32 ingress, length bytes
 *            kind 0: a frame. linear: bytes in the linear part of the buffer, 0: as many as fit. ingress:
 *            port it comes in on
 *            kind 1: length is 0; ingress is the new coarse clock
 *            kind 2: length is 0; asks for the flow table
 *   answer:  u32 bytes of what follows; for each frame
 *            s32 verdict (negative: errno), u32 length, u32 number of counters that moved,
 *            for each u32 counter, u32 by how much; length bytes of the frame as the program left it
 *            counter: reason number, or 1000 + 8 * backend id + field of struct lb_counter
 *            For the flow table: verdict 0, no frame, and the number of flows by state as counters 1, 2, 3
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runner_tables.h"

static inline struct lb_flow_bucket *lb_flow_bucket_get(void *table, __u32 index)
{
	return (struct lb_flow_bucket *)table + index;
}

#include "lb/flowtable.h"

#define FRAME_MAX       16384u
#define BATCH_MAX       (64u << 20)
#define COUNTER_FIELDS  (sizeof(struct lb_counter) / sizeof(__u64))
#define BACKEND_COUNTER 1000u
#define MOVED_MAX       32u

enum kind { KIND_FRAME, KIND_CLOCK, KIND_FLOWS };

struct request {
	__u32 length;
	__u8 kind;
	__u8 pad;
	__u16 linear;
	__u32 ingress;
} __attribute__((packed));

struct answer {
	__s32 verdict;
	__u32 length;
	__u32 n_moved;
	__u32 moved[MOVED_MAX][2];
};

static int cpu;           /* the one we run on */
static bool linear_works; /* the kernel takes the size of the linear part (since 6.18) */
static struct lb_reason_block reasons_before;
static struct lb_counter *counters_before;

static bool read_all(void *to, size_t n)
{
	for (char *at = to; n;) {
		ssize_t r = read(STDIN_FILENO, at, n);

		if (r <= 0)
			return false;
		at += r;
		n -= (size_t)r;
	}
	return true;
}

static bool write_all(const void *from, size_t n)
{
	for (const char *at = from; n;) {
		ssize_t r = write(STDOUT_FILENO, at, n);

		if (r <= 0)
			return false;
		at += r;
		n -= (size_t)r;
	}
	return true;
}

static int stay_on_one_cpu(void)
{
	cpu_set_t set;

	cpu = sched_getcpu();
	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

static void note_moved(struct answer *answer, __u32 number, __u64 *before, __u64 now)
{
	if (*before == now)
		return;
	if (answer->n_moved < MOVED_MAX) {
		answer->moved[answer->n_moved][0] = number;
		answer->moved[answer->n_moved++][1] = (__u32)(now - *before);
	}
	*before = now;
}

/* Every counter of this CPU that is not what it was. */
static void find_moved(const struct lb_tables *t, struct answer *answer)
{
	const struct lb_reason_block *reasons = &t->reasons[cpu];
	const struct lb_counter *counters = &t->counters[(size_t)cpu * t->sizes.counters];

	for (__u32 i = 0; i < LB_REASONS_MAX; i++)
		note_moved(answer, i, &reasons_before.reason[i].packets, reasons->reason[i].packets);
	if (memcmp(counters, counters_before, sizeof(*counters) * t->sizes.counters) == 0)
		return;
	for (__u32 i = 0; i < t->sizes.counters; i++) {
		if (memcmp(&counters[i], &counters_before[i], sizeof(*counters)) == 0)
			continue;
		for (__u32 f = 0; f < COUNTER_FIELDS; f++)
			note_moved(answer, BACKEND_COUNTER + i * COUNTER_FIELDS + f,
				   (__u64 *)&counters_before[i] + f, ((const __u64 *)&counters[i])[f]);
	}
}

/* One frame through the program; out has room for FRAME_MAX bytes. */
static void run_frame(struct runner *runner, const struct request *request, const __u8 *frame, __u8 *out,
		      struct answer *answer)
{
	static __u8 in[FRAME_MAX];
	struct xdp_md context = { .data_end = request->length };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in, .data_size_in = request->length, .data_out = out,
		    .data_size_out = FRAME_MAX, .repeat = 1, .ctx_in = &context,
		    .ctx_size_in = sizeof(context));

	memcpy(in, frame, request->length);
	if (linear_works && request->linear && request->linear < request->length)
		context.data_end = request->linear;
	if (request->ingress)
		context.ingress_ifindex = (__u32)runner->ifindex[request->ingress];
	answer->n_moved = 0;
	answer->verdict =
		bpf_prog_test_run_opts(runner->path.program_fd, &opts) < 0 ? -errno : (__s32)opts.retval;
	answer->length = answer->verdict < 0 ? 0 : opts.data_size_out;
	find_moved(&runner->path.tables, answer);
}

static void put(FILE *out, const struct answer *answer, const __u8 *frame)
{
	fwrite(answer, 12, 1, out);
	fwrite(answer->moved, sizeof(answer->moved[0]), answer->n_moved, out);
	fwrite(frame, 1, answer->length, out);
}

static void count_flows(const struct lb_tables *t, struct answer *answer)
{
	*answer = (struct answer){ .n_moved = 9 };
	for (__u32 i = 0; i < answer->n_moved; i++)
		answer->moved[i][0] = i + 1;
	for (__u32 i = 0; i < t->sizes.flow_buckets; i++) {
		for (__u32 k = 0; k < LB_FLOWS_PER_BUCKET; k++) {
			const struct lb_flow_numbers *numbers = &t->flows[i].flow[k].numbers;
			__u32 state = lb_flow_state(t->flows[i].flow[k].word);

			if (!state)
				continue;
			answer->moved[state - 1][1]++;
			answer->moved[3][1] += !!(numbers->rest & LB_NUMBERS_FIN);
			answer->moved[4][1] += !!(numbers->rest & LB_NUMBERS_RST);
			answer->moved[5][1] += lb_numbers_next(numbers->next_ack);
			answer->moved[6][1] += lb_numbers_ack(numbers->next_ack);
			answer->moved[7][1] += lb_numbers_carried(numbers->rest);
			answer->moved[8][1] += lb_numbers_credit(numbers->rest);
		}
	}
}

static void probe_linear(struct runner *runner)
{
	static __u8 frame[128], out[FRAME_MAX];
	const struct request request = { .length = sizeof(frame), .linear = 64 };
	struct answer answer;

	linear_works = true;
	run_frame(runner, &request, frame, out, &answer);
	linear_works = answer.verdict >= 0;
	if (!linear_works)
		fprintf(stderr, "This kernel does not take headers apart from the linear part: not tried.\n");
}

static int run_batch(struct runner *runner, const __u8 *batch, size_t bytes, FILE *out)
{
	static __u8 frame[FRAME_MAX];
	struct answer answer;

	for (size_t at = 0; at < bytes;) {
		struct request request;

		if (bytes - at < sizeof(request))
			return -EPROTO;
		memcpy(&request, batch + at, sizeof(request));
		at += sizeof(request);
		if (request.kind == KIND_CLOCK) {
			runner->path.tables.control->clock_s = request.ingress;
			continue;
		}
		if (request.kind == KIND_FLOWS) {
			count_flows(&runner->path.tables, &answer);
			put(out, &answer, frame);
			continue;
		}
		if (request.length > FRAME_MAX - 256 || request.length > bytes - at || request.ingress > 2)
			return -EPROTO;
		run_frame(runner, &request, batch + at, frame, &answer);
		put(out, &answer, frame);
		at += request.length;
	}
	return 0;
}

static int serve(struct runner *runner)
{
	__u8 *batch = malloc(BATCH_MAX);
	__u32 bytes;
	int r = batch ? 0 : -ENOMEM;

	while (r == 0 && read_all(&bytes, sizeof(bytes))) {
		char *text = NULL;
		size_t length = 0;
		FILE *out = open_memstream(&text, &length);
		__u32 prefix;

		if (!out || bytes > BATCH_MAX || !read_all(batch, bytes))
			r = -EPROTO;
		else
			r = run_batch(runner, batch, bytes, out);
		if (out)
			fclose(out);
		prefix = (__u32)length;
		if (r == 0 && (!write_all(&prefix, sizeof(prefix)) || !write_all(text, length)))
			r = -EPIPE;
		free(text);
	}
	free(batch);
	return r;
}

int main(int argc, char **argv)
{
	bool several = argc > 1 && strcmp(argv[1], "--several") == 0;
	struct runner runner;
	int r;

	if (argc < 2 + several) {
		fprintf(stderr, "usage: %s [--several] CONFIG...\n", argv[0]);
		return 2;
	}
	r = runner_open(&runner, several, argv + 1 + several, argc - 1 - several);
	counters_before = calloc(512, sizeof(*counters_before));
	if (r == 0 && (!counters_before || stay_on_one_cpu() < 0))
		r = -ENOMEM;
	if (r == 0) {
		probe_linear(&runner);
		r = runner_dump(&runner, stdout);
	}
	if (r == 0)
		r = serve(&runner);
	free(counters_before);
	runner_close(&runner);
	if (r < 0)
		fprintf(stderr, "reference_run: %s\n", strerror(-r));
	return r < 0;
}
