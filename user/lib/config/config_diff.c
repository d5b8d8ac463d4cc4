// SPDX-License-Identifier: GPL-2.0-only
/*
 * The walk over the schema table that finds what differs. Bytes are compared first, since nearly everything
 * is the same; text is only made of what is not.
 */
#include "config/config_diff.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "config/config_read.h"

/* A path of the deepest key, with names of full length. */
#define PATH_MAX_BYTES (2 * LB_NAME_MAX + 128)

struct walk {
	lb_difference_fn *each;
	void *context;
	char path[PATH_MAX_BYTES];
	size_t path_length;
	const struct lb_config_service *service;
	const struct lb_config_backend *backend;
	bool vouched; /* only keys that need somebody to vouch for them; also within what was added */
};

static int diff_object(struct walk *walk, const struct lb_schema_key *keys, const void *from, const void *to);

/* Appends to the path; returns what its length was. */
static size_t __attribute__((format(printf, 2, 3))) push(struct walk *walk, const char *format, ...)
{
	size_t before = walk->path_length, room = sizeof(walk->path) - before;
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = vsnprintf(walk->path + before, room, format, arguments);
	va_end(arguments);
	walk->path_length += n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
	return before;
}

static void pop(struct walk *walk, size_t length)
{
	walk->path_length = length;
	walk->path[length] = '\0';
}

static int say(struct walk *walk, const struct lb_schema_key *key, enum lb_difference_kind kind,
	       const void *base, const char *from, const char *to)
{
	const struct lb_difference difference = {
		.kind = kind,
		.path = walk->path,
		.key = key,
		.effect = key->effect,
		.base = base,
		.from = from,
		.to = to,
		.service = walk->service,
		.backend = walk->backend,
	};

	return walk->each(walk->context, &difference);
}

/* Whether somewhere below there is a key that needs somebody to vouch for it. */
static bool leads(const struct lb_schema_key *keys)
{
	for (const struct lb_schema_key *key = keys; key->name; key++) {
		if (key->vouched || (key->object && leads(key->object)))
			return true;
	}
	return false;
}

static bool matters(const struct walk *walk, const struct lb_schema_key *key)
{
	return !walk->vouched || key->vouched || (key->object && leads(key->object));
}

/* --- values ----------------------------------------------------------------------------------------------
 */

static bool same_value(const struct lb_schema_key *key, const void *from, const void *to)
{
	char a[LB_SCHEMA_TEXT_MAX] = "", b[LB_SCHEMA_TEXT_MAX] = "";

	if (key->size && memcmp(from, to, key->size) == 0)
		return true;
	if (key->type != LB_SCHEMA_STRING)
		return !key->size; /* a key without a field has one value */
	return key->format->print(from, a, sizeof(a)) == key->format->print(to, b, sizeof(b)) &&
	       strcmp(a, b) == 0;
}

/* from NULL: there it is not said. */
static int diff_value(struct walk *walk, const struct lb_schema_key *key, const void *from, const void *to)
{
	char before[LB_CONFIG_VALUE_MAX] = "null", after[LB_CONFIG_VALUE_MAX];
	size_t length;
	int r;

	if (from && same_value(key, (const char *)from + key->offset, (const char *)to + key->offset))
		return 0;
	length = push(walk, "%s%s", walk->path_length ? "." : "", key->name);
	if (from)
		lb_config_value(key, from, before);
	lb_config_value(key, to, after);
	r = say(walk, key, LB_DIFFERENCE_VALUE, to, before, after);
	pop(walk, length);
	return r;
}

/* --- lists -----------------------------------------------------------------------------------------------
 */

struct list {
	const struct lb_schema_key *key;
	const char *elements;
	size_t count;
	bool named;          /* the elements begin with a name */
	const char **sorted; /* elements by name; NULL: not yet needed */
};

/* base NULL: an empty one. */
static struct list list_of(const struct lb_schema_key *key, const void *base)
{
	const char *elements = base ? (const char *)base + key->offset : NULL;
	const struct lb_schema_key *first = &key->object[0];

	if (!base)
		return (struct list){ .key = key };
	return (struct list){
		.key = key,
		.elements = key->in_place ? elements : *(const char *const *)elements,
		.count = *(const size_t *)((const char *)base + key->count_offset),
		/* Then it lies at the beginning, see below. */
		.named = strcmp(first->name, "name") == 0 && first->offset == 0,
	};
}

_Static_assert(offsetof(struct lb_config_service, name) == 0 &&
		       offsetof(struct lb_config_backend, name) == 0 &&
		       offsetof(struct lb_config_interface, name) == 0,
	       "elements are found by the name that they begin with");

static const char *element(const struct list *list, size_t i)
{
	return list->elements + i * list->key->size;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int sort_names(struct list *list)
{
	list->sorted = calloc(list->count + 1, sizeof(*list->sorted));
	if (!list->sorted)
		return -ENOMEM;
	for (size_t i = 0; i < list->count; i++)
		list->sorted[i] = element(list, i);
	qsort(list->sorted, list->count, sizeof(*list->sorted), compare_names);
	return 0;
}

/* The element that stands for another list's i-th; NULL: there is none. */
static int find(struct list *list, const char *wanted, size_t i, const char **ret)
{
	const char **found;

	*ret = NULL;
	if (!list->named || (i < list->count && strcmp(element(list, i), wanted) == 0)) {
		*ret = i < list->count ? element(list, i) : NULL;
		return 0;
	}
	if (!list->sorted && sort_names(list) < 0)
		return -ENOMEM;
	found = bsearch(&wanted, list->sorted, list->count, sizeof(*list->sorted), compare_names);
	*ret = found ? *found : NULL;
	return 0;
}

/* The path leads to the i-th element from here on, and the walk knows where it is. */
static size_t enter(struct walk *walk, const struct list *list, size_t i)
{
	const char *at = element(list, i);
	size_t length = walk->path_length;

	if (list->named)
		push(walk, "[%s]", at);
	else
		push(walk, "[%zu]", i);
	if (list->key->size == sizeof(struct lb_config_service) && strcmp(list->key->name, "services") == 0)
		walk->service = (const struct lb_config_service *)(const void *)at;
	else if (strcmp(list->key->name, "backends") == 0)
		walk->backend = (const struct lb_config_backend *)(const void *)at;
	return length;
}

static void leave(struct walk *walk, const struct list *list, size_t length)
{
	pop(walk, length);
	if (strcmp(list->key->name, "services") == 0)
		walk->service = NULL;
	else if (strcmp(list->key->name, "backends") == 0)
		walk->backend = NULL;
}

/* What is in to: changed or added. */
static int diff_present(struct walk *walk, struct list *from, const struct list *to)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < to->count; i++) {
		const char *before;
		size_t length;

		r = find(from, element(to, i), i, &before);
		if (r < 0)
			return r;
		/* Nor is what they point to another one. */
		if (before && memcmp(before, element(to, i), to->key->size) == 0)
			continue;
		length = enter(walk, to, i);
		r = before || walk->vouched ? diff_object(walk, to->key->object, before, element(to, i))
					    : say(walk, to->key, LB_DIFFERENCE_ADDED, NULL, "", "");
		leave(walk, to, length);
	}
	return r;
}

static int diff_absent(struct walk *walk, const struct list *from, struct list *to)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < from->count; i++) {
		const char *after;
		size_t length;

		r = find(to, element(from, i), i, &after);
		if (r < 0 || after)
			continue;
		length = enter(walk, from, i);
		r = say(walk, from->key, LB_DIFFERENCE_REMOVED, NULL, "", "");
		leave(walk, from, length);
	}
	return r;
}

static int diff_list(struct walk *walk, const struct lb_schema_key *key, const void *from, const void *to)
{
	struct list before = list_of(key, from), after = list_of(key, to);
	size_t length = push(walk, "%s%s", walk->path_length ? "." : "", key->name);
	int r = diff_present(walk, &before, &after);

	if (r == 0 && !walk->vouched)
		r = diff_absent(walk, &before, &after);
	pop(walk, length);
	free(before.sorted);
	free(after.sorted);
	return r;
}

/* --- objects ---------------------------------------------------------------------------------------------
 */

/* What the key is in base; NULL: it is not there. */
static const void *member(const struct lb_schema_key *key, const void *base)
{
	const char *field = base ? (const char *)base + key->offset : NULL;

	return field && key->owned ? *(const void *const *)(const void *)field : field;
}

/* An object behind a pointer comes and goes as a whole. */
static int diff_member(struct walk *walk, const struct lb_schema_key *key, const void *from, const void *to)
{
	const void *before = member(key, from), *after = member(key, to);

	if (after && (before || walk->vouched))
		return diff_object(walk, key->object, before, after);
	if ((!before && !after) || walk->vouched)
		return 0;
	return say(walk, key, after ? LB_DIFFERENCE_ADDED : LB_DIFFERENCE_REMOVED, NULL, "", "");
}

static int diff_key(struct walk *walk, const struct lb_schema_key *key, const void *from, const void *to)
{
	size_t length;
	int r;

	switch (key->type) {
	case LB_SCHEMA_ARRAY:
		return diff_list(walk, key, from, to);
	case LB_SCHEMA_OBJECT:
		length = push(walk, "%s%s", walk->path_length ? "." : "", key->name);
		r = diff_member(walk, key, from, to);
		pop(walk, length);
		return r;
	default:
		return diff_value(walk, key, from, to);
	}
}

/* from NULL: it is not there. */
static int diff_object(struct walk *walk, const struct lb_schema_key *keys, const void *from, const void *to)
{
	int r = 0;

	for (const struct lb_schema_key *key = keys; r == 0 && key->name; key++)
		r = matters(walk, key) ? diff_key(walk, key, from, to) : 0;
	return r;
}

int lb_config_diff(const struct lb_config *from, const struct lb_config *to, lb_difference_fn *each,
		   void *context)
{
	struct walk walk = { .each = each, .context = context };

	return from == to ? 0 : diff_object(&walk, lb_schema, from, to);
}

static int differs(void *context, const struct lb_difference *difference)
{
	return 1;
}

static const struct lb_schema_key *key_of(const char *name)
{
	const struct lb_schema_key *key = lb_schema;

	while (key->name && strcmp(key->name, name) != 0)
		key++;
	return key;
}

bool lb_config_same_service(const struct lb_config_service *a, const struct lb_config_service *b)
{
	struct walk walk = { .each = differs };

	return a == b || memcmp(a, b, sizeof(*a)) == 0 ||
	       diff_object(&walk, key_of("services")->object, a, b) == 0;
}

int lb_config_diff_service(const struct lb_config_service *from, const struct lb_config_service *to,
			   lb_difference_fn *each, void *context)
{
	struct walk walk = { .each = each, .context = context };

	return diff_object(&walk, key_of("services")->object, from, to);
}

int lb_config_each_vouched(const struct lb_config *from, const struct lb_config *to, lb_difference_fn *each,
			   void *context)
{
	struct walk walk = { .each = each, .context = context, .vouched = true };

	return diff_object(&walk, lb_schema, from, to);
}

int lb_config_each_vouched_service(const struct lb_config_service *from, const struct lb_config_service *to,
				   lb_difference_fn *each, void *context)
{
	struct walk walk = { .each = each, .context = context, .vouched = true, .service = to };

	push(&walk, "services[%s]", to->name);
	return diff_object(&walk, key_of("services")->object, from, to);
}

bool lb_config_same_key(const struct lb_config *a, const struct lb_config *b, const char *name)
{
	struct walk walk = { .each = differs };
	const struct lb_schema_key *key = key_of(name);

	return a == b || (key->name && diff_key(&walk, key, a, b) == 0);
}

const char *lb_schema_effect_name(enum lb_schema_effect effect)
{
	static const char *const names[LB_EFFECT_COUNT] = {
		[LB_EFFECT_APPLY] = "apply", [LB_EFFECT_NEW] = "new",       [LB_EFFECT_SERVICE] = "service",
		[LB_EFFECT_START] = "start", [LB_EFFECT_TABLES] = "tables", [LB_EFFECT_MAPS] = "maps",
	};

	return names[effect];
}
