// SPDX-License-Identifier: GPL-2.0-only
/*
 * Drawing and keys of lbctl top, with ncurses. Colour only where it means something: drops, and what keeps
 * the numbers from being new.
 */
#include "lbctl/top/screen.h"

#include <curses.h>
#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lbctl/format.h"

#define NUMBER_WIDTH 11
#define NAME_MIN     12
#define HEAD_LINES   3
#define KEY_ESCAPE   27
#define KEY_DELETE   127

enum { COLOUR_BAD = 1 };

bool top_screen_open(const char **ret_why)
{
	const char *term = getenv("TERM");

	if (!term || !*term) {
		*ret_why = "TERM is not set: lbctl stats --interval 1 --delta does without a terminal";
		return false;
	}
	setlocale(LC_CTYPE, "");
	if (!newterm(NULL, stdout, stdin)) {
		*ret_why = "this terminal is not known (TERM): lbctl stats --interval 1 --delta does without";
		return false;
	}
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	curs_set(0);
	set_escdelay(25);
	if (has_colors()) {
		start_color();
		use_default_colors();
		init_pair(COLOUR_BAD, COLOR_RED, -1);
	}
	return true;
}

void top_screen_close(void)
{
	endwin();
}

/* --- drawing ---------------------------------------------------------------------------------------------
 */

static void put(int line, int column, const char *text)
{
	if (line < LINES && column < COLS)
		mvaddnstr(line, column, text, COLS - column);
}

static void draw_head(const struct top_screen *screen, const struct top_model *model)
{
	char text[256];
	int at = 0;

	snprintf(text, sizeof(text), "lbctl top: %s%s   %s packets/s in, %sbit/s, ",
		 top_view_name(model->view), screen->paused ? " (paused)" : "", format_count(model->rx).text,
		 format_count(model->bytes * 8).text);
	put(0, 0, text);
	at = (int)strlen(text);
	snprintf(text, sizeof(text), "%s dropped/s", format_count(model->drop).text);
	if (model->drop > 0)
		attron(COLOR_PAIR(COLOUR_BAD) | A_BOLD);
	put(0, at, text);
	attroff(COLOR_PAIR(COLOUR_BAD) | A_BOLD);
	if (screen->typing || model->filter[0])
		snprintf(text, sizeof(text), "filter: %s%s", model->filter, screen->typing ? "_" : "");
	else if (model->imbalance > 0)
		snprintf(text, sizeof(text), "cores: max/mean %.2f   h help, q quit", model->imbalance);
	else
		snprintf(text, sizeof(text), "h help, q quit");
	put(1, 0, text);
	if (screen->problem) {
		attron(COLOR_PAIR(COLOUR_BAD) | A_BOLD);
		put(1, 0, screen->problem);
		clrtoeol();
		attroff(COLOR_PAIR(COLOUR_BAD) | A_BOLD);
	}
}

/* What fits: the name, as many numbers as there is room for, and what is left for the sparkline. */
struct layout {
	int name, numbers, spark;
};

static struct layout layout_of(const struct top_model *model)
{
	struct layout layout = { .name = NAME_MIN };
	int left = COLS - NAME_MIN, wanted = 0;

	for (int i = 0; i < TOP_NUMBERS && top_columns[model->view][i].title; i++) {
		if (left < NUMBER_WIDTH)
			break;
		left -= NUMBER_WIDTH;
		layout.numbers++;
	}
	for (size_t i = 0; i < model->n_rows; i++) {
		int width = (int)text_width(model->rows[i].name);

		wanted = width > wanted ? width : wanted;
	}
	if (wanted > layout.name) {
		int more = wanted - layout.name > left ? left : wanted - layout.name;

		layout.name += more;
		left -= more;
	}
	layout.spark = left - 1 > TOP_HISTORY ? TOP_HISTORY : left - 1;
	if (layout.name > COLS)
		layout.name = COLS;
	return layout;
}

static void draw_titles(const struct top_model *model, const struct layout *layout)
{
	char text[32];

	attron(A_REVERSE);
	mvhline(HEAD_LINES - 1, 0, ' ', COLS);
	put(HEAD_LINES - 1, 0, model->sort >= TOP_NUMBERS ? "NAME *" : "NAME");
	for (int i = 0; i < layout->numbers; i++) {
		snprintf(text, sizeof(text), "%*s", NUMBER_WIDTH - 1, top_columns[model->view][i].title);
		put(HEAD_LINES - 1, layout->name + i * NUMBER_WIDTH, text);
		if (model->sort == (unsigned int)i)
			put(HEAD_LINES - 1, layout->name + (i + 1) * NUMBER_WIDTH - 1, "*");
	}
	attroff(A_REVERSE);
}

static void draw_spark(int line, int column, const struct top_row *row, int width)
{
	static const char *const bars[] = { " ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
	int first = (int)row->n_history > width ? (int)row->n_history - width : 0;
	float most = 0;

	for (unsigned int i = first; i < row->n_history; i++)
		most = row->history[i] > most ? row->history[i] : most;
	for (unsigned int i = first; i < row->n_history; i++)
		put(line, column + (int)i - first, bars[most > 0 ? (int)(row->history[i] * 8 / most) : 0]);
}

static void draw_row(int line, const struct top_model *model, const struct top_row *row,
		     const struct layout *layout)
{
	char text[64];

	put(line, 0, row->name);
	move(line, layout->name < COLS ? layout->name : COLS - 1);
	clrtoeol();
	for (int i = 0; i < layout->numbers; i++) {
		const struct top_column *column = &top_columns[model->view][i];
		double number = row->number[i];

		if (column->percent)
			snprintf(text, sizeof(text), "%*.1f%%", NUMBER_WIDTH - 2, number);
		else if (column->mean)
			snprintf(text, sizeof(text), "%*.1f", NUMBER_WIDTH - 1, number);
		else
			snprintf(text, sizeof(text), "%*s", NUMBER_WIDTH - 1,
				 format_count(column->bytes ? 8 * number : number).text);
		put(line, layout->name + i * NUMBER_WIDTH, text);
	}
	if (layout->spark > 2)
		draw_spark(line, layout->name + layout->numbers * NUMBER_WIDTH + 1, row, layout->spark);
}

static void draw_help(void)
{
	static const char *const lines[] = {
		"s b c d    services, backends, cores, drops",
		"< >        sort by the column to the left, to the right; n by name",
		"/          filter by a part of the name; Enter keeps it, Escape ends it",
		"up down    scroll, PgUp PgDn by pages, Home to the top",
		"p space    pause",
		"h ?        this help",
		"q          quit",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		put(HEAD_LINES + (int)i, 1, lines[i]);
}

void top_screen_draw(struct top_screen *screen, const struct top_model *model)
{
	struct layout layout = layout_of(model);
	size_t shown = 0;
	int line = HEAD_LINES;

	erase();
	draw_head(screen, model);
	if (screen->help) {
		draw_help();
		refresh();
		return;
	}
	draw_titles(model, &layout);
	for (size_t i = 0; i < model->n_rows && line < LINES; i++) {
		if (!top_model_shows(model, &model->rows[i]) || shown++ < screen->first)
			continue;
		draw_row(line++, model, &model->rows[i], &layout);
	}
	if (line == HEAD_LINES)
		put(line, 1, model->seconds > 0 ? "nothing to show" : "counting...");
	refresh();
}

/* --- keys ------------------------------------------------------------------------------------------------
 */

static void type_filter(struct top_screen *screen, struct top_model *model, int key)
{
	size_t length = strlen(model->filter);

	if (key == KEY_ESCAPE) {
		model->filter[0] = '\0';
		screen->typing = false;
	} else if (key == '\n' || key == '\r' || key == KEY_ENTER) {
		screen->typing = false;
	} else if (key == KEY_BACKSPACE || key == KEY_DELETE || key == '\b') {
		if (length)
			model->filter[length - 1] = '\0';
	} else if (key >= ' ' && key < KEY_DELETE && length + 1 < sizeof(model->filter)) {
		model->filter[length] = (char)key;
		model->filter[length + 1] = '\0';
	}
	screen->first = 0;
}

static void sort_by(struct top_model *model, int step)
{
	unsigned int n = 0;

	while (n < TOP_NUMBERS && top_columns[model->view][n].title)
		n++;
	if (model->sort >= TOP_NUMBERS)
		model->sort = step > 0 ? 0 : n - 1;
	else
		model->sort = (model->sort + n + step) % n;
	top_model_sort(model);
}

static void scroll_by(struct top_screen *screen, const struct top_model *model, long step)
{
	long to = (long)screen->first + step, most = (long)model->n_rows - 1;

	screen->first = (size_t)(to < 0 ? 0 : to > most ? (most < 0 ? 0 : most) : to);
}

static void view_of(struct top_screen *screen, struct top_model *model, enum top_view view)
{
	top_model_view(model, view);
	screen->first = 0;
	screen->help = false;
}

/* False: quit. */
static bool act(struct top_screen *screen, struct top_model *model, int key)
{
	static const char views[TOP_VIEWS] = { 's', 'b', 'c', 'd' };
	const char *view = memchr(views, key, sizeof(views));

	if (screen->typing) {
		type_filter(screen, model, key);
		return true;
	}
	if (view && key) {
		view_of(screen, model, (enum top_view)(view - views));
		return true;
	}
	switch (key) {
	case 'q':
		return false;
	case 'h':
	case '?':
		screen->help = !screen->help;
		break;
	case 'p':
	case ' ':
		screen->paused = !screen->paused;
		break;
	case '/':
		screen->typing = true;
		break;
	case 'n':
		model->sort = TOP_NUMBERS;
		top_model_sort(model);
		break;
	case '<':
	case KEY_LEFT:
		sort_by(model, -1);
		break;
	case '>':
	case KEY_RIGHT:
		sort_by(model, 1);
		break;
	case KEY_UP:
		scroll_by(screen, model, -1);
		break;
	case KEY_DOWN:
		scroll_by(screen, model, 1);
		break;
	case KEY_PPAGE:
		scroll_by(screen, model, -(long)(LINES - HEAD_LINES));
		break;
	case KEY_NPAGE:
		scroll_by(screen, model, LINES - HEAD_LINES);
		break;
	case KEY_HOME:
		screen->first = 0;
		break;
	default:
		break;
	}
	return true;
}

bool top_screen_key(struct top_screen *screen, struct top_model *model, int wait_ms)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	int key, r = poll(&input, 1, wait_ms);

	if (r < 0)
		return errno == EINTR; /* a resize */
	if (input.revents & (POLLHUP | POLLERR | POLLNVAL) && !(input.revents & POLLIN))
		return false;
	if (r == 0)
		return true;
	timeout(0);
	key = getch();
	if (key == ERR) /* readable, and nothing to read: it is gone */
		return !(input.revents & POLLHUP) && poll(&input, 1, 0) == 0;
	return act(screen, model, key);
}
