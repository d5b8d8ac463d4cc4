// SPDX-License-Identifier: GPL-2.0-only
/* Reading configurations: files, pipes, standard input; bounded. */
#include "input.h"

#include <errno.h>
#include <string.h>

int input_read(const struct lbctl *c, const char *path, char **ret_text, size_t *ret_length)
{
	bool standard = strcmp(path, "-") == 0;
	_cleanup_(fclosep) FILE *opened = standard ? NULL : fopen(path, "re");
	FILE *file = standard ? stdin : opened;
	_cleanup_(freep) char *text = NULL;
	size_t length = 0, room = 0;

	if (!file)
		return lbctl_fail(c, "cannot open %s: %s", path, strerror(errno));
	do {
		if (length + 1 >= room) {
			room = room ? room * 2 : 65536;
			text = realloc(text, room);
			if (!text)
				lbctl_memory();
		}
		length += fread(text + length, 1, room - length - 1, file);
	} while (!feof(file) && !ferror(file) && length <= LB_CONFIG_BYTES_MAX);
	if (ferror(file))
		return lbctl_fail(c, "cannot read %s: %s", standard ? "standard input" : path,
				  strerror(errno));
	if (length > LB_CONFIG_BYTES_MAX)
		return lbctl_fail(c, "%s is longer than %u MiB", standard ? "standard input" : path,
				  LB_CONFIG_BYTES_MAX >> 20);
	text[length] = 0;
	*ret_text = text;
	*ret_length = length;
	text = NULL;
	return EXIT_DONE;
}

cJSON *input_error(const struct lb_error *error, const char *file)
{
	cJSON *object = lbctl_error("%s", error->text);

	if (*error->path)
		cJSON_AddStringToObject(object, "path", error->path);
	if (*error->value)
		cJSON_AddStringToObject(object, "value", error->value);
	if (file)
		cJSON_AddStringToObject(object, "file", file);
	return object;
}
