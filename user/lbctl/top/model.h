/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What lbctl top shows, apart from any screen: rows of rates made from two answers of the agent, with a short
 * history of each, sorted and filtered.
 */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

enum top_view { TOP_SERVICES, TOP_BACKENDS, TOP_CORES, TOP_DROPS, TOP_VIEWS };

#define TOP_HISTORY 16 /* intervals of the sparkline */
#define TOP_NUMBERS 6
#define TOP_NAME    96 /* bytes, with the terminating zero */

/* How a number is printed, and whether a row is sorted by it. */
struct top_column {
	const char *title; /* NULL: not in this view */
	bool bytes;        /* of bits: bytes a second are printed as bits */
	bool percent;
	bool mean; /* not a rate: small, and with a fraction */
};
extern const struct top_column top_columns[TOP_VIEWS][TOP_NUMBERS];
const char *top_view_name(enum top_view view);

struct top_row {
	char name[TOP_NAME]; /* cleaned for a terminal */
	double number[TOP_NUMBERS];
	float history[TOP_HISTORY]; /* of number[0], oldest first */
	unsigned int n_history;
};

struct top_model {
	enum top_view view;
	struct top_row *rows; /* owned; in order */
	size_t n_rows, capacity;
	struct top_row *old; /* owned: of the answer before, while one is taken; by name */
	size_t n_old;
	unsigned int sort;      /* column; TOP_NUMBERS: by name */
	char filter[32];        /* part of a name; empty: all */
	cJSON *before;          /* owned: the last answer of the view */
	double seconds;         /* between the last two */
	double rx, drop, bytes; /* per second, of everything */
	double imbalance;       /* of cores: max / mean of packets in; 0: not known */
};

void top_model_init(struct top_model *model);
void top_model_done(struct top_model *model);

/* Another view: rows begin anew. */
void top_model_view(struct top_model *model, enum top_view view);

/* Where the view's numbers come from. */
const char *top_model_path(const struct top_model *model);

/* Takes an answer (ownership too). The first one makes no rates. */
void top_model_take(struct top_model *model, cJSON *answer);

/* After sort or filter was changed. */
void top_model_sort(struct top_model *model);

/* Whether the row passes the filter. */
bool top_model_shows(const struct top_model *model, const struct top_row *row);
