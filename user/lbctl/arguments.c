// SPDX-License-Identifier: GPL-2.0-only
/*
 * The command line: options may stand anywhere, before or behind the verb; what is wrong is said with the
 * nearest right spelling. Knows verbs and options from the tables in verbs.c alone.
 */
#include <string.h>

#include "config/config.h"
#include "lbctl.h"
#include "base/nearest.h"

#define WORDS_MAX 64u

struct parsing {
	struct lbctl *c;
	const char *word[WORDS_MAX]; /* what is no option */
	size_t n_words;
	const char *unknown; /* first option that does not exist */
	int valueless;       /* option that lacks its value, or has one too much; -1: none */
	const char *surplus; /* the value too much */
};

const char *lbctl_did_you_mean(const char *word, const char *const *words, const char *before,
			       char buffer[128])
{
	const char *near = lb_nearest(word, words);

	buffer[0] = 0;
	if (near)
		snprintf(buffer, 128, ": did you mean %s%s?", before, near);
	return buffer;
}

static int find_long(const char *name, size_t length)
{
	for (int i = 0; i < OPTIONS_MAX; i++)
		if (strlen(lbctl_options[i].name) == length &&
		    strncmp(lbctl_options[i].name, name, length) == 0)
			return i;
	return -1;
}

static int find_letter(char letter)
{
	for (int i = 0; i < OPTIONS_MAX; i++)
		if (lbctl_options[i].letter == letter)
			return i;
	return -1;
}

/* Takes one option; next: the argument behind it, or NULL. Returns how many arguments more were used. */
static int take(struct parsing *p, int id, const char *value, const char *next)
{
	if (!lbctl_options[id].value) {
		if (value && p->valueless < 0) {
			p->valueless = id;
			p->surplus = value;
		}
		p->c->option[id] = "";
		return 0;
	}
	if (!value && !next && p->valueless < 0)
		p->valueless = id;
	p->c->option[id] = value ? value : next ? next : "";
	return !value && next;
}

static int take_long(struct parsing *p, const char *argument, const char *next)
{
	const char *name = argument + 2, *equals = strchr(name, '=');
	int id = find_long(name, equals ? (size_t)(equals - name) : strlen(name));

	if (id < 0) {
		if (!p->unknown)
			p->unknown = argument;
		return 0;
	}
	return take(p, id, equals ? equals + 1 : NULL, next);
}

/* A cluster: -jf FILE, -jfFILE. */
static int take_letters(struct parsing *p, const char *argument, const char *next)
{
	for (const char *letter = argument + 1; *letter; letter++) {
		int id = find_letter(*letter);

		if (id < 0) {
			if (!p->unknown)
				p->unknown = argument;
			return 0;
		}
		if (lbctl_options[id].value)
			return take(p, id, letter[1] ? letter + 1 : NULL, next);
		take(p, id, NULL, NULL);
	}
	return 0;
}

static void split(struct parsing *p, int argc, char **argv)
{
	bool options = true;

	for (int i = 1; i < argc; i++) {
		const char *argument = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL;

		if (options && strcmp(argument, "--") == 0)
			options = false;
		else if (options && strncmp(argument, "--", 2) == 0)
			i += take_long(p, argument, next);
		else if (options && argument[0] == '-' && argument[1])
			i += take_letters(p, argument, next);
		else if (p->n_words < WORDS_MAX)
			p->word[p->n_words++] = argument;
	}
}

/* Whether a verb's name is "first second" ("first" alone when second is NULL). */
static bool is_verb(const struct verb *verb, const char *first, const char *second)
{
	size_t length = strlen(first);

	if (strncmp(verb->name, first, length) != 0)
		return false;
	return second ? verb->name[length] == ' ' && strcmp(verb->name + length + 1, second) == 0
		      : verb->name[length] == 0;
}

/* The words that may stand first, or behind a first word. */
static size_t verb_words(const char *first, const char **ret_words, char storage[][32], size_t room)
{
	size_t n = 0;

	for (const struct verb *verb = lbctl_verbs; verb->name && n < room; verb++) {
		size_t length = strcspn(verb->name, " ");

		if (!first) {
			snprintf(storage[n], 32, "%.*s", (int)length, verb->name);
		} else {
			if (strlen(first) != length || strncmp(first, verb->name, length) != 0 ||
			    !verb->name[length])
				continue;
			snprintf(storage[n], 32, "%s", verb->name + length + 1);
		}
		ret_words[n] = storage[n];
		n++;
	}
	ret_words[n] = NULL;
	return n;
}

static int unknown_verb(const struct parsing *p)
{
	const char *first = p->word[0], *second = p->n_words > 1 ? p->word[1] : NULL;
	char storage[40][32], hint[128], before[40], list[256] = "";
	const char *words[41];
	size_t n = verb_words(first, words, storage, 40);

	if (n == 0) {
		verb_words(NULL, words, storage, 40);
		lbctl_did_you_mean(first, words, "", hint);
		return lbctl_usage(p->c, "there is no verb '%s'%s", first, hint);
	}
	for (size_t i = 0; i < n; i++) {
		strncat(list, i ? " or " : "", sizeof(list) - strlen(list) - 1);
		strncat(list, words[i], sizeof(list) - strlen(list) - 1);
	}
	if (!second)
		return lbctl_usage(p->c, "%s what? %s", first, list);
	snprintf(before, sizeof(before), "%s ", first);
	lbctl_did_you_mean(second, words, before, hint);
	if (*hint)
		return lbctl_usage(p->c, "there is no verb '%s %s'%s", first, second, hint);
	return lbctl_usage(p->c, "there is no verb '%s %s'; there is %s", first, second, list);
}

/* Sets c->verb; returns how many words it took. 0: there is none of that name. */
static size_t find_verb(struct parsing *p)
{
	const char *first = p->n_words ? p->word[0] : "status", *second = p->n_words > 1 ? p->word[1] : NULL;

	for (const struct verb *verb = lbctl_verbs; verb->name; verb++) {
		if (is_verb(verb, first, NULL))
			return p->c->verb = verb, p->n_words ? 1 : 0;
		if (second && is_verb(verb, first, second))
			return p->c->verb = verb, 2;
	}
	return 0;
}

static int unknown_option(const struct parsing *p)
{
	unsigned long long allowed = p->c->verb ? p->c->verb->options | OPTIONS_GLOBAL : ~0ull;
	const char *words[OPTIONS_MAX + 1], *name = p->unknown + strspn(p->unknown, "-");
	char hint[128], word[64];
	size_t n = 0;

	for (int i = 0; i < OPTIONS_MAX; i++)
		if (allowed & OPTION_BIT(i))
			words[n++] = lbctl_options[i].name;
	words[n] = NULL;
	snprintf(word, sizeof(word), "%.*s", (int)strcspn(name, "="), name);
	lbctl_did_you_mean(word, words, "--", hint);
	return lbctl_usage(p->c, "there is no option '%s'%s", p->unknown, hint);
}

/* Options that exist, but not for this verb. */
static int check_options(const struct lbctl *c)
{
	unsigned long long allowed = c->verb->options | OPTIONS_GLOBAL | OPTION_BIT(OPTION_VERSION);

	for (int i = 0; i < OPTIONS_MAX; i++)
		if (c->option[i] && !(allowed & OPTION_BIT(i)))
			return lbctl_usage(c, "%s takes no --%s", c->verb->name, lbctl_options[i].name);
	return EXIT_DONE;
}

static int check_words(struct parsing *p, size_t used)
{
	struct lbctl *c = p->c;
	size_t n = p->n_words - used;

	if (n > c->verb->most) {
		const char *surplus = p->word[used + c->verb->most];

		if (c->verb->options & OPTION_BIT(OPTION_FILE) && !option_given(c, OPTION_FILE))
			return lbctl_usage(c, "'%s' is too much: did you mean -f %s?", surplus, surplus);
		return lbctl_usage(c, "'%s' is too much", surplus);
	}
	if (n < c->verb->least)
		return lbctl_usage(c, "%s needs %s", c->verb->name, c->verb->arguments);
	for (size_t i = 0; i < n && i < LBCTL_ARGUMENTS_MAX; i++)
		c->argument[c->n_arguments++] = p->word[used + i];
	return EXIT_DONE;
}

int lbctl_parse(struct lbctl *c, int argc, char **argv)
{
	struct parsing p = { .c = c, .valueless = -1 };
	size_t used;
	int r;

	split(&p, argc, argv);
	c->json = option_given(c, OPTION_JSON);
	used = find_verb(&p);
	if (option_given(c, OPTION_HELP) && !p.unknown) {
		if (!p.n_words)
			c->verb = NULL;
		return EXIT_DONE;
	}
	if (p.unknown)
		return unknown_option(&p);
	if (p.valueless >= 0 && p.surplus)
		return lbctl_usage(c, "--%s takes no value, and got '%s'", lbctl_options[p.valueless].name,
				   p.surplus);
	if (p.valueless >= 0)
		return lbctl_usage(c, "--%s needs a value: %s", lbctl_options[p.valueless].name,
				   lbctl_options[p.valueless].value);
	if (!c->verb)
		return unknown_verb(&p);
	r = check_options(c);
	if (r == EXIT_DONE)
		r = check_words(&p, used);
	if (r == EXIT_DONE && option_given(c, OPTION_SOCKET))
		c->socket = c->option[OPTION_SOCKET];
	if (r == EXIT_DONE && !option_seconds(c, OPTION_TIMEOUT, 0.01, &c->timeout_s))
		r = EXIT_WRONG_USAGE;
	return r;
}
