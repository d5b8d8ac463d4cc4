// SPDX-License-Identifier: GPL-2.0-only
/*
 * lb-kubed: the loop.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "lb-kubed/options.h"

#define IDLE_MS 1000

static __u64 clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (__u64)now.tv_sec * 1000000000ull + (__u64)now.tv_nsec;
}

__u64 now_ms(void)
{
	return clock_ns(CLOCK_MONOTONIC) / 1000000;
}

__u64 wall_us(void)
{
	return clock_ns(CLOCK_REALTIME) / 1000;
}

void say(const char *format, ...)
{
	char text[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	fprintf(stderr, "lb-kubed: %s\n", text);
}

/* --- the loop ----------------------------------------------------------------------------------------------
 */

static __u64 sooner(__u64 a, __u64 b)
{
	return a < b ? a : b;
}

/* Nothing is left that the fleet gave, or is being written. */
static bool has_given_back(struct kubed *kubed)
{
	if (!kubed->leads || !resources_can_lead(kubed) || kubed->n_writes || lead_count_given(kubed) > 0)
		return false;
	say("nothing is left at Services event=given-back writes=%llu", kubed->counts.writes);
	return true;
}

/* Everything that is due. Returns when something is due again. */
static __u64 turn(struct kubed *kubed)
{
	__u64 now = now_ms();
	__u64 due = sooner(resources_turn(kubed, now), leader_turn(kubed, now));

	plan_look(kubed, now);
	due = sooner(due, lead_turn(kubed, now));
	if (kubed->options.give_back) {
		kubed->stop |= has_given_back(kubed);
		return due;
	}
	due = sooner(due, plan_turn(kubed, now));
	due = sooner(due, agent_turn(kubed, now));
	due = sooner(due, proof_turn(kubed, now));
	due = sooner(due, lan_turn(kubed, now));
	return sooner(due, probes_turn(kubed, now));
}

static void read_signal(struct kubed *kubed, int fd)
{
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) == sizeof(info))
		kubed->stop = true;
}

static void run(struct kubed *kubed, int signals)
{
	struct curl_waitfd fds[2] = { { .fd = signals, .events = CURL_WAIT_POLLIN },
				      { .fd = metrics_fd(kubed), .events = CURL_WAIT_POLLIN } };
	int running;

	while (!kubed->stop) {
		__u64 due = turn(kubed), now = now_ms();
		int wait_ms = due <= now ? 0 : due - now < IDLE_MS ? (int)(due - now) : IDLE_MS;

		/* What turns have begun is begun before anything is waited for. */
		curl_multi_perform(kubed->multi, &running);
		fds[0].revents = fds[1].revents = 0;
		curl_multi_poll(kubed->multi, fds, fds[1].fd < 0 ? 1 : 2, wait_ms, NULL);
		if (fds[0].revents)
			read_signal(kubed, signals);
		metrics_run(kubed);
		curl_multi_perform(kubed->multi, &running);
		http_collect(kubed);
	}
}

/* --- life --------------------------------------------------------------------------------------------------
 */

static void on_loss(void *context, const char *key)
{
	struct kubed *kubed = context;
	struct lb_kube_group *group = lb_kube_store_find(kubed->store, key);

	say("an older Service has its address service=%s", key);
	if (group)
		lb_kube_store_touch(kubed->store, group);
}

static int start(struct kubed *kubed)
{
	int r;

	if (getrandom(&kubed->random, sizeof(kubed->random), 0) != sizeof(kubed->random) || !kubed->random)
		kubed->random = wall_us();
	kubed->plans.last = &kubed->plans.first;
	kubed->writes.last = &kubed->writes.first;
	kubed->event_tokens = 50;
	kubed->event_ms = now_ms();
	kubed->store = lb_kube_store_new();
	kubed->ledger = lb_kube_ledger_new();
	if (!kubed->store || !kubed->ledger)
		return -ENOMEM;
	lb_kube_ledger_on_loss(kubed->ledger, on_loss, kubed);
	leader_init(kubed);
	resources_start(kubed);
	r = http_start(kubed);
	if (r == 0)
		r = agent_start(kubed);
	if (r == 0)
		r = probes_start(kubed);
	if (r == 0)
		r = proof_start(kubed);
	if (r == 0)
		r = lan_start(kubed);
	return r < 0 ? r : metrics_start(kubed);
}

static void finish(struct kubed *kubed)
{
	leader_leave(kubed);
	lan_stop(kubed);
	plan_stop(kubed);
	resources_stop(kubed);
	agent_stop(kubed);
	probes_stop(kubed);
	proof_stop(kubed);
	metrics_stop(kubed);
	http_stop(kubed);
	lb_kube_store_free(kubed->store);
	lb_kube_ledger_free(kubed->ledger);
	lb_kube_pools_done(&kubed->pools);
	free(kubed->options.api);
}

int main(int argc, char **argv)
{
	static struct kubed kubed;
	_cleanup_(closep) int signals = -1;
	int r = options_read(&kubed.options, argc, argv);
	sigset_t mask;

	if (r >= 0)
		return r;
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	signals = signalfd(-1, &mask, SFD_CLOEXEC);
	r = signals < 0 ? -errno : start(&kubed);
	if (r < 0) {
		say("Failed to start: %s", strerror(-r));
		return 1;
	}
	say("started event=ready api=%s node=%s source=%s socket=%s", kubed.options.api, kubed.options.node,
	    kubed.options.source, kubed.options.socket);
	run(&kubed, signals);
	finish(&kubed);
	return 0;
}
