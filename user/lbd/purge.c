// SPDX-License-Identifier: GPL-2.0-only
/*
 * In the order in which nobody is sent to where nothing answers: routes, packet path, files.
 */
#define _XOPEN_SOURCE 700 /* nftw() */
#include "lbd/purge.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "config/config.h"
#include "lbd/announce/routes.h"
#include "lbd/kernel/maps.h"
#include "lbd/life.h"
#include "lbd/log.h"

#define DEPTH 8

struct withdrawal {
	struct routes routes;
	int r; /* of the first that could not be withdrawn */
	struct lb_prefix vip;
};

static void withdraw(void *context, const struct lb_prefix *vip, enum lb_announce_state state, bool partial)
{
	struct withdrawal *withdrawal = context;
	int r = routes_set(&withdrawal->routes, vip, LB_ANNOUNCE_WITHDRAWN);

	if (r < 0 && withdrawal->r == 0) {
		withdrawal->r = r;
		withdrawal->vip = *vip;
	}
}

static int withdraw_all(struct withdrawal *withdrawal, struct lb_error *error)
{
	char vip[LB_PREFIX_TEXT_MAX];
	int r = routes_list(&withdrawal->routes, withdraw, withdrawal);

	if (r < 0)
		return lb_error_set(error, -r, "Failed to withdraw announced routes: %s", strerror(-r));
	if (withdrawal->r == 0)
		return 0;
	return lb_error_set(
		error, -withdrawal->r,
		"Failed to withdraw the route by which %s is announced: %s; the packet path stays, "
		"or what comes would find nobody",
		lb_prefix_text(&withdrawal->vip, vip), strerror(-withdrawal->r));
}

/* From the tables that the configuration names; or, where it is gone, from those by default. */
static int purge_routes(const char *config_file, struct lb_error *error)
{
	static const char any[] =
		"{\"version\":1,\"hash_seed\":\"none\",\"interfaces\":[{\"name\":\"lo\"}],\"services\":[]}";
	_cleanup_(lb_config_freep) struct lb_config *config = NULL;
	_cleanup_(sd_event_unrefp) sd_event *event = NULL;
	struct withdrawal withdrawal = {};
	struct routes *routes = &withdrawal.routes;
	int r = sd_event_new(&event);

	if (r == 0 && lb_config_load(config_file, &config, NULL) < 0)
		r = lb_config_parse(any, strlen(any), &config, NULL);
	if (r < 0)
		return lb_error_set(error, -r, "Failed to look for announced routes: %s", strerror(-r));
	routes->table = config->announce.table;
	routes->draining_table = config->announce.draining_table;
	r = routes_open(routes, event, NULL, NULL, error);
	if (r < 0)
		return r;
	r = withdraw_all(&withdrawal, error);
	routes_close(routes);
	return r;
}

/* The directory itself may be where something is mounted: it stays where it cannot go. */
static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *at)
{
	if (remove(path) < 0 && at->level > 0)
		return -errno;
	return 0;
}

static int purge_state(const char *directory, struct lb_error *error)
{
	int r = nftw(directory, remove_one, DEPTH, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);

	if (r == -1 && errno == ENOENT)
		return 0;
	if (r == -1)
		r = -errno;
	return r < 0 ? lb_error_at(error, -r, "state-dir", directory, "Failed to remove what is in %s: %s",
				   directory, strerror(-r))
		     : 0;
}

int lbd_purge(const struct lbd_options *options, struct lb_error *error)
{
	struct maps maps;
	int r = maps_lock(&maps, options->bpffs, error);

	if (r < 0)
		return r;
	/* Only to be refused while an agent runs, before anything is gone. */
	maps_close(&maps);
	r = purge_routes(options->config_file, error);
	if (r == 0)
		r = lbd_detach(options, error);
	if (r == 0)
		r = purge_state(options->state_directory, error);
	if (r == 0)
		log_info("event=purge state_dir=%s", options->state_directory);
	return r;
}
