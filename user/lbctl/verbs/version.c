// SPDX-License-Identifier: GPL-2.0-only
/* version: of lbctl, and of the agent when it can be asked; that it cannot is no failure. */
#include "lbctl/agent.h"
#include "lbctl/format.h"
#include "version.h"

static void print_json(const cJSON *agent, const cJSON *error)
{
	cJSON *root = cJSON_CreateObject();

	cJSON_AddStringToObject(root, "lbctl", LB_VERSION);
	if (agent) {
		cJSON_AddItemToObject(root, "lbd", cJSON_Duplicate(agent, true));
	} else {
		cJSON_AddNullToObject(root, "lbd");
		cJSON_AddItemToObject(root, "error", cJSON_Duplicate(error, true));
	}
	json_print(root);
	cJSON_Delete(root);
}

int verb_version(struct lbctl *c)
{
	static const struct {
		const char *key, *title;
	} lines[] = {
		{ "version", "lbd" },   { "layout", "map layout" }, { "kernel", "kernel" },
		{ "libbpf", "libbpf" }, { "libxdp", "libxdp" },
	};
	struct request request = { .method = "GET", .path = "/v1/version", .key = "version" };
	_cleanup_(reply_done) struct reply reply = { 0 };
	_cleanup_(cjson_freep) cJSON *error = NULL;

	agent_try(c, &request, &reply, &error);
	if (c->json) {
		print_json(reply.root, error);
		return EXIT_DONE;
	}
	printf("%-10s  %s\n", "lbctl", LB_VERSION);
	for (size_t i = 0; reply.root && i < sizeof(lines) / sizeof(lines[0]); i++) {
		const cJSON *item = json_get(reply.root, lines[i].key);
		_cleanup_(freep) char *text = NULL;

		if (!item)
			continue;
		text = cJSON_IsString(item) ? text_clean(item->valuestring) : json_line(item);
		printf("%-10s  %s\n", lines[i].title, text);
	}
	if (error)
		printf("%-10s  not reached: %s\n", "lbd", json_text(error, "message"));
	return EXIT_DONE;
}
