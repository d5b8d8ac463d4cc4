// SPDX-License-Identifier: GPL-2.0-only
/*
 * In the order in which nobody is sent to where nothing answers: routes, packet path, files.
 */
#include "lbd/purge.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "config/config.h"
#include "lbd/announce/routes.h"
#include "lbd/kernel/maps.h"
#include "lbd/life.h"
#include "lbd/log.h"
#include "lbd/state/store.h"

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

static int remove_all(int at, unsigned int depth);

static int remove_one(int at, const char *name, unsigned int depth)
{
	_cleanup_(closep) int fd = -1;
	struct stat here, there;
	int r = 0;

	if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR)
		return -errno;
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &there) < 0 || fstat(at, &here) < 0)
		return -errno;
	if (here.st_dev != there.st_dev)
		return -EXDEV;
	if (depth < DEPTH)
		r = remove_all(fd, depth + 1);
	if (r == 0 && unlinkat(at, name, AT_REMOVEDIR) < 0)
		r = -errno;
	return r;
}

/* Whatever is in a directory of ours, but nothing behind a link, nor another file system: the first error. */
static int remove_all(int at, unsigned int depth)
{
	_cleanup_(closedirp) DIR *directory = NULL;
	int fd = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	struct dirent *entry;

	directory = fd < 0 ? NULL : fdopendir(fd);
	if (!directory) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		return r;
	}
	while ((entry = readdir(directory))) {
		int one;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		one = remove_one(fd, entry->d_name, depth);
		r = r ? r : one;
	}
	return r;
}

/* What a first start that was cut has left, by name: what else there may be stays. */
static void remove_beginnings(int at)
{
	(void)unlinkat(at, "lock", 0);
	(void)unlinkat(at, ".new", 0);
	(void)unlinkat(at, "configs", AT_REMOVEDIR);
	(void)unlinkat(at, "generations", AT_REMOVEDIR);
}

/* The directory itself may be where something is mounted: it stays where it cannot go. */
static int purge_state(const struct store *store, bool marked, struct lb_error *error)
{
	int r = 0;

	if (store->fd < 0)
		return 0;
	if (marked)
		r = remove_all(store->fd, 0);
	else
		remove_beginnings(store->fd);
	if (r < 0)
		return lb_error_at(error, -r, "state-dir", store->directory,
				   "Failed to remove what is in %s: %s", store->directory, strerror(-r));
	(void)rmdir(store->directory);
	return 0;
}

static int purge(const struct lbd_options *options, struct store *store, bool marked, struct lb_error *error)
{
	struct maps maps;
	int r = maps_lock(&maps, options->bpffs, error);

	if (r < 0)
		return r;
	r = purge_routes(options->config_file, error);
	if (r < 0) {
		maps_close(&maps);
		return r;
	}
	r = lbd_detach_locked(&maps, options, error);
	return r < 0 ? r : purge_state(store, marked, error);
}

/* Both locks are held before anything is taken away, and until all is: no agent starts in between. */
int lbd_purge(const struct lbd_options *options, struct lb_error *error)
{
	struct store store = {};
	bool marked = false;
	int r = store_open_to_remove(&store, options->state_directory, &marked, error);

	if (r < 0 && r != -ENOENT)
		return r;
	r = purge(options, &store, marked, error);
	store_close(&store);
	if (r == 0)
		log_info("event=purge state_dir=%s", options->state_directory);
	return r;
}
