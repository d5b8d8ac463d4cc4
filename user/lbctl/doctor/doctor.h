/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * lbctl doctor: what may be wrong with a balancer's host, found without its agent where that is possible. A
 * check looks at one thing and reports what it found, why that matters, and the command that mends it. Checks
 * read the host through the functions here, so that what this machine lacks can be judged from recorded files
 * (LBCTL_DOCTOR_ROOT: a folder with proc/ and sys/ of another host).
 */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "config/config.h"
#include "lbctl/lbctl.h"

struct nl_sock;

struct finding {
	const char *check;        /* static: name of the check that found it */
	char *found, *why, *mend; /* owned */
};

struct doctor {
	struct lbctl *c;
	const char *config_file;
	const char *root;          /* before /proc and /sys; "" for this host */
	struct lb_config *config;  /* owned; NULL: it cannot be used */
	cJSON *status;             /* owned; NULL: the agent does not answer */
	struct nl_sock *netlink;   /* NULL: not to be had */
	const struct check *check; /* that runs */
	struct finding *findings;  /* owned */
	size_t n_findings;
	size_t n_skipped;
};

struct check {
	const char *name;
	const char *looks_at; /* for people */
	void (*run)(struct doctor *doctor);
	bool needs_config;
	bool needs_root;
};
/* Each ends with a NULL name. */
extern const struct check doctor_host_checks[], doctor_nic_checks[], doctor_network_checks[],
	doctor_agent_checks[];

/* Something is wrong. The three texts are sentences; mend is a command where there is one. */
void doctor_found(struct doctor *doctor, const char *why, const char *mend, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* The first line of a file of /proc or /sys, without its newline; false: it is not there. The path begins
 * with
 * "/proc" or "/sys". */
bool doctor_read(const struct doctor *doctor, char *ret_text, size_t size, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* The same file, to be read line by line; owned by the caller; NULL: it is not there. */
FILE *doctor_open(const struct doctor *doctor, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The last part of where a symbolic link leads to; false: there is none. */
bool doctor_link(const struct doctor *doctor, char *ret_name, size_t size, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Calls visit with the name of each entry of a folder that begins with prefix; how many there are. */
size_t doctor_list(const struct doctor *doctor, const char *prefix,
		   void (*visit)(void *context, const char *name), void *context, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
