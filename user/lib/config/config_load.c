// SPDX-License-Identifier: GPL-2.0-only
/*
 * The configuration's front door: load a file, parse a text, free, and the names of enumerations. The work
 * is done in config_json.c (syntax), config_read.c (schema) and config_check.c (what holds between keys).
 */
#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config_read.h"

/* Where in the text an error is. line 0: nowhere. */
struct spot {
	size_t line;
	size_t column;
	bool syntax;
};

void lb_config_service_done(struct lb_config_service *service)
{
	/* What was being read when it failed may have no backends yet. */
	for (size_t i = 0; service->backends && i < service->n_backends; i++)
		free(service->backends[i].check);
	free(service->health.check);
	free(service->health.breaker);
	free(service->source_ranges);
	free(service->backends);
}

void lb_config_free(struct lb_config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < config->n_services; i++)
		lb_config_service_done(&config->services[i]);
	for (size_t i = 0; config->sources && i < config->n_sources; i++)
		free(config->sources[i].vips);
	free(config->sources);
	free(config->services);
	free(config->health.check);
	free(config->health.breaker);
	free(config->interfaces);
	free(config);
}

/* The rest of the line at an offset, to show where syntax is wrong. */
static int syntax_error(const char *text, size_t length, size_t offset, const char *problem,
			struct spot *spot, struct lb_error *error)
{
	char near[41];
	size_t n = 0;

	while (n < sizeof(near) - 1 && offset + n < length && (unsigned char)text[offset + n] >= ' ')
		n++;
	memcpy(near, text + offset, n);
	near[n] = 0;
	spot->syntax = true;
	lb_json_position(text, offset, &spot->line, &spot->column);
	return lb_error_at(error, EINVAL, NULL, near, "%s", problem);
}

static int out_of_memory(struct lb_error *error)
{
	return lb_error_set(error, ENOMEM, "out of memory while reading the configuration");
}

static int parse_text(const char *text, size_t length, struct lb_config **ret_config, struct spot *spot,
		      struct lb_error *error)
{
	_cleanup_(lb_config_freep) struct lb_config *config = NULL;
	_cleanup_(cjson_freep) cJSON *tree = NULL;
	_cleanup_(freep) char *cut = NULL;
	char problem[LB_JSON_PROBLEM_MAX];
	struct lb_reading reading = { .error = error };
	size_t offset, cut_length = 0;
	int r;

	if (length > LB_CONFIG_BYTES_MAX)
		return lb_error_set(error, E2BIG,
				    "the configuration is larger than %u MiB, the most that is accepted",
				    LB_CONFIG_BYTES_MAX >> 20);
	if (lb_json_check(text, length, &offset, problem) < 0)
		return syntax_error(text, length, offset, problem, spot, error);
	if (lb_config_shape(text, length, &cut, &cut_length) < 0)
		return out_of_memory(error);
	tree = cJSON_ParseWithLength(cut ? cut : text, cut ? cut_length : length);
	config = calloc(1, sizeof(*config));
	if (!tree || !config)
		return out_of_memory(error);
	reading.root = tree;
	r = lb_config_read(&reading, config);
	if (r == 0)
		r = lb_config_check(&reading, config);
	if (r == -ENOMEM)
		return out_of_memory(error);
	if (r < 0) {
		lb_json_position(text, lb_json_offset(text, length, tree, reading.culprit), &spot->line,
				 &spot->column);
		return r;
	}
	*ret_config = config;
	config = NULL;
	return 0;
}

int lb_config_parse(const char *text, size_t length, struct lb_config **ret_config, struct lb_error *error)
{
	struct spot spot = { 0 };
	struct lb_error unused;
	int r;

	if (!error)
		error = &unused;
	r = parse_text(text ? text : "", length, ret_config, &spot, error);
	if (r < 0 && spot.syntax)
		lb_error_at(error, -r, error->path, error->value, "line %zu, column %zu: %s", spot.line,
			    spot.column, error->text);
	return r;
}

/* Reads to the end; one byte more than LB_CONFIG_BYTES_MAX at most, which shows that it is too much. */
static int read_all(int fd, char **ret_text, size_t *ret_length)
{
	_cleanup_(freep) char *text = NULL;
	size_t size = 0, length = 0;
	ssize_t n;

	do {
		if (length == size) {
			char *larger = realloc(text, size = size ? 2 * size : 65536);

			if (!larger)
				return -ENOMEM;
			text = larger;
		}
		n = read(fd, text + length, size - length);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		length += (size_t)n;
	} while (n != 0 && length <= LB_CONFIG_BYTES_MAX);
	*ret_text = text;
	text = NULL;
	*ret_length = length;
	return 0;
}

/* What a file says is of this host: a command that cannot be run here is a mistake there. Where it cannot be
 * looked at it may be right. */
static int check_command(const struct lb_config_check *check, struct lb_error *error, const char *format, ...)
{
	char path[sizeof(error->path)];
	const char *wrong = NULL;
	va_list arguments;
	struct stat st;

	if (!check || !check->command[0])
		return 0;
	if (stat(check->command, &st) < 0)
		wrong = errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? "there is no such file"
									      : NULL;
	else if (!S_ISREG(st.st_mode))
		wrong = "it is no file";
	else if (!(st.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)))
		wrong = "it is not executable";
	if (!wrong)
		return 0;
	va_start(arguments, format);
	vsnprintf(path, sizeof(path), format, arguments);
	va_end(arguments);
	return lb_error_at(error, EINVAL, path, check->command, "command must be a program on this host: %s",
			   wrong);
}

int lb_config_check_commands(const struct lb_config *config, struct lb_error *error)
{
	int r = check_command(config->health.check, error, "health.check.command");

	for (size_t i = 0; r == 0 && i < config->n_services; i++) {
		const struct lb_config_service *service = &config->services[i];

		r = check_command(service->health.check, error, "services[%zu].health.check.command", i);
		for (size_t k = 0; r == 0 && k < service->n_backends; k++)
			r = check_command(service->backends[k].check, error,
					  "services[%zu].backends[%zu].check.command", i, k);
	}
	return r;
}

int lb_config_parse_file(const char *path, const char *text, size_t length, struct lb_config **ret_config,
			 struct lb_error *error)
{
	struct lb_config *config = NULL;
	struct spot spot = { 0 };
	struct lb_error unused;
	int r;

	if (!error)
		error = &unused;
	r = parse_text(text, length, &config, &spot, error);
	if (r == 0)
		r = lb_config_check_commands(config, error);
	if (r < 0)
		lb_config_free(config);
	else
		*ret_config = config;
	if (r < 0 && spot.line)
		return lb_error_at(error, -r, error->path, error->value, "%s:%zu:%zu: %s", path, spot.line,
				   spot.column, error->text);
	if (r < 0)
		return lb_error_at(error, -r, error->path, error->value, "%s: %s", path, error->text);
	return 0;
}

int lb_config_load(const char *path, struct lb_config **ret_config, struct lb_error *error)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	_cleanup_(freep) char *text = NULL;
	size_t length = 0;
	int r;

	if (fd < 0)
		return lb_error_set(error, errno, "%s: cannot open the file: %s", path, strerror(errno));
	r = read_all(fd, &text, &length);
	if (r < 0)
		return lb_error_set(error, -r, "%s: cannot read the file: %s", path, strerror(-r));
	return lb_config_parse_file(path, text, length, ret_config, error);
}

__u32 lb_config_ring_size(size_t n_backends)
{
	__u64 n = n_backends < LB_RING_MAX ? n_backends : LB_RING_MAX;
	__u32 size = 1024;

	while (size < LB_RING_MAX && (size < 100 * n || size < 2 * n * n))
		size *= 2;
	return size;
}

/* --- names -----------------------------------------------------------------------------------------------
 */

static const char *choice_name(const struct lb_schema_choice *choices, int value)
{
	for (; choices->name; choices++) {
		if (choices->value == value)
			return choices->name;
	}
	return "?";
}

const char *lb_forward_name(enum lb_forward value)
{
	return choice_name(lb_schema_forward, (int)value);
}

const char *lb_algorithm_name(enum lb_algorithm value)
{
	return choice_name(lb_schema_algorithm, (int)value);
}

const char *lb_affinity_name(enum lb_affinity value)
{
	return choice_name(lb_schema_affinity, (int)value);
}

const char *lb_state_name(enum lb_state value)
{
	return choice_name(lb_schema_state, (int)value);
}

const char *lb_xdp_mode_name(enum lb_xdp_mode value)
{
	return choice_name(lb_schema_xdp_mode, (int)value);
}

const char *lb_attach_name(enum lb_attach value)
{
	return choice_name(lb_schema_attach, (int)value);
}

const char *lb_fragments_name(enum lb_fragments value)
{
	return choice_name(lb_schema_fragments, (int)value);
}

int lb_state_parse(const char *name, enum lb_state *ret_state)
{
	for (const struct lb_schema_choice *choice = lb_schema_state; choice->name; choice++) {
		if (strcmp(choice->name, name) == 0) {
			*ret_state = (enum lb_state)choice->value;
			return 0;
		}
	}
	return -EINVAL;
}
