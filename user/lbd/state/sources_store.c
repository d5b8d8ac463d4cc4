// SPDX-License-Identifier: GPL-2.0-only
/*
 * A file is a line ("weir-source 1", revision, digest of the rest) and a configuration with that service
 * alone.
 */
#include "lbd/state/sources_store.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "lbd/state/store_file.h"

#define DIRECTORY "sources"
#define NAME      (2 * LB_NAME_MAX + 1)

static void file_name(const char *source, const char *service, char ret_name[NAME])
{
	snprintf(ret_name, NAME, "%s+%s", source, service);
}

/* --- writing ---------------------------------------------------------------------------------------------
 */

/* The service alone in what is otherwise a configuration with every key as it is by default. */
static const char alone[] =
	"{\"version\":1,\"hash_seed\":\"none\",\"interfaces\":[{\"name\":\"lo\"}],\"services\":[]}";

static int print_service(const struct lb_source_service *service, char **ret_text, size_t *ret_length)
{
	struct lb_config_service copy = service->service;
	struct lb_config *config = NULL, with;
	FILE *out;
	int r = lb_config_parse(alone, strlen(alone), &config, NULL);

	if (r < 0)
		return r;
	with = *config;
	with.services = &copy;
	with.n_services = 1;
	out = open_memstream(ret_text, ret_length);
	r = out ? lb_config_write(&with, out) : -ENOMEM;
	if (out && fclose(out) != 0)
		r = -ENOMEM;
	lb_config_free(config);
	return r;
}

static int save_one(struct store *store, const struct lb_source_service *service, struct lb_error *error)
{
	_cleanup_(freep) char *config = NULL, *text = NULL;
	char name[NAME], digest[STORE_DIGEST];
	size_t length = 0;
	int n;

	if (print_service(service, &config, &length) < 0)
		return lb_error_set(error, ENOMEM, "out of memory");
	store_digest(config, length, digest);
	n = asprintf(&text, "weir-source 1 %llu %s\n%s", service->revision, digest, config);
	if (n < 0) {
		text = NULL;
		return lb_error_set(error, ENOMEM, "out of memory");
	}
	file_name(service->service.source, service->service.name, name);
	return store_write(store, DIRECTORY, name, text, (size_t)n, false, error);
}

void sources_remove_file(struct store *store, const char *source, const char *service)
{
	char name[NAME];

	file_name(source, service, name);
	(void)store_remove(store, DIRECTORY, name);
}

/* The two names in a file's name. False: it is none of ours. */
static bool split_name(const char *name, char source[LB_NAME_MAX], char service[LB_NAME_MAX])
{
	const char *plus = strchr(name, '+');

	if (!plus || plus == name || plus - name >= LB_NAME_MAX || !plus[1] ||
	    strlen(plus + 1) >= LB_NAME_MAX)
		return false;
	snprintf(source, LB_NAME_MAX, "%.*s", (int)(plus - name), name);
	snprintf(service, LB_NAME_MAX, "%s", plus + 1);
	return true;
}

static DIR *open_directory(struct store *store)
{
	int fd = store_subdirectory(store, DIRECTORY);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);

	if (!directory && fd >= 0)
		close(fd);
	return directory;
}

void sources_remove_absent(struct store *store, const struct lb_sources *sources)
{
	_cleanup_(closedirp) DIR *directory = open_directory(store);
	char source[LB_NAME_MAX], service[LB_NAME_MAX];
	struct dirent *entry;

	while (directory && (entry = readdir(directory)))
		if (split_name(entry->d_name, source, service) && !lb_sources_find(sources, source, service))
			(void)store_remove(store, DIRECTORY, entry->d_name);
}

void sources_save(struct store *store, struct lb_sources *sources, bool absent)
{
	struct lb_error error = {};
	size_t failed = 0;
	int fd = store_make_subdirectory(store, DIRECTORY);

	if (fd < 0) {
		store_tell(store, "what sources brought cannot be kept: %s", strerror(-fd));
		return;
	}
	close(fd);
	for (size_t i = 0; i < sources->n; i++) {
		if (!sources->all[i]->dirty)
			continue;
		if (save_one(store, sources->all[i], &error) < 0)
			failed++;
		else
			sources->all[i]->dirty = false;
	}
	if (failed)
		store_tell(store, "%zu services of sources cannot be kept: %s", failed, error.text);
	if (absent)
		sources_remove_absent(store, sources);
}

/* --- reading ---------------------------------------------------------------------------------------------
 */

/* NULL, or why it is of no use. */
static const char *parse(const char *text, size_t length, struct lb_config **ret_config, __u64 *ret_revision)
{
	const char *line = memchr(text, '\n', length);
	char digest[STORE_DIGEST], written[STORE_DIGEST];
	unsigned long long revision;
	size_t rest;

	if (!line || sscanf(text, "weir-source 1 %llu %32[0-9a-f]\n", &revision, written) != 2)
		return "it is not a service of a source";
	rest = length - (size_t)(line + 1 - text);
	store_digest(line + 1, rest, digest);
	if (strcmp(digest, written) != 0)
		return "its digest says that it is damaged";
	if (lb_config_parse(line + 1, rest, ret_config, NULL) < 0)
		return "this version does not know it";
	if ((*ret_config)->n_services != 1) {
		lb_config_free(*ret_config);
		*ret_config = NULL;
		return "it is not one service";
	}
	*ret_revision = revision;
	return NULL;
}

static int add(struct lb_sources *sources, const char *source, struct lb_config *config, __u64 revision)
{
	struct lb_config_source as = {};
	struct lb_source_put put = { .source = &as, .services = config, .revision = revision };
	int r;

	memcpy(as.name, source, sizeof(as.name));
	r = lb_sources_put(sources, &put);
	return r < 0 ? r : 0;
}

static int load_one(struct store *store, const char *name, struct lb_sources *sources)
{
	_cleanup_(freep) char *text = NULL;
	_cleanup_(lb_config_freep) struct lb_config *config = NULL;
	char source[LB_NAME_MAX], service[LB_NAME_MAX];
	const char *why = NULL;
	struct lb_source_service *added;
	__u64 revision = 0;
	size_t length;

	if (!split_name(name, source, service))
		return 0;
	if (store_read(store, DIRECTORY, name, &text, &length) < 0)
		why = "it cannot be read";
	if (!why)
		why = parse(text, length, &config, &revision);
	if (!why && strcmp(config->services[0].name, service) != 0)
		why = "it tells of another service than its name";
	if (why)
		return store_set_aside(store, DIRECTORY, name, why) == -ENOMEM ? -ENOMEM : 0;
	if (add(sources, source, config, revision) < 0)
		return -ENOMEM;
	added = lb_sources_find(sources, source, service);
	added->dirty = false;
	return 0;
}

int sources_load(struct store *store, struct lb_sources *sources)
{
	_cleanup_(closedirp) DIR *directory = open_directory(store);
	struct dirent *entry;
	int r = 0;

	while (r == 0 && directory && (entry = readdir(directory)))
		r = load_one(store, entry->d_name, sources);
	return r;
}
