// SPDX-License-Identifier: GPL-2.0-only
/*
 * What lbd has made lies where others can reach it: links, pins, the API's socket. That it is still there is
 * a fact to be checked, not an assumption.
 */
#include "lbd/verify.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lbd/api/api.h"
#include "lbd/api/http.h"
#include "lbd/clock.h"
#include "lbd/kernel/attach.h"
#include "lbd/kernel/interfaces.h"
#include "lbd/kernel/redirect.h"
#include "lbd/lbd.h"
#include "lbd/state/drift.h"
#include "lbd/stats/cores.h"

#define VERIFY_MS  1000u
#define PINS_EVERY 2u /* turns */

int verify_socket_open(struct lbd *lbd, const char *path, struct lb_error *error)
{
	struct http_handler handler;
	struct stat st;
	int fd = http_listen_unix(path, 0660, lbd->options.socket_group, error), r;

	if (fd < 0)
		return fd;
	if (lstat(path, &st) == 0) {
		lbd->socket_device = st.st_dev;
		lbd->socket_inode = st.st_ino;
	}
	if (path != lbd->socket_path)
		snprintf(lbd->socket_path, sizeof(lbd->socket_path), "%s", path);
	/* Who is connected stays so. */
	if (lbd->api) {
		r = http_listen_on(lbd->api, fd);
		return r < 0 ? lb_error_set(error, -r, "Failed to watch %s: %s", path, strerror(-r)) : 0;
	}
	api_handler(lbd, &handler);
	return http_new(lbd->event, fd, &handler, &lbd->api, error);
}

/* 0: it is there and ours; -ENOENT: it is gone; -EEXIST: something else is there. */
static int check_socket(const struct lbd *lbd)
{
	struct stat st;

	if (lstat(lbd->socket_path, &st) < 0)
		return -ENOENT;
	return st.st_dev == lbd->socket_device && st.st_ino == lbd->socket_inode ? 0 : -EEXIST;
}

void verify_socket_remove(struct lbd *lbd)
{
	if (lbd->socket_path[0] && check_socket(lbd) == 0)
		unlink(lbd->socket_path);
}

/* What took its place may be another server's, which keeps it. */
static void verify_socket(struct lbd *lbd)
{
	struct lb_error error = {};
	int r = lbd->socket_path[0] ? check_socket(lbd) : 0;

	if (r == 0) {
		lbd->socket_lost = false;
		return;
	}
	r = verify_socket_open(lbd, lbd->socket_path, &error);
	if (r == 0) {
		lbd->repairs.sockets++;
		events_add(&lbd->events, LOG_LEVEL_WARNING, "api", "socket=%s gone=yes action=\"made anew\"",
			   lbd->socket_path);
	} else if (!lbd->socket_lost) {
		events_told(&lbd->events, LOG_LEVEL_ERROR, "api", "error", error.text);
	}
	lbd->socket_lost = r < 0;
}

static void verify_pins(struct lbd *lbd)
{
	struct lb_error error = {};
	int maps = maps_verify(&lbd->maps, &error), counters = maps < 0 ? 0 : redirect_verify(lbd), links = 0;

	for (size_t i = 0; i < lbd->n_attachments && maps >= 0; i++) {
		int r = attachment_verify_pin(&lbd->attachments[i], &lbd->maps);

		if (r > 0)
			links++;
		else if (r < 0)
			lb_error_set(&error, -r, "Failed to pin the link to %s in %s: %s",
				     lbd->attachments[i].wanted.name, lbd->maps.directory, strerror(-r));
	}
	if (maps > 0 || counters > 0 || links > 0) {
		lbd->repairs.pins += (maps > 0 ? maps : 0) + (counters > 0 ? counters : 0) + links;
		events_add(&lbd->events, LOG_LEVEL_WARNING, "pin",
			   "directory=%s gone=\"%d of maps, %d of links, %d of counters\" action=\"pinned "
			   "again\"",
			   lbd->maps.directory, maps > 0 ? maps : 0, links, counters > 0 ? counters : 0);
	}
	if (error.text[0] && strcmp(error.text, lbd->pins_error) != 0)
		events_told(&lbd->events, LOG_LEVEL_ERROR, "pin", "error", error.text);
	snprintf(lbd->pins_error, sizeof(lbd->pins_error), "%s", error.text);
}

static void verify(void *context)
{
	struct lbd *lbd = context;

	interfaces_verify(lbd);
	drift_look(lbd);
	cores_look(lbd);
	log_tell_suppressed();
	if (lbd->verified++ % PINS_EVERY == 0) {
		verify_pins(lbd);
		verify_socket(lbd);
	}
}

static int on_verify(sd_event_source *source, uint64_t usec, void *context)
{
	struct lbd *lbd = context;

	task_call(lbd->tasks, &lbd->task.verify, verify, lbd);
	sd_event_source_set_time(source, (now_ms() + VERIFY_MS) * 1000);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int verify_start(struct lbd *lbd)
{
	return sd_event_add_time(lbd->event, &lbd->verify, CLOCK_MONOTONIC, (now_ms() + VERIFY_MS) * 1000,
				 1000, on_verify, lbd);
}

void verify_stop(struct lbd *lbd)
{
	lbd->verify = sd_event_source_disable_unref(lbd->verify);
}
