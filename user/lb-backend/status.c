/* SPDX-License-Identifier: GPL-2.0-only */
/* lb-backend status: what should be, beside what is. Exit status 1 when they differ, or nothing is up. */
#include <errno.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/cleanup.h"
#include "lb-backend.h"

static const struct outcome {
	const char *name;
	const char *help;
} outcomes[LB_DECAP_OUTCOME_COUNT] = {
#define X(number, name, text, help) [number] = { text, help },
	LB_DECAP_OUTCOMES(X)
#undef X
};

/* What is true of a device now. */
struct device_view {
	const struct device_state *device;
	bool present;
	bool attached; /* or not wanted */
	struct program program;
	__u64 counts[LB_DECAP_OUTCOME_COUNT];
};

static void device_view(struct work *work, const struct device_state *device, struct device_view *view)
{
	struct lb_error ignored;
	unsigned int index;
	__u32 id;

	*view = (struct device_view){ .device = device, .program = PROGRAM_NONE };
	view->present = network_device(&work->network, device->name, &index, &ignored) == 0;
	view->attached = view->present;
	if (!view->present || device->hook == HOOK_NONE)
		return;
	view->attached = program_attached(index, device->hook, device->mode, &id) == 0 &&
			 program_open(id, device->hook, &view->program) == 0 &&
			 program_counts(&view->program, view->counts) == 0;
}

struct vip_view {
	bool present, ours;
	struct lb_decap_vip counts;
	bool counted;
};

static void vip_view(struct work *work, const struct device_view *device, const struct lb_address *vip,
		     struct vip_view *view)
{
	*view = (struct vip_view){};
	view->present = network_owner(&work->network, vip) == work->network.lo;
	view->ours = address_list_has(&work->state.added, vip);
	view->counted =
		device->program.fd >= 0 && program_vip_counts(&device->program, vip, &view->counts) == 0;
}

static bool sysctls_wanted(const struct device_state *device)
{
	if (device->decap_only)
		return false;
	for (size_t i = 0; i < device->vips.n; i++) {
		if (device->vips.items[i].family == LB_FAMILY_V4)
			return true;
	}
	return false;
}

static void add_u64(cJSON *object, const char *key, __u64 value)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", value);
	cJSON_AddRawToObject(object, key, text);
}

static bool vips_json(struct work *work, const struct device_view *view, cJSON *out)
{
	cJSON *array = cJSON_AddArrayToObject(out, "vips");
	char text[LB_ADDRESS_TEXT_MAX];
	bool right = true;

	for (size_t i = 0; i < view->device->vips.n; i++) {
		const struct lb_address *vip = &view->device->vips.items[i];
		cJSON *json = cJSON_CreateObject();
		struct vip_view is;

		vip_view(work, view, vip, &is);
		cJSON_AddStringToObject(json, "address", lb_address_text(vip, text));
		cJSON_AddBoolToObject(json, "present", is.present);
		cJSON_AddBoolToObject(json, "added", is.ours);
		if (is.counted) {
			add_u64(json, "packets", is.counts.packets);
			add_u64(json, "bytes", is.counts.bytes);
		}
		cJSON_AddItemToArray(array, json);
		right = right && (is.present || view->device->decap_only);
	}
	return right;
}

static bool sysctls_json(struct work *work, const struct device_view *view, cJSON *out)
{
	const char *devices[] = { "all", view->device->name };
	cJSON *array = cJSON_AddArrayToObject(out, "sysctls");
	bool right = true;

	for (size_t i = 0; sysctls_wanted(view->device) && i < 2 * WANTED_SYSCTLS; i++) {
		const struct wanted_sysctl *wanted = &wanted_sysctls[i % WANTED_SYSCTLS];
		const char *device = devices[i / WANTED_SYSCTLS];
		const struct sysctl_state *ours = state_sysctl(&work->state, device, wanted->key);
		cJSON *json = cJSON_CreateObject();
		char name[64];
		int now = -1;

		snprintf(name, sizeof(name), "net.ipv4.conf.%s.%s", device, wanted->key);
		sysctl_read("ipv4", device, wanted->key, &now);
		cJSON_AddStringToObject(json, "name", name);
		cJSON_AddNumberToObject(json, "wanted", wanted->value);
		cJSON_AddNumberToObject(json, "value", now);
		if (ours)
			cJSON_AddNumberToObject(json, "previous", ours->previous);
		cJSON_AddItemToArray(array, json);
		right = right && now == wanted->value;
	}
	return right;
}

static bool device_json(struct work *work, const struct device_view *view, cJSON *array)
{
	const struct device_state *device = view->device;
	cJSON *json = cJSON_CreateObject(), *counts, *from;
	char text[LB_PREFIX_TEXT_MAX];
	bool right = view->attached;

	cJSON_AddStringToObject(json, "name", device->name);
	cJSON_AddBoolToObject(json, "present", view->present);
	cJSON_AddStringToObject(json, "decap", formats_name(device->formats));
	cJSON_AddStringToObject(json, "hook", hook_name(device->hook));
	if (device->hook == HOOK_XDP)
		cJSON_AddStringToObject(json, "xdp_mode",
					device->mode == LB_XDP_NATIVE ? "native" : "generic");
	if (device->formats & LB_DECAP_FORMAT_GUE)
		cJSON_AddNumberToObject(json, "gue_port", device->gue_port);
	from = cJSON_AddArrayToObject(json, "from");
	for (size_t i = 0; i < device->from.n; i++)
		cJSON_AddItemToArray(from, cJSON_CreateString(lb_prefix_text(&device->from.items[i], text)));
	cJSON_AddBoolToObject(json, "attached", view->program.fd >= 0);
	if (view->program.fd >= 0) {
		cJSON_AddNumberToObject(json, "program_id", view->program.id);
		counts = cJSON_AddObjectToObject(json, "packets");
		for (int i = 0; i < LB_DECAP_OUTCOME_COUNT; i++)
			add_u64(counts, outcomes[i].name, view->counts[i]);
	}
	right &= vips_json(work, view, json);
	right &= sysctls_json(work, view, json);
	cJSON_AddBoolToObject(json, "ok", right);
	cJSON_AddItemToArray(array, json);
	return right;
}

static bool vips_print(struct work *work, const struct device_view *view)
{
	char text[LB_ADDRESS_TEXT_MAX];
	bool right = true;

	for (size_t i = 0; i < view->device->vips.n; i++) {
		struct vip_view is;

		vip_view(work, view, &view->device->vips.items[i], &is);
		printf("  vip     %-39s %s%s", lb_address_text(&view->device->vips.items[i], text),
		       is.present                 ? "on lo"
		       : view->device->decap_only ? "known to others"
						  : "MISSING on lo",
		       is.present && !is.ours ? " (not added by lb-backend)" : "");
		if (is.counted)
			printf(", %llu packets, %llu bytes", is.counts.packets, is.counts.bytes);
		printf("\n");
		right = right && (is.present || view->device->decap_only);
	}
	return right;
}

static bool sysctls_print(struct work *work, const struct device_view *view)
{
	const char *devices[] = { "all", view->device->name };
	bool right = true;

	for (size_t i = 0; sysctls_wanted(view->device) && i < 2 * WANTED_SYSCTLS; i++) {
		const struct wanted_sysctl *wanted = &wanted_sysctls[i % WANTED_SYSCTLS];
		const char *device = devices[i / WANTED_SYSCTLS];
		const struct sysctl_state *ours = state_sysctl(&work->state, device, wanted->key);
		int now = -1;

		sysctl_read("ipv4", device, wanted->key, &now);
		printf("  sysctl  net.ipv4.conf.%s.%s = %d", device, wanted->key, now);
		if (now != wanted->value)
			printf(", SHOULD BE %d", wanted->value);
		if (ours)
			printf(" (was %d)", ours->previous);
		printf("\n");
		right = right && now == wanted->value;
	}
	return right;
}

static void from_print(const struct device_state *device)
{
	char text[LB_PREFIX_TEXT_MAX];

	printf("  from   ");
	for (size_t i = 0; i < device->from.n; i++)
		printf(" %s", lb_prefix_text(&device->from.items[i], text));
	printf("%s\n", device->from.n ? "" : " any address: name the balancers' with --from");
}

static bool device_print(struct work *work, const struct device_view *view)
{
	const struct device_state *device = view->device;
	bool right = view->attached;

	printf("%s: ", device->name);
	if (!view->present)
		printf("GONE");
	else if (device->hook == HOOK_NONE)
		printf("no decapsulation");
	else
		printf("decapsulation of %s by %s, %s", formats_name(device->formats),
		       place_name(device->hook, device->mode), view->attached ? "attached" : "NOT ATTACHED");
	if (view->program.fd >= 0)
		printf(" (program %u)", view->program.id);
	printf("\n");
	if (device->formats)
		from_print(device);
	right &= vips_print(work, view);
	right &= sysctls_print(work, view);
	for (int i = 0; view->program.fd >= 0 && i < LB_DECAP_OUTCOME_COUNT; i++) {
		if (view->counts[i])
			printf("  packets %-15s %12llu  %s\n", outcomes[i].name, view->counts[i],
			       outcomes[i].help);
	}
	return right;
}

static int status(struct work *work)
{
	_cleanup_(cjson_freep) cJSON *root = cJSON_CreateObject();
	_cleanup_(freep) char *text = NULL;
	cJSON *devices = cJSON_AddArrayToObject(root, "devices");
	bool right = work->state.n_devices > 0;

	for (size_t i = 0; i < work->state.n_devices; i++) {
		struct device_view view;

		device_view(work, &work->state.devices[i], &view);
		right &= work->options->json ? device_json(work, &view, devices) : device_print(work, &view);
		program_close(&view.program);
	}
	if (work->options->json) {
		cJSON_AddBoolToObject(root, "ok", right);
		text = cJSON_Print(root);
		printf("%s\n", text ?: "{}");
	} else if (work->state.n_devices == 0) {
		printf("nothing is up\n");
	}
	return right ? 0 : 1;
}

int verb_status(const struct options *options)
{
	struct work work;
	int ret = work_begin(&work, options, false);

	if (ret == -ENOENT)
		ret = 0; /* an empty state */
	ret = ret < 0 ? fail(&work.error) : status(&work);
	work_end(&work);
	return ret;
}
