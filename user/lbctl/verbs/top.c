// SPDX-License-Identifier: GPL-2.0-only
/*
 * top: what goes on now, on one screen, until q. Rates of services, backends, cores and drop reasons, from
 * the same answers that stats and drops print.
 */
#include <signal.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "lbctl/agent.h"
#include "lbctl/top/model.h"
#include "lbctl/top/screen.h"

static volatile sig_atomic_t told_to_end;

static void on_signal(int number)
{
	told_to_end = number;
}

static unsigned long long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (unsigned long long)now.tv_sec * 1000 + (unsigned long long)now.tv_nsec / 1000000;
}

/* Asks once; what goes wrong is shown, and asked again: an agent that restarts comes back. */
static void ask(struct lbctl *c, struct top_model *model, struct top_screen *screen)
{
	static char problem[160];
	const struct request request = { .method = "GET", .path = top_model_path(model) };
	_cleanup_(reply_done) struct reply reply = { 0 };
	_cleanup_(cjson_freep) cJSON *error = NULL;

	screen->problem = NULL;
	if (agent_try(c, &request, &reply, &error) < 0) {
		snprintf(problem, sizeof(problem), "%s", json_text(error, "message"));
		screen->problem = problem;
		return;
	}
	top_model_take(model, reply.root);
	reply.root = NULL;
}

static void run(struct lbctl *c, double interval_s)
{
	struct top_screen screen = {};
	unsigned long long next_ms = 0, interval_ms = (unsigned long long)(interval_s * 1000);
	enum top_view asked = TOP_VIEWS;
	struct top_model model;

	top_model_init(&model);
	do {
		unsigned long long now = now_ms();

		if ((now >= next_ms && !screen.paused) || asked != model.view) {
			ask(c, &model, &screen);
			asked = model.view;
			next_ms = now_ms() + (model.seconds > 0 && model.n_rows ? interval_ms : 200);
		}
		top_screen_draw(&screen, &model);
		now = now_ms();
		if (!top_screen_key(&screen, &model, next_ms > now ? (int)(next_ms - now) : (int)interval_ms))
			break;
	} while (!told_to_end);
	top_model_done(&model);
}

int verb_top(struct lbctl *c)
{
	struct sigaction action = { .sa_handler = on_signal };
	double interval_s = 1;
	const char *why;

	if (!option_seconds(c, OPTION_INTERVAL, 0.2, &interval_s))
		return EXIT_WRONG_USAGE;
	if (c->json)
		return lbctl_usage(c, "top is for a terminal: stats -j --interval 1 --delta is for programs");
	if (!c->terminal)
		return lbctl_fail(c, "top needs a terminal: lbctl stats --interval 1 --delta does without");
	if (!top_screen_open(&why))
		return lbctl_fail(c, "%s", why);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	run(c, interval_s);
	top_screen_close();
	return EXIT_DONE;
}
