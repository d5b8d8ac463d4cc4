// SPDX-License-Identifier: GPL-2.0-only
/*
 * Election. Source of the idea: the leader election of client-go, which also believes no clock but its own.
 */
#include "kube/lease.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "kube/reader.h"

void lb_kube_lease_init(struct lb_kube_lease *lease, const char *me)
{
	memset(lease, 0, sizeof(*lease));
	snprintf(lease->me, sizeof(lease->me), "%s", me);
	lease->times = (struct lb_kube_lease_times){ .duration_s = LB_KUBE_LEASE_S,
						     .hold_ms = LB_KUBE_LEASE_HOLD_MS,
						     .try_ms = LB_KUBE_LEASE_TRY_MS };
}

__u64 lb_kube_lease_until_ms(const struct lb_kube_lease *lease)
{
	return lease->held ? lease->renewed_ms + lease->times.hold_ms : 0;
}

bool lb_kube_lease_leads(const struct lb_kube_lease *lease, __u64 now_ms)
{
	return lease->held && now_ms < lb_kube_lease_until_ms(lease);
}

static bool is_ours(const struct lb_kube_lease *lease)
{
	return lease->seen.exists && strcmp(lease->seen.holder, lease->me) == 0;
}

/* Nobody's, or it has not changed for as long as its holder said. */
static bool is_free(const struct lb_kube_lease *lease, __u64 now_ms)
{
	__u64 duration_ms = 1000ull * (lease->seen.duration_s ? lease->seen.duration_s : LB_KUBE_LEASE_S);

	return !lease->seen.exists || !lease->seen.holder[0] || now_ms - lease->changed_ms >= duration_ms;
}

enum lb_kube_lease_turn lb_kube_lease_turn(struct lb_kube_lease *lease, __u64 now_ms)
{
	enum lb_kube_lease_turn turn = LB_KUBE_LEASE_READ;

	if (lease->busy || now_ms < lease->due_ms)
		return LB_KUBE_LEASE_NOTHING;
	lease->due_ms = now_ms + lease->times.try_ms;
	lease->busy = true;
	/* What may be written is what was read a moment ago; while we lead, what we have written. */
	if (lease->fresh && (lb_kube_lease_leads(lease, now_ms) || is_free(lease, now_ms)))
		turn = lease->seen.exists ? LB_KUBE_LEASE_WRITE : LB_KUBE_LEASE_CREATE;
	lease->sent_ms = now_ms;
	return turn;
}

/* --- objects ---------------------------------------------------------------------------------------------
 */

static void micro_time(__u64 wall_us, char text[40])
{
	time_t seconds = (time_t)(wall_us / 1000000);
	struct tm tm;
	char day[24];

	gmtime_r(&seconds, &tm);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, 40, "%s.%06lluZ", day, wall_us % 1000000);
}

static cJSON *make_object(const struct lb_kube_lease *lease, const char *namespace, const char *name,
			  const char *holder, __u64 wall_us)
{
	cJSON *object = cJSON_CreateObject(), *meta, *spec;
	char now[40];

	micro_time(wall_us, now);
	cJSON_AddStringToObject(object, "apiVersion", "coordination.k8s.io/v1");
	cJSON_AddStringToObject(object, "kind", "Lease");
	meta = cJSON_AddObjectToObject(object, "metadata");
	cJSON_AddStringToObject(meta, "namespace", namespace);
	cJSON_AddStringToObject(meta, "name", name);
	if (lease->seen.exists)
		cJSON_AddStringToObject(meta, "resourceVersion", lease->seen.version);
	spec = cJSON_AddObjectToObject(object, "spec");
	cJSON_AddStringToObject(spec, "holderIdentity", holder);
	cJSON_AddNumberToObject(spec, "leaseDurationSeconds", holder[0] ? lease->times.duration_s : 1);
	cJSON_AddStringToObject(spec, "renewTime", now);
	if (!is_ours(lease))
		cJSON_AddStringToObject(spec, "acquireTime", now);
	if (cJSON_AddNumberToObject(spec, "leaseTransitions",
				    lease->seen.transitions + (lease->seen.exists && !is_ours(lease))))
		return object;
	cJSON_Delete(object);
	return NULL;
}

cJSON *lb_kube_lease_object(const struct lb_kube_lease *lease, const char *namespace, const char *name,
			    __u64 wall_us)
{
	return make_object(lease, namespace, name, lease->me, wall_us);
}

cJSON *lb_kube_lease_released(const struct lb_kube_lease *lease, const char *namespace, const char *name,
			      __u64 wall_us)
{
	return lease->held && is_ours(lease) ? make_object(lease, namespace, name, "", wall_us) : NULL;
}

static void copy(struct lb_kube_reader *reader, const char *key, char *to, size_t size, const char *text)
{
	if (text && strlen(text) >= size)
		lb_kube_wrong(reader, key, "shorter");
	snprintf(to, size, "%s", text ? text : "");
}

static int parse(const cJSON *object, struct lb_kube_lease_seen *ret_seen, struct lb_error *error)
{
	struct lb_kube_reader reader = { .error = error };
	const cJSON *meta = lb_kube_object(&reader, object, "metadata");
	const cJSON *spec = lb_kube_object(&reader, object, "spec");
	struct lb_kube_lease_seen seen = { .exists = true };
	__s64 duration = lb_kube_number(&reader, spec, "leaseDurationSeconds", LB_KUBE_LEASE_S);
	__s64 transitions = lb_kube_number(&reader, spec, "leaseTransitions", 0);

	copy(&reader, "holderIdentity", seen.holder, sizeof(seen.holder),
	     lb_kube_text(&reader, spec, "holderIdentity"));
	copy(&reader, "renewTime", seen.renewed, sizeof(seen.renewed),
	     lb_kube_text(&reader, spec, "renewTime"));
	copy(&reader, "resourceVersion", seen.version, sizeof(seen.version),
	     lb_kube_text(&reader, meta, "resourceVersion"));
	if (duration < 1 || duration > 3600)
		duration = LB_KUBE_LEASE_S;
	seen.duration_s = (__u32)duration;
	seen.transitions = transitions > 0 && transitions < 0x7fffffff ? (__u32)transitions : 0;
	if (!reader.failed)
		*ret_seen = seen;
	return reader.failed;
}

/* --- answers ---------------------------------------------------------------------------------------------
 */

static void see(struct lb_kube_lease *lease, const struct lb_kube_lease_seen *seen, __u64 now_ms)
{
	bool changed = !lease->known || lease->seen.exists != seen->exists ||
		       strcmp(lease->seen.holder, seen->holder) != 0 ||
		       strcmp(lease->seen.renewed, seen->renewed) != 0 ||
		       strcmp(lease->seen.version, seen->version) != 0;

	lease->seen = *seen;
	lease->known = lease->fresh = true;
	if (changed)
		lease->changed_ms = now_ms;
	if (!is_ours(lease))
		lease->held = false;
}

int lb_kube_lease_read(struct lb_kube_lease *lease, const cJSON *object, __u64 now_ms, struct lb_error *error)
{
	struct lb_kube_lease_seen seen = {};
	int r = object ? parse(object, &seen, error) : 0;

	lease->busy = false;
	if (r < 0)
		return r;
	see(lease, &seen, now_ms);
	/* One that is free is taken at once: it has just been read. One of our own from before a restart is
	 * free to us. */
	if (is_free(lease, now_ms) || is_ours(lease)) {
		lease->due_ms = now_ms;
		if (is_ours(lease) && !lb_kube_lease_leads(lease, now_ms))
			lease->changed_ms = now_ms - 1000ull * lease->seen.duration_s;
	}
	return 0;
}

int lb_kube_lease_written(struct lb_kube_lease *lease, const cJSON *object, __u64 now_ms,
			  struct lb_error *error)
{
	struct lb_kube_lease_seen seen = {};
	int r = parse(object, &seen, error);

	lease->busy = false;
	if (r < 0)
		return r;
	see(lease, &seen, now_ms);
	if (is_ours(lease)) {
		lease->held = true;
		lease->renewed_ms = lease->sent_ms;
	}
	return 0;
}

void lb_kube_lease_failed(struct lb_kube_lease *lease, __u64 now_ms)
{
	lease->busy = lease->fresh = false;
	lease->due_ms = now_ms + lease->times.try_ms / 4;
}
