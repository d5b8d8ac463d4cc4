/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sources in the running agent: when they were heard, what they brought, and that it is planned for.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>

#include "config/config.h"

struct json;
struct lbd;

/* What was persisted, at a start. 0 or -ENOMEM. */
int sources_start(struct lbd *lbd);
void sources_done(struct lbd *lbd);

/* What sources want is another thing now: it is persisted and planned for soon. */
void sources_changed(struct lbd *lbd);

/* A source has spoken. revision 0: it only asked. whole: digest of all that it wants, or NULL: it sent less.
 */
void sources_heard(struct lbd *lbd, const char *name, __u64 revision, const char *whole);

/* Whether that is what it sent last, and nothing has come between. */
bool sources_is_last_whole(struct lbd *lbd, const char *name, const char *whole);

/* "sources": all of them, without their services. */
void sources_write(struct lbd *lbd, struct json *json);

/* Members of one source's object. */
void source_write(struct lbd *lbd, const struct lb_config_source *source, bool services, struct json *json);

/* Seconds of silence of a source. */
__u64 source_silent_s(struct lbd *lbd, const char *name);
