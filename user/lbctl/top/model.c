// SPDX-License-Identifier: GPL-2.0-only
/* Rates, histories and order of what lbctl top shows; see model.h. */
#include "lbctl/top/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "lbctl/delta.h"
#include "lbctl/format.h"
#include "lbctl/json.h"
#include "lbctl/totals.h"
#include "lbctl/lbctl.h"

const struct top_column top_columns[TOP_VIEWS][TOP_NUMBERS] = {
	[TOP_SERVICES] = { { "PACKETS/S" }, { "BIT/S", .bytes = true }, { "SYN/S" }, { "TO BASE/S" } },
	[TOP_BACKENDS] = { { "PACKETS/S" },
			   { "BIT/S", .bytes = true },
			   { "SYN/S" },
			   { "SHARE", .percent = true } },
	[TOP_CORES] = { { "PACKETS/S" },
			{ "SENT/S" },
			{ "PASSED/S" },
			{ "DROPPED/S" },
			{ "PER POLL", .mean = true },
			{ "SQUEEZED/S" } },
	[TOP_DROPS] = { { "PACKETS/S" }, { NULL }, { NULL }, { NULL } },
};

const char *top_view_name(enum top_view view)
{
	static const char *const names[TOP_VIEWS] = { "services", "backends", "cores", "drops" };

	return names[view];
}

void top_model_init(struct top_model *model)
{
	*model = (struct top_model){ .view = TOP_SERVICES };
}

static void forget(struct top_model *model)
{
	free(model->rows);
	model->rows = NULL;
	model->n_rows = model->capacity = 0;
	cJSON_Delete(model->before);
	model->before = NULL;
}

void top_model_done(struct top_model *model)
{
	forget(model);
}

void top_model_view(struct top_model *model, enum top_view view)
{
	if (model->view == view)
		return;
	forget(model);
	model->view = view;
	model->sort = 0;
	model->filter[0] = '\0';
}

const char *top_model_path(const struct top_model *model)
{
	return model->view == TOP_DROPS ? "/v1/drops" : "/v1/stats";
}

/* --- rows ------------------------------------------------------------------------------------------------
 */

static int compare_names(const void *a, const void *b)
{
	const struct top_row *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* A new row, which goes on where the one of that name before ended. */
static struct top_row *row_add(struct top_model *model, const char *name)
{
	struct top_row *row, key = {};
	const struct top_row *old;

	if (model->n_rows == model->capacity) {
		size_t capacity = model->capacity ? 2 * model->capacity : 64;

		row = realloc(model->rows, capacity * sizeof(*row));
		if (!row)
			lbctl_memory();
		model->rows = row;
		model->capacity = capacity;
	}
	snprintf(key.name, sizeof(key.name), "%s", name);
	old = model->n_old ? bsearch(&key, model->old, model->n_old, sizeof(key), compare_names) : NULL;
	row = &model->rows[model->n_rows++];
	*row = old ? *old : key;
	return row;
}

static void row_take(struct top_model *model, const char *name, const double number[TOP_NUMBERS])
{
	_cleanup_(freep) char *clean = text_clean(name);
	struct top_row *row = row_add(model, clean);

	for (size_t i = 0; i < TOP_NUMBERS; i++)
		row->number[i] = model->seconds > 0 ? number[i] / model->seconds : 0;
	if (row->n_history == TOP_HISTORY)
		memmove(&row->history[0], &row->history[1], (TOP_HISTORY - 1) * sizeof(row->history[0]));
	else
		row->n_history++;
	row->history[row->n_history - 1] = (float)row->number[0];
}

static void take_service(struct top_model *model, const cJSON *service)
{
	const double number[TOP_NUMBERS] = { totals_of_service(service, LB_TOTAL_PACKETS),
					     totals_of_service(service, LB_TOTAL_BYTES),
					     totals_of_service(service, LB_TOTAL_SYNS),
					     totals_of_service(service, LB_TOTAL_BASE) };

	row_take(model, json_text(service, "name"), number);
}

/* share: of the service's packets, in percent; not a rate, so it is scaled back. */
static void take_backends(struct top_model *model, const cJSON *service)
{
	const cJSON *backend, *backends = json_get(service, "backends");
	double all = 0;

	/* Backends of a shared ring are told of once. */
	if (cJSON_IsString(json_get(service, "counted_with")))
		return;
	cJSON_ArrayForEach (backend, backends)
		all += totals_of_backend(backend, LB_TOTAL_PACKETS);
	cJSON_ArrayForEach (backend, backends) {
		double packets = totals_of_backend(backend, LB_TOTAL_PACKETS);
		const double number[TOP_NUMBERS] = { packets, totals_of_backend(backend, LB_TOTAL_BYTES),
						     totals_of_backend(backend, LB_TOTAL_SYNS),
						     all > 0 ? 100 * packets / all * model->seconds : 0 };
		_cleanup_(freep) char *name =
			lbctl_format("%s/%s", json_text(service, "name"), json_text(backend, "name"));

		row_take(model, name, number);
	}
}

/* Per poll: not a rate, so it is scaled back. */
static void take_core(struct top_model *model, const cJSON *cpu)
{
	double polls = json_double(cpu, "polls");
	const double number[TOP_NUMBERS] = {
		json_double(cpu, "rx"),
		json_double(cpu, "tx") + json_double(cpu, "redirect"),
		json_double(cpu, "pass"),
		json_double(cpu, "drop"),
		polls > 0 ? json_double(cpu, "polled_packets") / polls * model->seconds : 0,
		json_double(cpu, "squeezed"),
	};
	char name[24];

	snprintf(name, sizeof(name), "cpu %llu", json_u64(cpu, "cpu"));
	row_take(model, name, number);
}

static void take_reason(struct top_model *model, const cJSON *reason)
{
	const double number[TOP_NUMBERS] = { json_double(reason, "packets") };
	_cleanup_(freep) char *name =
		lbctl_format("%s %s", json_text(reason, "action"), json_text(reason, "reason"));

	row_take(model, name, number);
}

static void take_totals(struct top_model *model, const cJSON *delta)
{
	const cJSON *totals = json_get(delta, "totals"), *cpu;
	double most = 0, sum = 0, n = 0, scale = model->seconds > 0 ? 1 / model->seconds : 0;

	if (!totals)
		return;
	model->rx = json_double(totals, "rx") * scale;
	model->drop = json_double(totals, "drop") * scale;
	model->bytes = json_double(totals, "bytes") * scale;
	cJSON_ArrayForEach (cpu, json_get(delta, "cpus")) {
		double rx = json_double(cpu, "rx");

		most = rx > most ? rx : most;
		sum += rx;
		n++;
	}
	model->imbalance = sum > 0 ? most * n / sum : 0;
}

static void take_delta(struct top_model *model, const cJSON *delta)
{
	static void (*const take[TOP_VIEWS])(struct top_model * model, const cJSON *item) = {
		[TOP_SERVICES] = take_service,
		[TOP_BACKENDS] = take_backends,
		[TOP_CORES] = take_core,
		[TOP_DROPS] = take_reason,
	};
	static const char *const lists[TOP_VIEWS] = { "services", "services", "cpus", "reasons" };
	const cJSON *item;

	model->old = model->rows;
	model->n_old = model->n_rows;
	model->rows = NULL;
	model->n_rows = model->capacity = 0;
	if (model->n_old)
		qsort(model->old, model->n_old, sizeof(*model->old), compare_names);
	take_totals(model, delta);
	cJSON_ArrayForEach (item, json_get(delta, lists[model->view]))
		take[model->view](model, item);
	free(model->old);
	model->old = NULL;
	model->n_old = 0;
	top_model_sort(model);
}

void top_model_take(struct top_model *model, cJSON *answer)
{
	if (model->before) {
		_cleanup_(cjson_freep) cJSON *delta = delta_make(model->before, answer);
		double ms = json_double(delta, "interval_ms");

		/* Answers without a clock of their own were asked for a second apart, by who takes them. */
		model->seconds = ms > 0 ? ms / 1000 : 1;
		take_delta(model, delta);
	}
	cJSON_Delete(model->before);
	model->before = answer;
}

/* --- order -----------------------------------------------------------------------------------------------
 */

/* Largest first; equals by name, so that rows do not jump. */
static int compare_numbers(const void *a, const void *b, void *context)
{
	const struct top_row *x = a, *y = b;
	unsigned int column = *(const unsigned int *)context;

	if (x->number[column] != y->number[column])
		return x->number[column] < y->number[column] ? 1 : -1;
	return strcmp(x->name, y->name);
}

void top_model_sort(struct top_model *model)
{
	if (!model->n_rows)
		return;
	if (model->sort >= TOP_NUMBERS)
		qsort(model->rows, model->n_rows, sizeof(*model->rows), compare_names);
	else
		qsort_r(model->rows, model->n_rows, sizeof(*model->rows), compare_numbers, &model->sort);
}

bool top_model_shows(const struct top_model *model, const struct top_row *row)
{
	return !model->filter[0] || strstr(row->name, model->filter);
}
