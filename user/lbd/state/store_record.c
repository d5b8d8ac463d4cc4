// SPDX-License-Identifier: GPL-2.0-only
/*
 * Records of generations. Read strictly: a record that is not exactly what we write is not ours to guess at.
 */
#include "lbd/state/store_record.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "lbd/api/json.h"
#include "lbd/state/words_json.h"

void record_done(struct record *record)
{
	lb_words_done(&record->words);
	memset(record, 0, sizeof(*record));
}

void records_free(struct record *records, size_t n)
{
	for (size_t i = 0; i < n; i++)
		record_done(&records[i]);
	free(records);
}

static const char *const kinds[RECORD_KINDS] = {
	[RECORD_CONFIG] = "config",
	[RECORD_OPERATOR] = "operator",
};

const char *record_kind_name(enum record_kind kind)
{
	return kinds[kind];
}

/* A record's last member is the digest of all that stands before it. */
#define CHECK_BEFORE ",\"check\":\""
#define CHECK_AFTER  "\"}"
#define CHECK_BYTES  (sizeof(CHECK_BEFORE) - 1 + STORE_DIGEST - 1 + sizeof(CHECK_AFTER) - 1)

static void add_check(struct json *json)
{
	char digest[STORE_DIGEST], check[CHECK_BYTES + 1];

	if (json->failed)
		return;
	json->length--; /* the closing bracket */
	store_digest(json->text, json->length, digest);
	snprintf(check, sizeof(check), CHECK_BEFORE "%s" CHECK_AFTER, digest);
	json->comma = false;
	json_raw(json, NULL, check, strlen(check));
}

/* Records of lbd 0.3 and before have no check, and their last member is a list. */
static bool check_fits(const char *text, size_t length)
{
	char digest[STORE_DIGEST];
	const char *check;

	if (length >= 2 && memcmp(text + length - 2, "]}", 2) == 0)
		return true;
	if (length < CHECK_BYTES)
		return false;
	check = text + length - CHECK_BYTES;
	store_digest(text, length - CHECK_BYTES, digest);
	return memcmp(check, CHECK_BEFORE, strlen(CHECK_BEFORE)) == 0 &&
	       memcmp(check + strlen(CHECK_BEFORE), digest, strlen(digest)) == 0 &&
	       memcmp(text + length - strlen(CHECK_AFTER), CHECK_AFTER, strlen(CHECK_AFTER)) == 0;
}

char *record_print(const struct record *record)
{
	struct json json = {};

	json_object(&json, NULL);
	json_string(&json, "history", record->history);
	json_u64(&json, "stamp_ms", record->stamp_ms);
	json_u64(&json, "generation", record->generation);
	json_s64(&json, "time", record->time_s);
	json_string(&json, "kind", kinds[record->kind]);
	json_string(&json, "cause", record->cause);
	if (record->rollback_to)
		json_u64(&json, "rollback_to", record->rollback_to);
	json_string(&json, "config", record->config);
	json_string(&json, "file_digest", record->file_digest);
	json_u64(&json, "services", record->services);
	words_write(&record->words, "overrides", false, &json);
	json_object_end(&json);
	add_check(&json);
	if (json.failed) {
		json_done(&json);
		return NULL;
	}
	return json.text;
}

void record_name(__u64 generation, char ret_name[32])
{
	snprintf(ret_name, 32, "%020llu.json", generation);
}

bool record_named(const char *name)
{
	return strspn(name, "0123456789") == 20 && strcmp(name + 20, ".json") == 0;
}

/* Numbers here stay far below 2^53: exact in a double. */
static int get_number(const cJSON *object, const char *key, double *ret_value)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

	if (!cJSON_IsNumber(item) || item->valuedouble < 0 || item->valuedouble > 9007199254740991.0 ||
	    item->valuedouble != (double)(__u64)item->valuedouble)
		return -EINVAL;
	*ret_value = item->valuedouble;
	return 0;
}

static int get_string(const cJSON *object, const char *key, char *ret_value, size_t size)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));

	if (!text || strlen(text) >= size)
		return -EINVAL;
	memset(ret_value, 0, size);
	memcpy(ret_value, text, strlen(text));
	return 0;
}

/* Records of lbd 0.3 have no kind: their cause tells. */
static int parse_kind(const cJSON *tree, const char *cause, enum record_kind *ret_kind)
{
	char kind[16];

	if (!cJSON_HasObjectItem(tree, "kind")) {
		*ret_kind = strncmp(cause, "backend set ", 12) == 0 ? RECORD_OPERATOR : RECORD_CONFIG;
		return 0;
	}
	if (get_string(tree, "kind", kind, sizeof(kind)) < 0)
		return -EINVAL;
	for (size_t i = 0; i < RECORD_KINDS; i++) {
		if (strcmp(kinds[i], kind) == 0) {
			*ret_kind = (enum record_kind)i;
			return 0;
		}
	}
	return -EINVAL;
}

int record_parse(const char *text, size_t length, struct record *ret_record, struct lb_error *error)
{
	_cleanup_(cjson_freep) cJSON *tree = cJSON_ParseWithLength(text, length);
	struct record record = {};
	double generation, time_s, services, stamp_ms = 0, rollback_to = 0;
	int r;

	if (!cJSON_IsObject(tree))
		return lb_error_set(error, EINVAL, "it is not a JSON object");
	if (!check_fits(text, length))
		return lb_error_set(error, EINVAL, "its check says that it is damaged");
	/* Both are later than the first records. */
	if ((cJSON_HasObjectItem(tree, "stamp_ms") && get_number(tree, "stamp_ms", &stamp_ms) < 0) ||
	    (cJSON_HasObjectItem(tree, "history") &&
	     get_string(tree, "history", record.history, sizeof(record.history)) < 0))
		return lb_error_set(error, EINVAL, "\"stamp_ms\" or \"history\" is not what it should be");
	if (get_number(tree, "generation", &generation) < 0 || get_number(tree, "time", &time_s) < 0 ||
	    get_number(tree, "services", &services) < 0 ||
	    get_string(tree, "cause", record.cause, sizeof(record.cause)) < 0 ||
	    get_string(tree, "config", record.config, sizeof(record.config)) < 0 ||
	    get_string(tree, "file_digest", record.file_digest, sizeof(record.file_digest)) < 0)
		return lb_error_set(error, EINVAL, "a member is missing or not what it should be");
	if (strlen(record.config) != STORE_DIGEST - 1 ||
	    strspn(record.config, "0123456789abcdef") != STORE_DIGEST - 1)
		return lb_error_set(error, EINVAL, "\"config\" is not a digest");
	record.stamp_ms = stamp_ms;
	if (parse_kind(tree, record.cause, &record.kind) < 0)
		return lb_error_set(error, EINVAL, "\"kind\" is not one that this version knows");
	if (cJSON_HasObjectItem(tree, "rollback_to") && get_number(tree, "rollback_to", &rollback_to) < 0)
		return lb_error_set(error, EINVAL, "\"rollback_to\" is not a generation");
	record.rollback_to = rollback_to;
	record.generation = generation;
	record.time_s = time_s;
	record.services = services;
	r = words_read(cJSON_GetObjectItemCaseSensitive(tree, "overrides"), &record.words);
	if (r < 0) {
		return lb_error_set(error, -r, "\"overrides\" is not what it should be");
	}
	*ret_record = record;
	return 0;
}
