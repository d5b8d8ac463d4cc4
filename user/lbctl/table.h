/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Aligned columns. On a terminal that is too narrow, optional columns go first (the last one first), then a
 * wrapped last column folds. Elsewhere nothing is ever left out. Foreign text is cleaned on the way in.
 */
#pragma once

#include "lbctl.h"

#define TABLE_COLUMNS_MAX 16u

enum column_flags {
	COLUMN_RIGHT = 1,    /* numbers */
	COLUMN_OPTIONAL = 2, /* may be left out where it is narrow */
	COLUMN_WRAP = 4,     /* folds between words; the last column only */
	COLUMN_FILLED = 8,   /* left out when every cell is "" or "-" or "0" */
};

struct column {
	const char *title; /* NULL ends a list */
	unsigned int flags;
};

struct table;
/* columns: ends with a NULL title; borrowed. indent: blanks before every line. */
struct table *table_new(const struct column *columns, unsigned int indent);
void table_free(struct table *table);
static inline void table_freep(struct table **table)
{
	table_free(*table);
}

/* Cells come row by row, left to right. */
void table_cell(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
size_t table_rows(const struct table *table);

/* To stdout; a table without rows prints nothing. */
void table_print(const struct table *table, const struct lbctl *c);

/* Words folded at the terminal's width; every line is indented, the first of them by what is printed already.
 */
void print_folded(const struct lbctl *c, unsigned int indent, const char *text);
