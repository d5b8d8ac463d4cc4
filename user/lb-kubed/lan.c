// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who answers for VIPs on a flat LAN, by a Lease: for all of them together, so that at rest the API's writes
 * do not grow with addresses. What follows is said to lb-neighbor in a directory that both have; it says
 * there how fit this member is (lb-neighbor(8)).
 *
 * A member that holds the Lease and cannot renew it goes on answering: until it reads another holder, or the
 * packet path hears another one announce. Nor does it stop when we do: the next one of us on this node has
 * the same name, and goes on. It gives the Lease back when it leaves its fleet, or can serve nothing.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "lb-kubed/kubed.h"

#define LOOK_MS 200 /* at how fit we are */
#define LEAVING (-100)
#define UNSAID  INT_MIN /* of how fit we are */

/* Shorter than where addresses wait: here traffic does. */
static const struct lb_kube_lease_times times = { .duration_s = 5, .hold_ms = 4000, .try_ms = 1000 };

struct lan {
	struct election election;
	char directory[PATH_MAX - 64];
	unsigned int group;
	int fitness;
	__u64 look_ms;
	__u64 said_ms; /* the renewal that was told of */
	bool leads;    /* that was said last */
	bool said;     /* anything */
	bool bad;      /* it could not be said */
};

static int read_fitness(const struct lan *lan)
{
	_cleanup_(fclosep) FILE *file = NULL;
	char path[PATH_MAX];
	int fitness;

	snprintf(path, sizeof(path), "%s/group-%u", lan->directory, lan->group);
	file = fopen(path, "re");
	return file && fscanf(file, "%d", &fitness) == 1 ? fitness : UNSAID;
}

/* In one step: nobody reads half of it. */
static int write_word(const struct lan *lan, const char *word)
{
	char path[PATH_MAX], next[PATH_MAX];
	FILE *file;

	snprintf(path, sizeof(path), "%s/lead-%u", lan->directory, lan->group);
	snprintf(next, sizeof(next), "%s/.lead-%u", lan->directory, lan->group);
	file = fopen(next, "we");
	if (!file)
		return -errno;
	fputs(word, file);
	if (fclose(file) != 0 || rename(next, path) < 0)
		return -errno;
	return 0;
}

static void tell_neighbor(struct lan *lan, bool leads, __u64 renewed_ms)
{
	char word[64];
	int r;

	if (lan->said && leads == lan->leads && (!leads || renewed_ms == lan->said_ms))
		return;
	if (leads)
		snprintf(word, sizeof(word), "lead %llu\n", renewed_ms * 1000000ull);
	else
		snprintf(word, sizeof(word), "follow\n");
	r = write_word(lan, word);
	if (r < 0 && !lan->bad)
		say("Failed to tell lb-neighbor directory=%s why=\"%s\"", lan->directory, strerror(-r));
	lan->bad = r < 0;
	if (r < 0)
		return;
	if (!lan->said || lan->leads != leads)
		say("%s event=lan group=%u leads=%s",
		    leads ? "this member answers on the LAN" : "another member answers on the LAN, or none",
		    lan->group, leads ? "yes" : "no");
	lan->said = true;
	lan->leads = leads;
	lan->said_ms = renewed_ms;
}

static void on_answered(struct election *election, __u64 now)
{
	struct lan *lan = election->kubed->lan;
	const struct lb_kube_lease *lease = &election->lease;

	/* Not read, or lost: what was said goes on. What was asked for before we left is given back. */
	if (lease->held && lan->fitness > LEAVING)
		tell_neighbor(lan, true, lease->renewed_ms);
	else if (lease->fresh && lease->seen.holder[0] && strcmp(lease->seen.holder, lease->me) != 0)
		tell_neighbor(lan, false, 0);
}

/* Also where it was an earlier one of us that led: its word is there still. */
static void leave(struct lan *lan)
{
	bool held = lan->election.lease.held;

	if (held || lan->fitness != UNSAID)
		tell_neighbor(lan, false, 0);
	if (!held)
		return;
	election_leave(&lan->election);
	lan->election.lease.held = false;
}

__u64 lan_turn(struct kubed *kubed, __u64 now)
{
	struct lan *lan = kubed->lan;
	__u64 due;

	if (!lan)
		return ~0ull;
	if (now >= lan->look_ms) {
		lan->fitness = read_fitness(lan);
		lan->look_ms = now + LOOK_MS;
	}
	if (lan->fitness > LEAVING) {
		due = election_turn(&lan->election, now);
		return due < lan->look_ms ? due : lan->look_ms;
	}
	leave(lan);
	return lan->look_ms;
}

bool lan_leads(const struct kubed *kubed)
{
	return kubed->lan && kubed->lan->leads;
}

int lan_start(struct kubed *kubed)
{
	struct lan *lan;

	if (!kubed->options.lan[0])
		return 0;
	lan = calloc(1, sizeof(*lan));
	if (!lan)
		return -ENOMEM;
	snprintf(lan->directory, sizeof(lan->directory), "%s", kubed->options.lan);
	lan->group = kubed->options.lan_group;
	lan->fitness = UNSAID;
	election_init(&lan->election, kubed, kubed->options.lan_lease);
	lan->election.lease.times = times;
	lan->election.answered = on_answered;
	kubed->lan = lan;
	return 0;
}

void lan_stop(struct kubed *kubed)
{
	if (!kubed->lan)
		return;
	http_abandon(kubed->lan->election.request);
	free(kubed->lan);
	kubed->lan = NULL;
}
