// SPDX-License-Identifier: GPL-2.0-only
/*
 * Strict where cJSON and libmicrohttpd are lenient: both take the first of two equal names, and neither knows
 * which ones there are.
 */
#include "lbd/api/body.h"

#include <errno.h>
#include <microhttpd.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/nearest.h"
#include "config/config_json.h"

#define NAMES_MAX  16
#define NAMES_TEXT 256

/* "weight, state" */
static void list_names(const char *const *names, char ret_text[NAMES_TEXT])
{
	size_t used = 0;

	ret_text[0] = '\0';
	for (; *names && used < NAMES_TEXT; names++)
		used += snprintf(ret_text + used, NAMES_TEXT - used, "%s%s", used ? ", " : "", *names);
}

/* what: "key", "parameter". */
static int unknown(const char *what, const char *name, const char *const *names, struct lb_error *error)
{
	const char *nearest = lb_nearest(name, names);
	char list[NAMES_TEXT];

	if (nearest)
		return lb_error_at(error, EINVAL, name, NULL, "unknown %s \"%.100s\"; did you mean \"%s\"?",
				   what, name, nearest);
	list_names(names, list);
	if (!*list)
		return lb_error_at(error, EINVAL, name, NULL, "unknown %s \"%.100s\"; there is none here",
				   what, name);
	return lb_error_at(error, EINVAL, name, NULL, "unknown %s \"%.100s\"; known here: %s", what, name,
			   list);
}

static bool is_one_of(const char *name, const char *const *names)
{
	while (*names && strcmp(*names, name) != 0)
		names++;
	return *names;
}

static int check_syntax(const char *text, size_t length, struct lb_error *error)
{
	char problem[LB_JSON_PROBLEM_MAX];
	size_t offset, line, column;

	if (strspn(text, " \t\r\n") == length)
		return lb_error_set(error, EINVAL, "there is no body; expected a JSON object");
	if (lb_json_check(text, length, &offset, problem) == 0)
		return 0;
	lb_json_position(text, offset, &line, &column);
	return lb_error_set(error, EINVAL, "the body's line %zu, column %zu: %s", line, column, problem);
}

static int check_keys(const cJSON *body, const char *const *keys, struct lb_error *error)
{
	const cJSON *item, *before;

	if (!cJSON_IsObject(body)) {
		char list[NAMES_TEXT];

		list_names(keys, list);
		return lb_error_set(error, EINVAL, "the body must be a JSON object with some of: %s", list);
	}
	cJSON_ArrayForEach (item, body) {
		if (!is_one_of(item->string, keys))
			return unknown("key", item->string, keys, error);
		/* At most NAMES_MAX are before it, or one of those was given twice. */
		for (before = body->child; before != item; before = before->next)
			if (strcmp(before->string, item->string) == 0)
				return lb_error_at(error, EINVAL, item->string, NULL,
						   "\"%s\" is given twice; give it once", item->string);
	}
	return 0;
}

int body_read(const char *text, size_t length, const char *const *keys, cJSON **ret_body,
	      struct lb_error *error)
{
	_cleanup_(cjson_freep) cJSON *body = NULL;
	int r = check_syntax(text, length, error);

	if (r < 0)
		return r;
	body = cJSON_ParseWithLength(text, length);
	if (!body)
		return lb_error_set(error, ENOMEM, "out of memory");
	r = check_keys(body, keys, error);
	if (r < 0)
		return r;
	*ret_body = body;
	body = NULL;
	return 0;
}

/* --- queries ---------------------------------------------------------------------------------------------
 */

struct query {
	const char *names[NAMES_MAX + 1];
	bool flag[NAMES_MAX];
	bool seen[NAMES_MAX];
	struct lb_error *error;
	int result;
};

static bool is_flag(const char *value)
{
	static const char *const words[] = { "", "0", "1", "false", "true", NULL };

	return !value || is_one_of(value, words);
}

static enum MHD_Result on_parameter(void *context, enum MHD_ValueKind kind, const char *key, size_t key_size,
				    const char *value, size_t value_size)
{
	struct query *query = context;
	size_t i = 0;

	while (query->names[i] && strcmp(query->names[i], key) != 0)
		i++;
	if (!query->names[i] || strlen(key) != key_size)
		query->result = unknown("parameter", key, query->names, query->error);
	else if (query->seen[i])
		query->result = lb_error_at(query->error, EINVAL, key, value,
					    "the parameter \"%s\" is given twice; give it once", key);
	else if (value && strlen(value) != value_size)
		query->result = lb_error_at(query->error, EINVAL, key, value, "%s has a zero byte", key);
	else if (query->flag[i] && !is_flag(value))
		query->result = lb_error_at(query->error, EINVAL, key, value, "%s must be 1 or 0", key);
	else
		query->seen[i] = true;
	return query->result < 0 ? MHD_NO : MHD_YES;
}

int query_check(const struct http_request *request, const char *names, struct lb_error *error)
{
	struct query query = { .error = error };
	char copy[NAMES_TEXT], *at = copy, *name;
	size_t n = 0;

	snprintf(copy, sizeof(copy), "%s", names);
	while (n < NAMES_MAX && (name = strsep(&at, " ")))
		if (*name) {
			query.flag[n] = name[strlen(name) - 1] == '?';
			name[strcspn(name, "?")] = '\0';
			query.names[n++] = name;
		}
	MHD_get_connection_values_n(request->connection, MHD_GET_ARGUMENT_KIND, on_parameter, &query);
	return query.result;
}
