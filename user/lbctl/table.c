// SPDX-License-Identifier: GPL-2.0-only
/* The table printer; see table.h. */
#include "table.h"

#include <stdarg.h>
#include <string.h>

#include "format.h"

#define GAP        2u  /* blanks between columns */
#define WRAP_LEAST 24u /* columns that a folded text needs at least */

struct table {
	const struct column *columns;
	unsigned int n_columns, indent;
	char **cells;
	size_t n_cells, room;
};

struct table *table_new(const struct column *columns, unsigned int indent)
{
	struct table *table = calloc(1, sizeof(*table));

	if (!table)
		lbctl_memory();
	table->columns = columns;
	table->indent = indent;
	while (table->n_columns < TABLE_COLUMNS_MAX && columns[table->n_columns].title)
		table->n_columns++;
	return table;
}

void table_free(struct table *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < table->n_cells; i++)
		free(table->cells[i]);
	free(table->cells);
	free(table);
}

void table_cell(struct table *table, const char *format, ...)
{
	_cleanup_(freep) char *text = NULL;
	va_list arguments;

	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		lbctl_memory();
	va_end(arguments);
	if (table->n_cells == table->room) {
		table->room = table->room ? table->room * 2 : 64;
		table->cells = reallocarray(table->cells, table->room, sizeof(*table->cells));
		if (!table->cells)
			lbctl_memory();
	}
	table->cells[table->n_cells++] = text_clean(text);
}

size_t table_rows(const struct table *table)
{
	return table->n_cells / table->n_columns;
}

static bool is_empty(const char *cell)
{
	return strcmp(cell, "") == 0 || strcmp(cell, "-") == 0 || strcmp(cell, "0") == 0;
}

/* Widths of the columns; 0: left out. */
static void measure(const struct table *table, size_t *width)
{
	bool filled[TABLE_COLUMNS_MAX] = { false };

	for (unsigned int i = 0; i < table->n_columns; i++)
		width[i] = text_width(table->columns[i].title);
	for (size_t i = 0; i < table->n_cells; i++) {
		unsigned int column = (unsigned int)(i % table->n_columns);
		size_t n = text_width(table->cells[i]);

		if (n > width[column])
			width[column] = n;
		if (!is_empty(table->cells[i]))
			filled[column] = true;
	}
	for (unsigned int i = 0; i < table->n_columns; i++)
		if (table->columns[i].flags & COLUMN_FILLED && !filled[i])
			width[i] = 0;
}

static size_t total_width(const struct table *table, const size_t *width)
{
	size_t total = table->indent;

	for (unsigned int i = 0; i < table->n_columns; i++)
		if (width[i])
			total += width[i] + (total > table->indent ? GAP : 0);
	return total;
}

/* Makes the widths fit so many columns as well as can be. */
static void squeeze(const struct table *table, size_t *width, size_t columns)
{
	unsigned int last = table->n_columns - 1;
	size_t least = table->columns[last].flags & COLUMN_WRAP && width[last] > WRAP_LEAST
			       ? width[last] - WRAP_LEAST
			       : 0;
	size_t total;

	for (unsigned int i = last + 1; i-- > 0;)
		if (table->columns[i].flags & COLUMN_OPTIONAL && total_width(table, width) - least > columns)
			width[i] = 0;
	total = total_width(table, width);
	if (least && total > columns)
		width[last] -= total - columns < least ? total - columns : least;
}

/* Prints words of *text that fit the width (at least one) and moves on behind them. */
static void print_line(const char **text, size_t width)
{
	const char *end = *text;
	size_t n = 0;

	for (const char *p = *text; *p; p++) {
		n += ((unsigned char)*p & 0xc0) != 0x80;
		if (p[1] != ' ' && p[1])
			continue;
		if (n > width && end > *text)
			break;
		end = p + 1;
	}
	printf("%.*s", (int)(end - *text), *text);
	while (*end == ' ')
		end++;
	*text = end;
}

void print_folded(const struct lbctl *c, unsigned int indent, const char *text)
{
	_cleanup_(freep) char *clean = text_clean(text);
	const char *rest = clean;
	size_t width = c->columns > indent + WRAP_LEAST ? c->columns - indent
		       : c->columns                     ? WRAP_LEAST
							: ~0ul;

	do {
		if (rest != clean)
			printf("%*s", (int)indent, "");
		print_line(&rest, width);
		putchar('\n');
	} while (*rest);
}

static void print_row(const struct table *table, const size_t *width, char *const *cells)
{
	size_t at = 0, start = table->indent;

	for (unsigned int i = 0; i < table->n_columns; i++) {
		const char *cell = cells ? cells[i] : table->columns[i].title;
		size_t n = text_width(cell), from = start;

		if (!width[i])
			continue;
		if (table->columns[i].flags & COLUMN_RIGHT && n < width[i])
			from += width[i] - n;
		start += width[i] + GAP;
		if (!*cell)
			continue;
		printf("%*s", (int)(from - at), "");
		at = from + n;
		if (table->columns[i].flags & COLUMN_WRAP) {
			print_line(&cell, width[i]);
			while (*cell) {
				printf("\n%*s", (int)from, "");
				print_line(&cell, width[i]);
			}
		} else {
			fputs(cell, stdout);
		}
	}
	putchar('\n');
}

void table_print(const struct table *table, const struct lbctl *c)
{
	bool bold = c->terminal && !getenv("NO_COLOR");
	size_t width[TABLE_COLUMNS_MAX];

	if (!table->n_cells)
		return;
	measure(table, width);
	if (c->columns)
		squeeze(table, width, c->columns);
	if (bold)
		fputs("\033[1m", stdout);
	print_row(table, width, NULL);
	if (bold)
		fputs("\033[0m", stdout);
	for (size_t i = 0; i + table->n_columns <= table->n_cells; i += table->n_columns)
		print_row(table, width, table->cells + i);
}
