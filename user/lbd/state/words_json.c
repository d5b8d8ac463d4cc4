// SPDX-License-Identifier: GPL-2.0-only
/*
 * The operator's words as JSON.
 */
#include "lbd/state/words_json.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "lbd/api/json.h"
#include "lbd/events.h"

static void write_time(struct json *json, const char *key, __s64 time_s, bool iso)
{
	const struct timespec time = { .tv_sec = time_s };

	if (iso)
		json_time(json, key, &time);
	else
		json_s64(json, key, time_s);
}

static void write_word(const struct lb_word *word, bool iso, struct json *json)
{
	char text[LB_WORD_TEXT_MAX];

	json_object(json, NULL);
	json_string(json, "service", word->service);
	json_string(json, "backend", word->backend);
	if (word->key == LB_WORD_WEIGHT)
		json_u64(json, lb_word_key_name(word->key), word->value);
	else
		json_string(json, lb_word_key_name(word->key), lb_word_text(word, text));
	write_time(json, "since", word->since_s, iso);
	if (word->until_s)
		write_time(json, "until", word->until_s, iso);
	if (word->pid) {
		json_u64(json, "uid", word->uid);
		json_u64(json, "pid", word->pid);
	}
	if (word->reason[0])
		json_string(json, "reason", word->reason);
	json_object_end(json);
}

void words_write(const struct lb_words *words, const char *key, bool iso, struct json *json)
{
	json_array(json, key);
	for (size_t i = 0; i < words->n; i++)
		write_word(&words->all[i], iso, json);
	json_array_end(json);
}

/* A whole number of 0..maximum under a key; absent: *ret_value stays. 1: it is there. */
static int read_number(const cJSON *object, const char *key, double maximum, double *ret_value)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

	if (!item)
		return 0;
	if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble <= maximum) ||
	    item->valuedouble != (double)(__u64)item->valuedouble)
		return -EINVAL;
	*ret_value = item->valuedouble;
	return 1;
}

static int read_text(const cJSON *object, const char *key, bool required, char *ret_text, size_t size)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

	if (!item && !required)
		return 0;
	if (!cJSON_IsString(item) || strlen(item->valuestring) >= size)
		return -EINVAL;
	memcpy(ret_text, item->valuestring, strlen(item->valuestring) + 1);
	return 1;
}

static int add_state(const cJSON *item, struct lb_word *word, struct lb_words *words)
{
	enum lb_state state;
	char text[16] = "";
	int r = read_text(item, "state", false, text, sizeof(text));

	if (r <= 0)
		return r;
	if (lb_state_parse(text, &state) < 0)
		return -EINVAL;
	word->key = LB_WORD_STATE;
	word->value = state;
	return lb_words_set(words, word);
}

static int add_breaker(const cJSON *item, struct lb_word *word, struct lb_words *words)
{
	enum lb_breaker breaker;
	char text[16] = "";
	int r = read_text(item, "breaker", false, text, sizeof(text));

	if (r <= 0)
		return r;
	if (lb_breaker_parse(text, &breaker) < 0 || breaker == LB_BREAKER_AUTO)
		return -EINVAL;
	word->key = LB_WORD_BREAKER;
	word->value = breaker;
	return lb_words_set(words, word);
}

static int add_weight(const cJSON *item, struct lb_word *word, struct lb_words *words)
{
	double weight = 0;
	int r = read_number(item, "weight", 65535, &weight);

	if (r <= 0)
		return r;
	word->key = LB_WORD_WEIGHT;
	word->value = weight;
	return lb_words_set(words, word);
}

static int read_item(const cJSON *item, struct lb_words *words)
{
	const double time_max = 9007199254740991.0; /* exact in a double */
	double since = 0, until = 0, uid = 0, pid = 0;
	struct lb_word word = {};
	int r;

	if (read_text(item, "service", true, word.service, sizeof(word.service)) < 0 ||
	    read_text(item, "backend", true, word.backend, sizeof(word.backend)) < 0 ||
	    read_text(item, "reason", false, word.reason, sizeof(word.reason)) < 0 ||
	    read_number(item, "since", time_max, &since) < 0 ||
	    read_number(item, "until", time_max, &until) < 0 ||
	    read_number(item, "uid", 0xffffffffu, &uid) < 0 || read_number(item, "pid", 0x7fffffff, &pid) < 0)
		return -EINVAL;
	word.since_s = since;
	word.until_s = until;
	word.uid = uid;
	word.pid = pid;
	r = add_state(item, &word, words);
	if (r == 0)
		r = add_weight(item, &word, words);
	if (r == 0)
		r = add_breaker(item, &word, words);
	return r;
}

int words_read(const cJSON *list, struct lb_words *ret_words)
{
	struct lb_words words = {};
	const cJSON *item;

	if (!cJSON_IsArray(list))
		return -EINVAL;
	cJSON_ArrayForEach (item, list) {
		int r = read_item(item, &words);

		if (r < 0) {
			lb_words_done(&words);
			return r;
		}
	}
	*ret_words = words;
	return 0;
}
