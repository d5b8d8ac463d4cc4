/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * See host.h. The packet path is included here as it is, between the shim's headers (tests/host/bpf/, first
 * in the include path) and the helpers that they declare. __bpf__ is defined for it: it then takes the
 * kernel's side of every choice in include/lb/.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host.h"

#if defined(__SANITIZE_ADDRESS__)
#define HOST_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HOST_ASAN 1
#endif
#endif
#ifdef HOST_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(start, bytes)   ((void)(start), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(start, bytes) ((void)(start), (void)(bytes))
#endif

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunknown-pragmas"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wpointer-arith"
#pragma GCC diagnostic ignored "-Wsign-compare"
#define __bpf__
#include "lb_ingress.bpf.c"
#undef __bpf__
#pragma GCC diagnostic pop

#define FRAME_HEADER 40u /* struct xdp_frame, which the kernel keeps at the start of the headroom */
#define BUFFER_BYTES (HOST_HEADROOM + HOST_FRAME_MAX + HOST_TAILROOM)

struct host_buffer {
	__u8 *memory; /* BUFFER_BYTES, below 4 GiB: struct xdp_md has 32-bit pointers */
};

/* ctx of a running packet. The linear part ends at md.data_end, the frame at end. */
struct run {
	struct xdp_md md;
	__u8 *hard_start, *end, *hard_end;
};

/* What the program keeps beside struct lb_tables. */
static struct {
	__u64 ports[LB_PORTS_MAX];
	struct lb_fragment_bucket fragments[LB_FRAGMENT_BUCKETS];
	struct lb_sample samples[HOST_CPUS_MAX * LB_REASONS_MAX];
	struct scratch scratch[HOST_CPUS_MAX];
	struct lb_answers answers[HOST_CPUS_MAX];
	struct lb_flow_search search[HOST_CPUS_MAX];
	struct lb_observe_cpu observed; /* of CPU 0 alone */
	struct lb_neighbors neighbors;
} beside;

static const struct lb_tables *bound;
static __thread struct host *current;

/* --- life ------------------------------------------------------------------------------------------------
 */

/* Memory that a 32-bit pointer reaches. */
static void *map_low(size_t bytes)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	void *memory;

#ifdef MAP_32BIT
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags | MAP_32BIT, -1, 0);
	if (memory != MAP_FAILED)
		return memory;
#endif
	for (uintptr_t at = 0x10000000; at < 0xf0000000; at += 0x1000000) {
		memory = mmap((void *)at, bytes, PROT_READ | PROT_WRITE, flags | MAP_FIXED_NOREPLACE, -1, 0);
		if (memory != MAP_FAILED && (uintptr_t)memory + bytes <= 0xffffffff)
			return memory;
		if (memory != MAP_FAILED)
			munmap(memory, bytes);
	}
	return NULL;
}

int host_new(const struct lb_tables *tables, struct host **ret_host)
{
	struct host *host = calloc(1, sizeof(*host));

	if (!host)
		return -ENOMEM;
	host->buffer = calloc(1, sizeof(*host->buffer));
	if (host->buffer)
		host->buffer->memory = map_low(BUFFER_BYTES);
	if (!host->buffer || !host->buffer->memory) {
		host_free(host);
		return -ENOMEM;
	}
	ASAN_POISON_MEMORY_REGION(host->buffer->memory, BUFFER_BYTES);
	host->tables = tables;
	host->ingress_ifindex = 1;
	host->headroom = HOST_HEADROOM;
	*ret_host = host;
	return 0;
}

void host_free(struct host *host)
{
	if (!host)
		return;
	if (bound == host->tables)
		bound = NULL;
	if (host->buffer && host->buffer->memory) {
		ASAN_UNPOISON_MEMORY_REGION(host->buffer->memory, BUFFER_BYTES);
		munmap(host->buffer->memory, BUFFER_BYTES);
	}
	free(host->buffer);
	free(host);
}

/* Load-time constants lie in read-only memory; the compiler reads them afresh because they are volatile. */
static void set_constant(const volatile void *constant, const void *value, size_t bytes)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t start = (uintptr_t)constant & ~(page - 1);
	uintptr_t end = ((uintptr_t)constant + bytes + page - 1) & ~(page - 1);

	if (mprotect((void *)start, end - start, PROT_READ | PROT_WRITE))
		abort();
	memcpy((void *)(uintptr_t)constant, value, bytes);
}

#define SET_CONSTANT(name, number)                                                                           \
	do {                                                                                                 \
		__typeof__(name) value = (number);                                                           \
		if (name != value)                                                                           \
			set_constant(&name, (const void *)(uintptr_t)&value, sizeof(value));                 \
	} while (0)

#define BIND(map, memory, entries)                                                                           \
	do {                                                                                                 \
		(map).value = (void *)(memory);                                                              \
		(map).max_entries_set = (entries);                                                           \
	} while (0)

/* Points the maps at tables, and forgets what is kept beside them. */
static void bind(const struct lb_tables *t)
{
	const struct lb_table_sizes *s = &t->sizes;

	if (s->cpus > HOST_CPUS_MAX)
		abort();
	memset(&beside, 0, sizeof(beside));
	BIND(lb_vips, t->vips, LB_BANKS);
	BIND(lb_banks, t->banks, LB_BANKS);
	BIND(lb_rings, t->rings, s->ring_lines / LB_CHUNK_LINES);
	BIND(lb_stamps, t->stamps, s->stamp_lines / LB_CHUNK_LINES);
	BIND(lb_backends, t->backends, s->backends / LB_CHUNK_LINES);
	BIND(lb_backend_ids, t->backend_ids, s->backends / LB_CHUNK_LINES);
	BIND(lb_counters, t->counters, (__u64)s->cpus * s->counters);
	BIND(lb_service_counters, t->service_counters, (__u64)s->cpus * s->services);
	BIND(lb_reasons, t->reasons, s->cpus);
	BIND(lb_flows, t->flows, s->flow_buckets);
	BIND(lb_service_meta, t->service_meta, s->services);
	BIND(lb_backend_meta, t->backend_meta, s->counters);
	BIND(lb_ports, beside.ports, LB_PORTS_MAX);
	BIND(lb_fragments, beside.fragments, LB_FRAGMENT_BUCKETS);
	BIND(lb_samples, beside.samples, (__u64)s->cpus * LB_REASONS_MAX);
	BIND(lb_observed, &beside.observed, 1);
	BIND(slow_scratch, beside.scratch, 1);
	BIND(lb_answers, beside.answers, 1);
	BIND(lb_neighbors, &beside.neighbors, 1);
	BIND(lb_search, beside.search, 1);
	SET_CONSTANT(lb_counter_stride, s->counters);
	memset(&lb_control, 0, sizeof(lb_control));
	bound = t;
}

/* --- packets ---------------------------------------------------------------------------------------------
 */

static __u8 *run_data(const struct run *run)
{
	return (__u8 *)(uintptr_t)run->md.data;
}

/* Moves what the program may touch from the current window to another. */
static void set_window(struct run *run, __u8 *meta, __u8 *data, __u8 *data_end)
{
	__u8 *from = (__u8 *)(uintptr_t)run->md.data_meta;

	ASAN_POISON_MEMORY_REGION(from, (size_t)(run->md.data_end - run->md.data_meta));
	ASAN_UNPOISON_MEMORY_REGION(meta, (size_t)(data_end - meta));
	run->md.data_meta = (__u32)(uintptr_t)meta;
	run->md.data = (__u32)(uintptr_t)data;
	run->md.data_end = (__u32)(uintptr_t)data_end;
}

static void run_start(struct host *host, struct run *run, const __u8 *frame, size_t length)
{
	__u8 *data = host->buffer->memory + HOST_HEADROOM;
	size_t linear = host->linear && host->linear < length ? host->linear : length;

	run->md.data_meta = run->md.data_end = (__u32)(uintptr_t)data;
	run->md.ingress_ifindex = host->ingress_ifindex;
	run->hard_start = data - host->headroom;
	run->end = data + length;
	run->hard_end = data + HOST_FRAME_MAX + HOST_TAILROOM;
	ASAN_UNPOISON_MEMORY_REGION(data, (size_t)(run->end - data));
	memcpy(data, frame, length);
	ASAN_POISON_MEMORY_REGION(data, (size_t)(run->end - data));
	set_window(run, data, data, data + linear);
}

static void run_end(struct run *run, __u8 *frame, size_t *length, size_t capacity)
{
	__u8 *data = run_data(run);
	size_t left = (size_t)(run->end - data);

	set_window(run, data, data, run->end);
	memcpy(frame, data, left < capacity ? left : capacity);
	*length = left;
	set_window(run, data, data, data);
}

void host_forget(struct host *host)
{
	__u32 cpus = host->tables->sizes.cpus;

	if (bound != host->tables)
		return;
	memset(beside.fragments, 0, sizeof(beside.fragments));
	memset(beside.samples, 0, cpus * LB_REASONS_MAX * sizeof(beside.samples[0]));
	memset(beside.scratch, 0, cpus * sizeof(beside.scratch[0]));
	memset(beside.answers, 0, cpus * sizeof(beside.answers[0]));
	memset(&beside.observed, 0, sizeof(beside.observed));
}

static void set_rates(bool unlimited)
{
	static __u32 echo, error, reset, source, neighbor; /* as loaded */

	if (!echo) {
		echo = lb_echo_rate;
		error = lb_error_rate;
		reset = lb_reset_rate;
		source = lb_source_rate;
		neighbor = lb_neighbor_rate;
	}
	SET_CONSTANT(lb_echo_rate, unlimited ? 0xffffffff : echo);
	SET_CONSTANT(lb_error_rate, unlimited ? 0xffffffff : error);
	SET_CONSTANT(lb_reset_rate, unlimited ? 0xffffffff : reset);
	SET_CONSTANT(lb_neighbor_rate, unlimited ? 0xffffffff : neighbor);
	SET_CONSTANT(lb_source_rate, unlimited ? 0xffffffff : source);
}

int host_packet(struct host *host, __u8 *frame, size_t *length, size_t capacity)
{
	struct run run = {};
	int action;

	if (bound != host->tables)
		bind(host->tables);
	SET_CONSTANT(lb_several_interfaces, host->several);
	SET_CONSTANT(lb_observe_on, host->observe != NULL);
	if (host->observe)
		lb_observe = *host->observe;
	set_rates(host->unlimited);
	memcpy(beside.ports, host->ports, sizeof(beside.ports));
	if (*length > HOST_FRAME_MAX)
		abort();
	/* Not a map but data of the program, which only the agent writes. */
	if (memcmp(&lb_control, host->tables->control, sizeof(lb_control))) {
		lb_control = *host->tables->control;
		memcpy(&lb_filters, host->tables->filters, sizeof(lb_filters));
	}
	if (!host->stations)
		lb_stations.closed = 0;
	else if (memcmp(&lb_stations, host->stations, sizeof(lb_stations)))
		lb_stations = *host->stations;
	/* In memory that the kernel's program shares; both stand back when they hear somebody else. */
	BIND(lb_neighbors, host->neighbors ? host->neighbors : &beside.neighbors, 1);
	current = host;
	host->egress_ifindex = 0;
	host->helper_calls = 0;
	run_start(host, &run, frame, *length);
	action = lb_ingress(&run.md);
	run_end(&run, frame, length, capacity);
	return action;
}

/* --- helpers ---------------------------------------------------------------------------------------------
 */

static struct run *run_of(struct xdp_md *ctx)
{
	current->helper_calls++;
	return (struct run *)ctx;
}

long bpf_xdp_adjust_head(struct xdp_md *ctx, int delta)
{
	struct run *run = run_of(ctx);
	__u8 *data = run_data(run), *meta = (__u8 *)(uintptr_t)ctx->data_meta;
	__u8 *end = (__u8 *)(uintptr_t)ctx->data_end, *to = data + delta;
	size_t meta_bytes = (size_t)(data - meta);
	__u8 kept[32];

	if (to < run->hard_start + FRAME_HEADER + meta_bytes || to > end - ETH_HLEN)
		return -EINVAL;
	memcpy(kept, meta, meta_bytes);
	set_window(run, to - meta_bytes, to, end);
	memcpy(to - meta_bytes, kept, meta_bytes);
	return 0;
}

long bpf_xdp_adjust_tail(struct xdp_md *ctx, int delta)
{
	struct run *run = run_of(ctx);
	__u8 *data = run_data(run), *meta = (__u8 *)(uintptr_t)ctx->data_meta;
	__u8 *end = (__u8 *)(uintptr_t)ctx->data_end, *to = run->end + delta;
	bool whole = end == run->end;

	if (to > run->hard_end || to < data + ETH_HLEN)
		return -EINVAL;
	if (delta > 0) {
		ASAN_UNPOISON_MEMORY_REGION(run->end, (size_t)delta);
		memset(run->end, 0, (size_t)delta);
		ASAN_POISON_MEMORY_REGION(run->end, (size_t)delta);
	}
	run->end = to;
	set_window(run, meta, data, whole || to < end ? to : end);
	return 0;
}

long bpf_xdp_adjust_meta(struct xdp_md *ctx, int delta)
{
	struct run *run = run_of(ctx);
	__u8 *data = run_data(run), *to = (__u8 *)(uintptr_t)ctx->data_meta + delta;

	if (to < run->hard_start + FRAME_HEADER || to > data || (size_t)(data - to) > 32 || (data - to) % 4)
		return -EINVAL;
	set_window(run, to, data, (__u8 *)(uintptr_t)ctx->data_end);
	return 0;
}

__u64 bpf_xdp_get_buff_len(struct xdp_md *ctx)
{
	return (__u64)(((struct run *)ctx)->end - run_data((struct run *)ctx));
}

/* Copies between a buffer and the frame, wherever in it. */
static long copy_frame(struct xdp_md *ctx, __u32 offset, void *buffer, __u32 length, bool store)
{
	struct run *run = run_of(ctx);
	__u8 *at = run_data(run) + offset, *linear_end = (__u8 *)(uintptr_t)ctx->data_end;

	if ((__u64)offset + length > bpf_xdp_get_buff_len(ctx))
		return -EINVAL;
	ASAN_UNPOISON_MEMORY_REGION(linear_end, (size_t)(run->end - linear_end));
	if (store)
		memcpy(at, buffer, length);
	else
		memcpy(buffer, at, length);
	ASAN_POISON_MEMORY_REGION(linear_end, (size_t)(run->end - linear_end));
	return 0;
}

long bpf_xdp_load_bytes(struct xdp_md *ctx, __u32 offset, void *buffer, __u32 length)
{
	return copy_frame(ctx, offset, buffer, length, false);
}

long bpf_xdp_store_bytes(struct xdp_md *ctx, __u32 offset, void *buffer, __u32 length)
{
	return copy_frame(ctx, offset, buffer, length, true);
}

long bpf_redirect_map(void *map, __u64 key, __u64 flags)
{
	current->helper_calls++;
	if (map != &lb_devmap || key >= LB_PORTS_MAX || !current->devmap[key])
		return (long)(flags & 3);
	current->egress_ifindex = current->devmap[key];
	return XDP_REDIRECT;
}

__u32 bpf_get_smp_processor_id(void)
{
	return current->cpu;
}

__u32 bpf_get_prandom_u32(void)
{
	static __thread __u64 state = 1;

	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (__u32)(state >> 32);
}

__u64 bpf_ktime_get_ns(void)
{
	return current->now_ns;
}

__u64 bpf_ktime_get_coarse_ns(void)
{
	return current->now_ns;
}

__u64 bpf_jiffies64(void)
{
	return current->now_ns / 4000000;
}

__s64 bpf_csum_diff(__be32 *from, __u32 from_size, __be32 *to, __u32 to_size, __wsum seed)
{
	__u64 sum = seed;

	for (__u32 i = 0; i < from_size / 4; i++)
		sum += (__u32)~from[i];
	for (__u32 i = 0; i < to_size / 4; i++)
		sum += to[i];
	while (sum >> 32)
		sum = (sum & 0xffffffff) + (sum >> 32);
	return (__s64)sum;
}

long bpf_loop(__u32 turns, void *function, void *context, __u64 flags)
{
	long (*turn)(__u64 number, void *context) = (long (*)(__u64, void *))function;
	__u32 i = 0;

	while (i < turns && !turn(i++, context))
		;
	return i;
}

long bpf_ringbuf_output(void *ring, void *data, __u64 size, __u64 flags)
{
	if (current->told)
		current->told(data, size);
	return 0;
}

long bpf_perf_event_output(void *ctx, void *map, __u64 flags, void *data, __u64 size)
{
	return 0;
}

/* --- maps that are not arrays -----------------------------------------------------------------------------
 */

/* A list in order of use, short: what does not fit replaces the least recently used. One for all maps. */
#define HASH_ENTRIES 1024
#define HASH_BYTES   64

struct entry {
	void *map;
	__u8 key[HASH_BYTES];
	__u8 value[HASH_BYTES];
	__u64 used;
};

static struct entry entries[HASH_ENTRIES];
static __u64 entry_clock;

static struct entry *entry_find(void *map, size_t key_bytes, const void *key)
{
	for (size_t i = 0; i < HASH_ENTRIES; i++) {
		if (entries[i].map == map && !memcmp(entries[i].key, key, key_bytes)) {
			entries[i].used = ++entry_clock;
			return &entries[i];
		}
	}
	return NULL;
}

void *host_hash_lookup(void *map, size_t key_bytes, const void *key, size_t value_bytes)
{
	struct entry *entry = entry_find(map, key_bytes, key);

	return entry ? entry->value : NULL;
}

long host_hash_update(void *map, size_t key_bytes, const void *key, size_t value_bytes, const void *value,
		      __u64 flags)
{
	struct entry *entry = entry_find(map, key_bytes, key);

	if (key_bytes > HASH_BYTES || value_bytes > HASH_BYTES)
		abort();
	if (entry && flags == BPF_NOEXIST)
		return -EEXIST;
	if (!entry && flags == BPF_EXIST)
		return -ENOENT;
	for (size_t i = 0; !entry || i < HASH_ENTRIES; i++) {
		if (entry && entry->map == map && !memcmp(entry->key, key, key_bytes))
			break;
		if (i < HASH_ENTRIES && (!entry || entries[i].used < entry->used))
			entry = &entries[i];
	}
	entry->map = map;
	entry->used = ++entry_clock;
	memcpy(entry->key, key, key_bytes);
	memcpy(entry->value, value, value_bytes);
	return 0;
}

long host_hash_delete(void *map, size_t key_bytes, const void *key)
{
	struct entry *entry = entry_find(map, key_bytes, key);

	if (!entry)
		return -ENOENT;
	*entry = (struct entry){};
	return 0;
}
