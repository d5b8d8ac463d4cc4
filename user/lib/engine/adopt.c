// SPDX-License-Identifier: GPL-2.0-only
/*
 * Taking over tables that another agent left, whenever and wherever it stopped. The active bank is the truth:
 * what it names is in use. Names that it does not name belong to an unfinished commit (freed at once, they
 * were never visible) or to something that was removed (freed when no flow entry can name it any more).
 *
 * Time that needs knowledge of the past starts again, on the safe side: learning windows, idle times of
 * unsettled slots, quarantines. Tables that contradict themselves are refused before anything is written.
 */
#include "engine/engine_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define REFUSE(error, ...) lb_error_set((error), EPROTO, __VA_ARGS__)

static int out_of_memory(struct lb_error *error)
{
	return lb_error_set(error, ENOMEM, "out of memory");
}

/* --- keys ---------------------------------------------------------------------------------------- */

/* What one entry answers to. */
static void decode_key(const struct lb_vip *vip, struct lb_service_key *ret_key)
{
	struct lb_vip_tail tail;
	__u32 port, span;
	bool exact;

	memcpy(&tail, &vip->key[2], sizeof(tail));
	exact = !tail.address_bits && !tail.port_bits;
	port = ntohs(tail.port);
	span = exact ? 1 : 1u << (16 - (tail.port_bits & 31));
	*ret_key = (struct lb_service_key){ .protocol = tail.protocol,
					    .port_first = (__u16)port,
					    .port_last = (__u16)(port + span - 1) };
	ret_key->vip.address.family = tail.family;
	if (tail.family == LB_FAMILY_V4)
		memcpy(ret_key->vip.address.bytes, &(__u32){ (__u32)vip->key[0] }, 4);
	else
		memcpy(ret_key->vip.address.bytes, vip->key, 16);
	ret_key->vip.length = exact ? (tail.family == LB_FAMILY_V4 ? 32 : 128) : tail.address_bits;
}

static bool same_entry(const struct lb_vip *a, const struct lb_vip *b)
{
	struct lb_vip x = *a, y = *b;

	memset(x.key, 0, sizeof(x.key));
	memset(y.key, 0, sizeof(y.key));
	return memcmp(&x, &y, sizeof(x)) == 0;
}

static int check_entry(const struct lb_engine *engine, const struct lb_vip *vip, __u32 bucket,
		       struct lb_error *error)
{
	const struct lb_table_sizes *sizes = &engine->tables->sizes;
	__u64 slots = (__u64)vip->ring_mask + 1;
	struct lb_vip_tail tail;
	struct lb_vip place;

	memcpy(&tail, &vip->key[2], sizeof(tail));
	if ((tail.family != LB_FAMILY_V4 && tail.family != LB_FAMILY_V6) || tail.port_bits > 16 ||
	    tail.address_bits > 128)
		return REFUSE(error, "VIP bucket %u: the key is of no family or shape", bucket);
	if (vip->service >= sizes->services || !engine->tables->service_meta[vip->service].used)
		return REFUSE(error, "VIP bucket %u names service id %u, which has no name", bucket,
			      vip->service);
	if (slots < LB_RING_MIN || slots > LB_RING_MAX || (slots & (slots - 1)))
		return REFUSE(error, "VIP bucket %u: a ring of %llu slots", bucket, slots);
	lb_vip_place(&place, lb_vip_ring_line(vip), vip->backend_first);
	if (place.ring_chunk != vip->ring_chunk || place.ring_first != vip->ring_first ||
	    place.backend_chunk != vip->backend_chunk ||
	    lb_vip_ring_line(vip) + slots / LB_SLOTS_PER_LINE > sizes->ring_lines ||
	    (__u64)vip->backend_first + vip->backend_count > sizes->backends)
		return REFUSE(error, "VIP bucket %u: its ring or its backends lie outside the tables",
			      bucket);
	return 0;
}

/* --- a service ----------------------------------------------------------------------------------- */

struct adoption {
	struct lb_engine *engine;
	struct lb_service **by_line; /* who has the ring that begins there */
};

static int adopt_member(struct lb_engine *engine, struct lb_service *service, __u32 index,
			struct lb_error *error)
{
	const struct lb_tables *tables = engine->tables;
	const struct lb_backend *record = &tables->backends[service->vip.backend_first + index];
	struct lb_member *member = &service->members[index];
	const struct lb_backend_meta *meta;
	int r;

	/* The table beside may be new. */
	tables->backend_ids[service->vip.backend_first + index] = record->counter;
	if (!(record->flags & LB_BACKEND_USED))
		return 0;
	if (record->counter >= tables->sizes.counters)
		return REFUSE(error, "service %s, backend index %u: id %u is outside the tables",
			      service->name, index, record->counter);
	meta = &tables->backend_meta[record->counter];
	if (!meta->used || strnlen(meta->name, sizeof(meta->name)) == sizeof(meta->name))
		return REFUSE(error, "service %s, backend index %u: id %u has no name", service->name, index,
			      record->counter);
	*member = (struct lb_member){
		.used = true,
		.id = record->counter,
		.state = record->flags & LB_BACKEND_DEAD ? LB_STATE_DOWN : LB_STATE_ACTIVE,
		.left_s = lb_engine_clock(engine),
	};
	r = lb_ids_take(&engine->backend_ids, record->counter);
	if (r == 0)
		return 0;
	/* Two records with one id: a backend that returned, and its ghost, which is dead. */
	for (__u32 i = 0; i < index; i++) {
		struct lb_member *other = &service->members[i];

		if (!other->used || other->ghost || other->id != member->id)
			continue;
		if (other->state != LB_STATE_DOWN && member->state != LB_STATE_DOWN)
			break;
		(other->state == LB_STATE_DOWN ? other : member)->ghost = true;
		service->n_leaving++;
		return 0;
	}
	return REFUSE(error, "service %s, backend index %u: id %u is in use twice", service->name, index,
		      record->counter);
}

static int check_ring(const struct lb_engine *engine, const struct lb_service *service,
		      struct lb_error *error)
{
	const __u32 *ring = lb_engine_ring(engine, lb_vip_ring_line(&service->vip));

	for (__u32 s = 0; s < lb_service_slots(service); s++) {
		__u32 halves[2] = { lb_slot_cur(ring[s]), lb_slot_base(ring[s]) };

		if (lb_slot_settled(ring[s]) && ring[s] != lb_slot_make(halves[0], halves[0], 0))
			return REFUSE(error, "service %s, slot %u is not settled, but says so", service->name,
				      s);
		for (int i = 0; i < 2; i++) {
			if (halves[i] != LB_INDEX_NONE &&
			    (halves[i] >= service->vip.backend_count || !service->members[halves[i]].used))
				return REFUSE(
					error,
					"service %s, slot %u names backend index %u, which is not there",
					service->name, s, halves[i]);
		}
	}
	return 0;
}

/* The one that has the ring of an entry already; NULL: none. */
static struct lb_service *leader_of(const struct adoption *adoption, const struct lb_vip *vip)
{
	return adoption->by_line[lb_vip_ring_line(vip)];
}

/* A further service of a ring. */
static int adopt_sharer(struct lb_engine *engine, struct lb_service *service, struct lb_service *leader,
			struct lb_error *error)
{
	const struct lb_vip *mine = &service->vip, *theirs = &leader->vip;

	service->leader = leader;
	lb_engine_link(engine, service);
	engine->order[engine->n_order++] = service;
	if (mine->ring_mask != theirs->ring_mask || mine->backend_first != theirs->backend_first ||
	    mine->backend_count != theirs->backend_count || service->key.protocol != leader->key.protocol)
		return REFUSE(error, "services %s and %s have one ring, but not the same one", service->name,
			      leader->name);
	return lb_ids_take(&engine->service_ids, mine->service);
}

static int adopt_service(struct adoption *adoption, const struct lb_vip *vip, struct lb_error *error)
{
	struct lb_engine *engine = adoption->engine;
	const struct lb_service_meta *meta = &engine->tables->service_meta[vip->service];
	__u32 count = vip->backend_count ? vip->backend_count : 1;
	struct lb_service *service, *leader;
	int r;

	if (strnlen(meta->name, sizeof(meta->name)) == sizeof(meta->name) ||
	    lb_engine_find(engine, meta->name))
		return REFUSE(error, "service id %u: its name is cut or there twice", vip->service);
	leader = leader_of(adoption, vip);
	service = lb_service_new(meta->name, leader ? 0 : vip->backend_count);
	if (!service)
		return out_of_memory(error);
	service->vip = *vip;
	memset(service->vip.key, 0, sizeof(service->vip.key));
	decode_key(vip, &service->key);
	if (leader)
		return adopt_sharer(engine, service, leader, error);
	adoption->by_line[lb_vip_ring_line(vip)] = service;
	lb_engine_link(engine, service);
	engine->order[engine->n_order++] = service;
	r = lb_ids_take(&engine->service_ids, vip->service);
	if (r == 0)
		r = lb_arena_take(&engine->rings, lb_vip_ring_line(vip),
				  lb_service_slots(service) / LB_SLOTS_PER_LINE);
	if (r == 0)
		r = lb_arena_take(&engine->records, vip->backend_first, count);
	if (r == -ENOMEM)
		return out_of_memory(error);
	if (r < 0)
		return REFUSE(error, "service %s: its ring or its backends overlap another's", service->name);
	for (__u32 i = 0; i < vip->backend_count; i++) {
		r = adopt_member(engine, service, i, error);
		if (r < 0)
			return r;
	}
	return check_ring(engine, service, error);
}

/* A further entry of a service that has several: the range grows. */
static int adopt_further(struct lb_service *service, const struct lb_vip *vip, struct lb_error *error)
{
	struct lb_service_key key;

	decode_key(vip, &key);
	if (!same_entry(vip, &service->vip) || key.protocol != service->key.protocol ||
	    key.vip.length != service->key.vip.length ||
	    !lb_address_equal(&key.vip.address, &service->key.vip.address))
		return REFUSE(error, "service %s: its VIP entries contradict each other", service->name);
	if (key.port_first < service->key.port_first)
		service->key.port_first = key.port_first;
	if (key.port_last > service->key.port_last)
		service->key.port_last = key.port_last;
	return 0;
}

/* Every key of every service must be found, and no other entry be there. */
static int check_keys(const struct lb_engine *engine, __u32 entries, struct lb_error *error)
{
	const struct lb_vip *bank = &engine->tables->vips[(size_t)engine->bank * LB_VIP_BUCKETS];
	__u64 keys[LB_VIP_KEYS_MAX][3];
	size_t expected = 0;

	for (size_t i = 0; i < engine->n_order; i++) {
		const struct lb_service *service = engine->order[i];
		size_t n = lb_vip_expand(&service->key, keys);

		expected += n;
		for (size_t k = 0; k < n; k++) {
			__u32 bucket = lb_vip_lookup(engine->tables->control->hash_seed, bank, engine->log2,
						     keys[k]);

			if (bucket == LB_VIP_NOWHERE || bank[bucket].service != service->vip.service)
				return REFUSE(error, "service %s: packets would not find it in the VIP table",
					      service->name);
		}
	}
	if (expected != entries)
		return REFUSE(error, "the VIP table has %u entries, but its services have %zu keys", entries,
			      expected);
	return 0;
}

/* Leaving backends have their QUIC server ids nowhere else. */
static int adopt_server_id(struct lb_engine *engine, const struct lb_vip *vip)
{
	struct lb_vip_tail tail;
	struct lb_service *service;
	struct lb_server_id *server_id;

	memcpy(&tail, &vip->key[2], sizeof(tail));
	if (!(vip->flags & LB_VIP_USED) || tail.address_bits != LB_VIP_BITS_QUIC)
		return 0;
	service = vip->service < engine->tables->sizes.services ? engine->by_id[vip->service] : NULL;
	if (!service || service->leader || vip->backend_count >= service->vip.backend_count)
		return 0;
	if (!service->server_ids)
		service->server_ids = calloc(service->vip.backend_count, sizeof(*service->server_ids));
	if (!service->server_ids)
		return -ENOMEM;
	server_id = &service->server_ids[vip->backend_count];
	memcpy(server_id->id, &vip->key[1], sizeof(server_id->id));
	server_id->bytes = LB_QUIC_BYTES(service->vip.quic[0]);
	return 0;
}

/* Backends are of the service that their names say, or of one that has the same ring. */
static int check_owners(const struct lb_engine *engine, struct lb_error *error)
{
	for (size_t i = 0; i < engine->n_order; i++) {
		const struct lb_service *service = engine->order[i];

		for (__u32 k = 0; !service->leader && k < service->vip.backend_count; k++) {
			const struct lb_member *member = &service->members[k];
			__u32 owner = engine->tables->backend_meta[member->id].service;
			const struct lb_service *named =
				owner < engine->tables->sizes.services ? engine->by_id[owner] : NULL;

			if (member->used && (!named || lb_service_lead_of(named) != service))
				return REFUSE(error,
					      "service %s, backend index %u: id %u is another service's",
					      service->name, k, member->id);
		}
	}
	return 0;
}

static int adopt_bank(struct adoption *adoption, struct lb_error *error)
{
	struct lb_engine *engine = adoption->engine;
	const struct lb_vip *bank = &engine->tables->vips[(size_t)engine->bank * LB_VIP_BUCKETS];
	__u32 entries = 0;
	int r;

	for (__u32 bucket = 0; bucket < 1u << engine->log2; bucket++) {
		const struct lb_vip *vip = &bank[bucket];

		/* Which addresses they were of is not known. */
		if (vip->flags & LB_VIP_HELD)
			engine->held_digest = 0;
		if (!(vip->flags & LB_VIP_USED) || !lb_vip_is_service(vip))
			continue;
		entries++;
		r = check_entry(engine, vip, bucket, error);
		if (r < 0)
			return r;
		if (engine->by_id[vip->service])
			r = adopt_further(engine->by_id[vip->service], vip, error);
		else
			r = adopt_service(adoption, vip, error);
		if (r < 0)
			return r;
	}
	for (__u32 bucket = 0; bucket < 1u << engine->log2; bucket++) {
		if (adopt_server_id(engine, &bank[bucket]) < 0)
			return out_of_memory(error);
	}
	r = check_owners(engine, error);
	return r < 0 ? r : check_keys(engine, entries, error);
}

static int adopt_services(struct lb_engine *engine, struct lb_error *error)
{
	struct adoption adoption = { .engine = engine };
	int r;

	adoption.by_line = calloc(engine->tables->sizes.ring_lines, sizeof(struct lb_service *));
	if (!adoption.by_line)
		return out_of_memory(error);
	r = adopt_bank(&adoption, error);
	free(adoption.by_line);
	return r;
}

/* --- what the active bank does not name ---------------------------------------------------------- */

static struct lb_gone *gone_of(struct lb_engine *engine, __u32 service, size_t n_ids)
{
	struct lb_gone *gone;
	__u32 *ids;

	if (lb_engine_reserve(engine, 1) < 0)
		return NULL;
	ids = calloc(n_ids + 1, sizeof(*ids));
	if (!ids)
		return NULL;
	gone = &engine->gone[engine->n_gone++];
	*gone = (struct lb_gone){ .service = service, .ids = ids };
	return gone;
}

/* Takes the ids that are named but not in use; they wait until no flow entry can name them. */
static int quarantine(struct lb_engine *engine, struct lb_error *error)
{
	const struct lb_tables *tables = engine->tables;
	struct lb_gone *strays;
	size_t n = 0;

	for (__u32 id = 0; id < tables->sizes.services; id++) {
		const struct lb_service_meta *meta = &tables->service_meta[id];

		if (!meta->used || engine->by_id[id] || meta->created_generation > engine->generation)
			continue;
		if (!gone_of(engine, id, 0) || lb_ids_take(&engine->service_ids, id) < 0)
			return out_of_memory(error);
	}
	for (__u32 id = 0; id < tables->sizes.counters; id++)
		n += tables->backend_meta[id].used && !lb_ids_taken(&engine->backend_ids, id);
	if (!n)
		return 0;
	strays = gone_of(engine, LB_NO_SERVICE, n);
	if (!strays)
		return out_of_memory(error);
	for (__u32 id = 0; id < tables->sizes.counters; id++) {
		const struct lb_backend_meta *meta = &tables->backend_meta[id];

		if (!meta->used || lb_ids_taken(&engine->backend_ids, id) ||
		    meta->created_generation > engine->generation)
			continue;
		(void)lb_ids_take(&engine->backend_ids, id);
		strays->ids[strays->n_ids++] = id;
	}
	return 0;
}

/* From here on the tables are ours, and are written. */
static void clear_unfinished(struct lb_engine *engine)
{
	const struct lb_tables *tables = engine->tables;

	for (__u32 id = 0; id < tables->sizes.services; id++) {
		if (tables->service_meta[id].used && !lb_ids_taken(&engine->service_ids, id))
			tables->service_meta[id].used = 0;
	}
	for (__u32 id = 0; id < tables->sizes.counters; id++) {
		if (tables->backend_meta[id].used && !lb_ids_taken(&engine->backend_ids, id))
			tables->backend_meta[id].used = 0;
	}
}

/* Arrays for what is unsettled; times start again. */
static int prepare_service(struct lb_engine *engine, struct lb_service *service)
{
	__u32 slots = lb_service_slots(service), now = lb_engine_clock(engine);

	if (service->leader)
		return 0;
	lb_service_count_slots(engine, service);
	if (!service->unsettled)
		return 0;
	service->unsettled_since_s = now;
	service->ready = lb_ready_new(slots);
	if (!service->ready)
		return -ENOMEM;
	service->moved_s = calloc(slots, sizeof(*service->moved_s));
	if (!service->moved_s)
		return -ENOMEM;
	for (__u32 s = 0; s < slots; s++)
		service->moved_s[s] = now;
	return 0;
}

static void restart_stamps(struct lb_engine *engine, const struct lb_service *service)
{
	const __u32 *ring = lb_engine_ring(engine, lb_vip_ring_line(&service->vip));
	__u32 *stamps = lb_engine_stamps(engine, lb_vip_ring_line(&service->vip));
	__u32 now = lb_engine_clock(engine);

	for (__u32 s = 0; service->unsettled && s < lb_service_slots(service); s++) {
		if (!lb_slot_settled(ring[s]))
			__atomic_store_n(&stamps[s], now, __ATOMIC_RELAXED);
	}
}

int lb_engine_adopt(struct lb_engine *engine, struct lb_error *error)
{
	__u64 active = engine->tables->control->active;
	int r = 0;

	engine->order = calloc(engine->tables->sizes.services + 1, sizeof(*engine->order));
	if (!engine->order)
		return out_of_memory(error);
	if (active) {
		engine->generation = LB_ACTIVE_GENERATION(active);
		engine->bank = LB_ACTIVE_BANK(active);
		engine->log2 = LB_ACTIVE_LOG2(active);
		engine->shapes = active & LB_ACTIVE_SHAPES;
		if (engine->bank >= LB_BANKS || LB_ACTIVE_MASK(active) & (LB_ACTIVE_MASK(active) + 1))
			return REFUSE(error, "control.active names bank %u with %u buckets", engine->bank,
				      LB_ACTIVE_MASK(active) + 1);
		r = adopt_services(engine, error);
	}
	if (r == 0)
		r = quarantine(engine, error);
	for (size_t i = 0; r == 0 && i < engine->n_order; i++) {
		if (prepare_service(engine, engine->order[i]) < 0)
			r = out_of_memory(error);
	}
	if (r < 0)
		return r;
	clear_unfinished(engine);
	for (size_t i = 0; i < engine->n_order; i++)
		restart_stamps(engine, engine->order[i]);
	/* Packets may still be reading what the last agent gave up a moment ago. */
	if (active) {
		lb_arena_unsettle(&engine->rings);
		lb_arena_unsettle(&engine->records);
		memset(engine->bank_fresh, true, sizeof(engine->bank_fresh));
		engine->dirty = true;
		engine->sweep.moved = true;
	}
	return 0;
}
