// SPDX-License-Identifier: GPL-2.0-only
/*
 * A table of names with counts of their users.
 */
#include "kube/names.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM               1
#define HASH_FUNCTION(key, bytes, hash) ((hash) = (unsigned int)XXH3_64bits(key, bytes))
#define uthash_nonfatal_oom(element)    ((element)->users = 0)
#include <uthash.h>
#include <xxhash.h>

#include "lb/types.h"

struct lb_kube_name {
	UT_hash_handle hh;
	size_t users;
	char text[];
};

struct lb_kube_names {
	struct lb_kube_name *all;
};

struct lb_kube_names *lb_kube_names_new(void)
{
	return calloc(1, sizeof(struct lb_kube_names));
}

void lb_kube_names_free(struct lb_kube_names *names)
{
	free(names);
}

struct lb_kube_name *lb_kube_name_use(struct lb_kube_names *names, const char *text)
{
	size_t length = strlen(text);
	struct lb_kube_name *name;

	HASH_FIND(hh, names->all, text, length, name);
	if (name) {
		name->users++;
		return name;
	}
	name = calloc(1, sizeof(*name) + length + 1);
	if (!name)
		return NULL;
	memcpy(name->text, text, length);
	name->users = 1;
	HASH_ADD_KEYPTR(hh, names->all, name->text, length, name);
	if (name->users == 1)
		return name;
	free(name);
	return NULL;
}

void lb_kube_name_drop(struct lb_kube_names *names, struct lb_kube_name *name)
{
	if (!name || --name->users)
		return;
	HASH_DELETE(hh, names->all, name);
	free(name);
}

const char *lb_kube_name_text(const struct lb_kube_name *name)
{
	return name->text;
}

size_t lb_kube_names_count(const struct lb_kube_names *names)
{
	return HASH_COUNT(names->all);
}

_Static_assert(sizeof(struct lb_kube_short) == LB_NAME_MAX, "a short name is a name of the schema");
#define DIGEST_DIGITS 16

void lb_kube_shorten(const char *name, struct lb_kube_short *ret_short)
{
	size_t length = strlen(name);
	unsigned long long digest = XXH3_64bits(name, length);
	const int room = LB_NAME_MAX - 1 - DIGEST_DIGITS - 1;

	if (length < LB_NAME_MAX)
		memcpy(ret_short->text, name, length + 1);
	else
		snprintf(ret_short->text, sizeof(ret_short->text), "%.*s-%016llx", room, name, digest);
}
