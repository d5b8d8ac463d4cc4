// SPDX-License-Identifier: GPL-2.0-only
/*
 * Members by name and type.
 */
#include "kube/reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void lb_kube_wrong(struct lb_kube_reader *reader, const char *key, const char *what)
{
	if (!reader->failed)
		reader->failed = lb_error_at(reader->error, EINVAL, key, NULL, "%s must be %s", key, what);
}

static void no_memory(struct lb_kube_reader *reader)
{
	if (!reader->failed)
		reader->failed = lb_error_set(reader->error, ENOMEM, "out of memory");
}

static const cJSON *member(struct lb_kube_reader *reader, const cJSON *parent, const char *key,
			   cJSON_bool (*is)(const cJSON *item), const char *what)
{
	const cJSON *item = parent ? cJSON_GetObjectItemCaseSensitive(parent, key) : NULL;

	if (!item || cJSON_IsNull(item))
		return NULL;
	if (is(item))
		return item;
	lb_kube_wrong(reader, key, what);
	return NULL;
}

const cJSON *lb_kube_object(struct lb_kube_reader *reader, const cJSON *parent, const char *key)
{
	return member(reader, parent, key, cJSON_IsObject, "an object");
}

const cJSON *lb_kube_array(struct lb_kube_reader *reader, const cJSON *parent, const char *key)
{
	return member(reader, parent, key, cJSON_IsArray, "a list");
}

const char *lb_kube_text(struct lb_kube_reader *reader, const cJSON *parent, const char *key)
{
	const cJSON *item = member(reader, parent, key, cJSON_IsString, "a string");

	return item ? item->valuestring : NULL;
}

__s64 lb_kube_number(struct lb_kube_reader *reader, const cJSON *parent, const char *key, __s64 otherwise)
{
	const cJSON *item = member(reader, parent, key, cJSON_IsNumber, "a whole number");
	double value = item ? item->valuedouble : 0;

	if (!item)
		return otherwise;
	if (value >= -9007199254740992.0 && value <= 9007199254740992.0 && value == (double)(__s64)value)
		return (__s64)value;
	lb_kube_wrong(reader, key, "a whole number");
	return otherwise;
}

bool lb_kube_bool(struct lb_kube_reader *reader, const cJSON *parent, const char *key, bool otherwise)
{
	const cJSON *item = member(reader, parent, key, cJSON_IsBool, "true or false");

	return item ? cJSON_IsTrue(item) : otherwise;
}

const cJSON *lb_kube_element(struct lb_kube_reader *reader, const cJSON *element)
{
	if (cJSON_IsObject(element))
		return element;
	lb_kube_wrong(reader, "an element", "an object");
	return NULL;
}

const char *lb_kube_element_text(struct lb_kube_reader *reader, const cJSON *element)
{
	if (cJSON_IsString(element))
		return element->valuestring;
	lb_kube_wrong(reader, "an element", "a string");
	return NULL;
}

char *lb_kube_copy(struct lb_kube_reader *reader, const char *text)
{
	char *copy = text ? strdup(text) : NULL;

	if (text && !copy)
		no_memory(reader);
	return copy;
}

void *lb_kube_room(struct lb_kube_reader *reader, int n, size_t size)
{
	void *room = n > 0 ? calloc((size_t)n, size) : NULL;

	if (n > 0 && !room)
		no_memory(reader);
	return room;
}
