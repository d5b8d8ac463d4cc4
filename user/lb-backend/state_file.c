/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The state file: DIRECTORY/lb-backend.json, written to a temporary file, synced and renamed. DIRECTORY/
 * lb-backend.lock is held while one lb-backend works.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "base/cleanup.h"
#include "lb/decap.h"
#include "state.h"

#define STATE_VERSION    1
#define STATE_BYTES_MAX  (4 << 20)
#define MODE_NATIVE_NAME "native"

static cJSON *addresses_to_json(const struct address_list *list)
{
	char text[LB_ADDRESS_TEXT_MAX];
	cJSON *array = cJSON_CreateArray();

	for (size_t i = 0; array && i < list->n; i++)
		cJSON_AddItemToArray(array, cJSON_CreateString(lb_address_text(&list->items[i], text)));
	return array;
}

static int addresses_from_json(const cJSON *array, struct address_list *list)
{
	const cJSON *item;

	if (!cJSON_IsArray(array))
		return -EINVAL;
	cJSON_ArrayForEach (item, array) {
		struct lb_address address;
		int ret;

		if (!cJSON_IsString(item) || lb_address_parse(item->valuestring, &address) < 0)
			return -EINVAL;
		ret = address_list_add(list, &address);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static cJSON *prefixes_to_json(const struct prefix_list *list)
{
	char text[LB_PREFIX_TEXT_MAX];
	cJSON *array = cJSON_CreateArray();

	for (size_t i = 0; array && i < list->n; i++)
		cJSON_AddItemToArray(array, cJSON_CreateString(lb_prefix_text(&list->items[i], text)));
	return array;
}

/* Files of versions that did not know have none. */
static int prefixes_from_json(const cJSON *array, struct prefix_list *list)
{
	const cJSON *item;

	cJSON_ArrayForEach (item, array) {
		struct lb_prefix prefix;
		int ret;

		if (!cJSON_IsString(item) || lb_prefix_parse(item->valuestring, &prefix) < 0)
			return -EINVAL;
		ret = prefix_list_add(list, &prefix);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static cJSON *device_to_json(const struct device_state *device)
{
	cJSON *json = cJSON_CreateObject();

	cJSON_AddStringToObject(json, "name", device->name);
	cJSON_AddNumberToObject(json, "index", device->index);
	cJSON_AddStringToObject(json, "hook", hook_name(device->hook));
	cJSON_AddStringToObject(json, "mode", device->mode == LB_XDP_NATIVE ? MODE_NATIVE_NAME : "generic");
	cJSON_AddNumberToObject(json, "formats", device->formats);
	cJSON_AddNumberToObject(json, "gue_port", device->gue_port);
	cJSON_AddNumberToObject(json, "program_id", device->program_id);
	cJSON_AddBoolToObject(json, "clsact_added", device->clsact_added);
	cJSON_AddBoolToObject(json, "decap_only", device->decap_only);
	cJSON_AddItemToObject(json, "vips", addresses_to_json(&device->vips));
	cJSON_AddItemToObject(json, "from", prefixes_to_json(&device->from));
	return json;
}

/* A text that fits, or NULL. */
static const char *json_text(const cJSON *object, const char *key, size_t size)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

	return cJSON_IsString(item) && strlen(item->valuestring) < size ? item->valuestring : NULL;
}

static int json_number(const cJSON *object, const char *key, double limit, double *ret_value)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

	if (!cJSON_IsNumber(item) || item->valuedouble < -limit || item->valuedouble > limit)
		return -EINVAL;
	*ret_value = item->valuedouble;
	return 0;
}

static int device_from_json(const cJSON *json, struct state *state)
{
	const char *name = json_text(json, "name", IF_NAMESIZE), *hook = json_text(json, "hook", 16),
		   *mode = json_text(json, "mode", 16);
	double index, formats, gue_port, program_id;
	struct device_state *device;

	if (!name || !hook || !mode || json_number(json, "index", INT32_MAX, &index) < 0 ||
	    json_number(json, "formats", UINT8_MAX, &formats) < 0 ||
	    json_number(json, "gue_port", UINT16_MAX, &gue_port) < 0 ||
	    json_number(json, "program_id", UINT32_MAX, &program_id) < 0)
		return -EINVAL;
	device = state_device_add(state, name);
	if (!device)
		return -ENOMEM;
	device->index = index;
	device->mode = strcmp(mode, MODE_NATIVE_NAME) == 0 ? LB_XDP_NATIVE : LB_XDP_GENERIC;
	device->formats = formats;
	device->gue_port = gue_port;
	device->program_id = program_id;
	device->clsact_added = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "clsact_added"));
	device->decap_only = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "decap_only"));
	if (hook_parse(hook, &device->hook) < 0)
		return -EINVAL;
	if (prefixes_from_json(cJSON_GetObjectItemCaseSensitive(json, "from"), &device->from) < 0)
		return -EINVAL;
	return addresses_from_json(cJSON_GetObjectItemCaseSensitive(json, "vips"), &device->vips);
}

static cJSON *sysctl_to_json(const struct sysctl_state *sysctl)
{
	cJSON *json = cJSON_CreateObject();

	cJSON_AddStringToObject(json, "device", sysctl->device);
	cJSON_AddStringToObject(json, "key", sysctl->key);
	cJSON_AddNumberToObject(json, "previous", sysctl->previous);
	cJSON_AddNumberToObject(json, "value", sysctl->value);
	return json;
}

static int sysctl_from_json(const cJSON *json, struct state *state)
{
	const char *device = json_text(json, "device", IF_NAMESIZE), *key = json_text(json, "key", 32);
	double previous, value;
	struct sysctl_state *sysctl;

	/* These become a path below /proc/sys. */
	if (!device || !key || strchr(device, '/') || strchr(key, '/') || strcmp(device, "..") == 0 ||
	    strcmp(key, "..") == 0 || json_number(json, "previous", INT32_MAX, &previous) < 0 ||
	    json_number(json, "value", INT32_MAX, &value) < 0)
		return -EINVAL;
	sysctl = state_sysctl_add(state, device, key);
	if (!sysctl)
		return -ENOMEM;
	sysctl->previous = previous;
	sysctl->value = value;
	return 0;
}

static int state_from_json(const cJSON *json, struct state *state, unsigned long *ret_namespace)
{
	const cJSON *devices = cJSON_GetObjectItemCaseSensitive(json, "devices"),
		    *sysctls = cJSON_GetObjectItemCaseSensitive(json, "sysctls"), *item;
	double version, namespace;
	int ret;

	if (json_number(json, "version", INT32_MAX, &version) < 0 || version != STATE_VERSION ||
	    json_number(json, "namespace", UINT32_MAX, &namespace) < 0 || !cJSON_IsArray(devices) ||
	    !cJSON_IsArray(sysctls))
		return -EINVAL;
	*ret_namespace = namespace;
	cJSON_ArrayForEach (item, devices) {
		ret = device_from_json(item, state);
		if (ret < 0)
			return ret;
	}
	cJSON_ArrayForEach (item, sysctls) {
		ret = sysctl_from_json(item, state);
		if (ret < 0)
			return ret;
	}
	return addresses_from_json(cJSON_GetObjectItemCaseSensitive(json, "added"), &state->added);
}

static int file_read(const char *path, char **ret_text)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_(freep) char *text = NULL;
	struct stat st;
	ssize_t got;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size > STATE_BYTES_MAX)
		return -EFBIG;
	text = calloc(1, st.st_size + 1);
	if (!text)
		return -ENOMEM;
	got = read(fd, text, st.st_size);
	if (got != st.st_size)
		return got < 0 ? -errno : -EIO;
	*ret_text = text;
	text = NULL;
	return 0;
}

static int state_load(struct state *state, struct lb_error *error)
{
	_cleanup_(freep) char *text = NULL;
	_cleanup_(cjson_freep) cJSON *json = NULL;
	unsigned long namespace;
	int ret;

	ret = file_read(state->path, &text);
	if (ret == -ENOENT)
		return 0;
	if (ret < 0)
		return lb_error_set(error, -ret, "cannot read %s: %s", state->path, strerror(-ret));
	json = cJSON_Parse(text);
	ret = json ? state_from_json(json, state, &namespace) : -EINVAL;
	if (ret == -EINVAL)
		return lb_error_set(
			error, EINVAL,
			"%s is not a state file of this lb-backend; move it away when you have undone by "
			"hand what it lists",
			state->path);
	if (ret < 0)
		return lb_error_set(error, -ret, "%s: %s", state->path, strerror(-ret));
	if (namespace != state->namespace)
		return lb_error_set(
			error, EXDEV,
			"%s belongs to another network namespace (%lu, this is %lu): give each its "
			"--state-dir, or remove the file if that namespace is gone",
			state->path, namespace, state->namespace);
	return 0;
}

static int directory_make(const char *path)
{
	char part[512];

	if (strlen(path) >= sizeof(part) - sizeof("/lb-backend.json.new"))
		return -ENAMETOOLONG;
	for (size_t i = 1; i <= strlen(path); i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

int state_open(const char *directory, bool create, struct state *ret_state, struct lb_error *error)
{
	struct state state = { .lock_fd = -1 };
	char lock[512];
	struct stat st;
	int ret;

	if (create) {
		ret = directory_make(directory);
		if (ret < 0)
			return lb_error_set(error, -ret, "cannot make the state directory %s: %s", directory,
					    strerror(-ret));
	}
	snprintf(state.path, sizeof(state.path), "%s/lb-backend.json", directory);
	snprintf(lock, sizeof(lock), "%s/lb-backend.lock", directory);
	if (stat("/proc/self/ns/net", &st) < 0)
		return lb_error_set(error, errno, "cannot read /proc/self/ns/net: %m");
	state.namespace = st.st_ino;
	state.lock_fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (state.lock_fd < 0)
		return lb_error_set(error, errno, "cannot open %s: %m", lock);
	if (flock(state.lock_fd, LOCK_EX) < 0) {
		ret = lb_error_set(error, errno, "cannot lock %s: %m", lock);
		goto fail;
	}
	ret = state_load(&state, error);
	if (ret < 0)
		goto fail;
	*ret_state = state;
	return 0;
fail:
	state_done(&state);
	return ret;
}

static cJSON *state_to_json(const struct state *state)
{
	cJSON *json = cJSON_CreateObject();
	cJSON *devices, *sysctls;

	cJSON_AddNumberToObject(json, "version", STATE_VERSION);
	cJSON_AddNumberToObject(json, "namespace", state->namespace);
	devices = cJSON_AddArrayToObject(json, "devices");
	for (size_t i = 0; i < state->n_devices; i++)
		cJSON_AddItemToArray(devices, device_to_json(&state->devices[i]));
	cJSON_AddItemToObject(json, "added", addresses_to_json(&state->added));
	sysctls = cJSON_AddArrayToObject(json, "sysctls");
	for (size_t i = 0; i < state->n_sysctls; i++)
		cJSON_AddItemToArray(sysctls, sysctl_to_json(&state->sysctls[i]));
	return json;
}

static int file_write(const char *path, const char *text)
{
	_cleanup_(closep) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	size_t length = strlen(text);
	ssize_t put;

	if (fd < 0)
		return -errno;
	put = write(fd, text, length);
	if (put < 0 || (size_t)put != length)
		return put < 0 ? -errno : -ENOSPC;
	return fsync(fd) < 0 ? -errno : 0;
}

int state_save(const struct state *state, struct lb_error *error)
{
	_cleanup_(cjson_freep) cJSON *json = NULL;
	_cleanup_(freep) char *text = NULL;
	char temporary[sizeof(state->path) + 4];
	int ret;

	if (state->n_devices == 0 && state->n_sysctls == 0 && state->added.n == 0) {
		if (unlink(state->path) < 0 && errno != ENOENT)
			return lb_error_set(error, errno, "cannot remove %s: %m", state->path);
		return 0;
	}
	json = state_to_json(state);
	text = cJSON_Print(json);
	if (!text)
		return lb_error_set(error, ENOMEM, "out of memory");
	snprintf(temporary, sizeof(temporary), "%s.new", state->path);
	ret = file_write(temporary, text);
	if (ret == 0 && rename(temporary, state->path) < 0)
		ret = -errno;
	if (ret < 0)
		return lb_error_set(error, -ret, "cannot write %s: %s", state->path, strerror(-ret));
	return 0;
}
