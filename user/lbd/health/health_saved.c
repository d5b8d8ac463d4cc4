// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is known of backends, kept over a restart of the agent: a line for each whose breaker is not closed,
 * or that clients' handshakes have taken out, in the state directory. A line belongs to an address and a
 * check, and is of no use for others.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "lbd/health/health_internal.h"

#define FILE_NAME "health"
#define FORMAT    "2"
#define BEFORE    "1" /* without what clients' handshakes say */
#define BYTES_MAX (64u << 20)

static void path_of(const struct health *health, const char *suffix, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/" FILE_NAME "%s", health->lbd->options.state_directory, suffix);
}

/* --- writing ---------------------------------------------------------------------------------------------
 */

static void write_member(FILE *out, const struct health_member *member)
{
	const struct lb_circuit *circuit = &member->circuit;
	bool ejected = member->passive.state == LB_PASSIVE_EJECTED;
	char address[LB_ADDRESS_TEXT_MAX];

	if (!member->target || (circuit->state == LB_CIRCUIT_CLOSED && !ejected))
		return;
	fprintf(out, FORMAT " %s/%s %s %016" PRIx64 " %u %u %u %u %u %lld %u\n", member->service->name,
		member->name, lb_address_text(&member->host->address, address),
		(uint64_t)member->target->digest, circuit->state, circuit->cause, circuit->dead,
		circuit->level, circuit->share, member->said_s, ejected);
}

struct writing {
	char path[PATH_MAX], aside[PATH_MAX];
	char *text; /* owned */
	size_t length;
};

static void write_beside(void *context)
{
	const struct writing *writing = context;
	_cleanup_(fclosep) FILE *out = NULL;

	unlink(writing->aside);
	out = fopen(writing->aside, "wxe");
	if (!out)
		return; /* a restart will not know, and find out */
	if (fwrite(writing->text, 1, writing->length, out) != writing->length || fflush(out) != 0 ||
	    rename(writing->aside, writing->path) < 0)
		unlink(writing->aside);
}

/* What is known now, as text. 0 or -ENOMEM. */
static int print(const struct health *health, struct writing *writing)
{
	FILE *out = open_memstream(&writing->text, &writing->length);

	if (!out)
		return -ENOMEM;
	for (struct health_service *service = health->services; service; service = service->hh.next) {
		for (size_t i = 0; i < service->n_members; i++)
			write_member(out, &service->members[i]);
		task_pause();
	}
	return fclose(out) == 0 ? 0 : -ENOMEM;
}

void saved_write(struct health *health)
{
	struct writing writing = {};

	path_of(health, "", writing.path);
	path_of(health, ".new", writing.aside);
	health->unsaved = false;
	health->saved_ns = lb_now_ns();
	if (print(health, &writing) == 0)
		task_beside(write_beside, &writing);
	free(writing.text);
}

/* --- reading ---------------------------------------------------------------------------------------------
 */

#define KEYS " %127s %63s %" SCNx64 " %u %u %u %u %u %lld"

static bool read_line(const char *line, struct health_saved *saved)
{
	char address[LB_ADDRESS_TEXT_MAX];
	unsigned int state, cause, dead, ejected = 0;
	uint64_t digest;
	int end = 0, more = 0;
	bool before = strncmp(line, BEFORE " ", strlen(BEFORE " ")) == 0;

	if (sscanf(line, before ? BEFORE KEYS "%n" : FORMAT KEYS "%n", saved->key, address, &digest, &state,
		   &cause, &dead, &saved->level, &saved->share, &saved->since_s, &end) != 9)
		return false;
	if (!before && (sscanf(line + end, " %u%n", &ejected, &more) != 1 || ejected > 1))
		return false;
	if (line[end + more] != '\n')
		return false;
	if (lb_address_parse(address, &saved->address) < 0 || cause >= LB_OUTCOME_COUNT || dead > 1 ||
	    saved->level > LB_CIRCUIT_LEVEL_MAX || saved->share > LB_SHARE_FULL ||
	    (state != LB_CIRCUIT_OPEN && state != LB_CIRCUIT_HALF_OPEN &&
	     !(state == LB_CIRCUIT_CLOSED && ejected)))
		return false;
	saved->ejected = ejected;
	saved->digest = digest;
	saved->state = (enum lb_circuit_state)state;
	saved->cause = (enum lb_outcome)cause;
	saved->dead = dead;
	return true;
}

/* Says it of the backend that the line is about; NULL: takes it back. */
static void say(struct health *health, const struct health_saved *saved, enum lb_origin origin,
		const struct lb_verdict *verdict)
{
	char service[sizeof(saved->key)], *backend;

	memcpy(service, saved->key, sizeof(service));
	backend = strchr(service, '/');
	*backend++ = '\0';
	health->judge(health->lbd, origin, service, backend, verdict);
}

/* The verdict before it is known who is configured: what does not fit says nothing (intent.h). */
static void say_verdict(struct health *health, const struct health_saved *saved)
{
	bool open = saved->state == LB_CIRCUIT_OPEN;
	struct lb_verdict verdict = { .state = open && saved->dead ? LB_STATE_DOWN
					       : open              ? LB_STATE_DRAIN
								   : LB_STATE_ACTIVE,
				      .share = open ? 0 : saved->share,
				      .stale = true,
				      .address = saved->address,
				      .since_s = saved->since_s };

	snprintf(verdict.reason, sizeof(verdict.reason), "as it was when the agent stopped: %s",
		 lb_outcome_name(saved->cause));
	if (saved->state != LB_CIRCUIT_CLOSED)
		say(health, saved, LB_ORIGIN_BREAKER, &verdict);
	if (!saved->ejected)
		return;
	verdict.state = LB_STATE_DRAIN;
	verdict.share = 0;
	snprintf(verdict.reason, sizeof(verdict.reason), "as it was when the agent stopped: %s",
		 lb_pool_reason_text(LB_POOL_PASSIVE));
	say(health, saved, LB_ORIGIN_HEALTH, &verdict);
}

void saved_read(struct health *health)
{
	char path[PATH_MAX], line[512];
	_cleanup_(fclosep) FILE *file = NULL;
	size_t bytes = 0;

	path_of(health, "", path);
	file = fopen(path, "re");
	while (file && bytes < BYTES_MAX && fgets(line, sizeof(line), file)) {
		struct health_saved *saved = calloc(1, sizeof(*saved));

		bytes += strlen(line);
		if (!saved || !read_line(line, saved) || !strchr(saved->key, '/')) {
			free(saved); /* damaged: found out anew */
			continue;
		}
		HASH_ADD(hh, health->saved, key, strlen(saved->key), saved);
		if (saved->hh.tbl)
			say_verdict(health, saved);
		else
			free(saved);
	}
}

bool saved_restore(struct health *health, struct health_member *member, __u64 now_ns)
{
	struct lb_circuit *circuit = &member->circuit;
	struct health_saved *saved;
	char key[sizeof(saved->key)];

	snprintf(key, sizeof(key), "%s/%s", member->service->name, member->name);
	HASH_FIND(hh, health->saved, key, strlen(key), saved);
	if (!saved || !member->target || saved->digest != member->target->digest ||
	    !lb_address_equal(&saved->address, &member->host->address))
		return false;
	circuit->state = saved->state;
	circuit->cause = saved->cause;
	circuit->dead = saved->state == LB_CIRCUIT_OPEN && saved->dead;
	circuit->level = saved->level;
	circuit->share = saved->share;
	circuit->retry_ns = now_ns;
	circuit->window_ns = now_ns;
	lb_history_restart(&circuit->history, now_ns);
	/* For as long as from the beginning: for how much of that it was out, nobody knows any more. */
	if (saved->ejected && member->service->passive_wanted && member->service->passive.eject) {
		member->passive.state = member->passive_told = LB_PASSIVE_EJECTED;
		member->passive.since_ns = member->passive.evidence_ns = now_ns;
	}
	member->said_s = saved->since_s;
	saved->taken = true;
	return true;
}

void saved_take_back(struct health *health)
{
	for (struct health_saved *saved = health->saved; saved; saved = saved->hh.next) {
		if (saved->taken)
			continue;
		say(health, saved, LB_ORIGIN_BREAKER, NULL);
		say(health, saved, LB_ORIGIN_HEALTH, NULL);
	}
}

void saved_forget(struct health *health)
{
	char path[PATH_MAX];

	path_of(health, "", path);
	unlink(path);
	health->unsaved = false;
}

void saved_free(struct health *health)
{
	struct health_saved *saved, *next;

	HASH_ITER (hh, health->saved, saved, next) {
		HASH_DEL(health->saved, saved);
		free(saved);
	}
}
