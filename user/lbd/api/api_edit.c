// SPDX-License-Identifier: GPL-2.0-only
/*
 * PUT and DELETE of services and backends: edits of the running configuration's text, and with save=1 of the
 * file's as well. What the file says otherwise stays as it is.
 */
#include "lbd/api/api.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "config/config_edit.h"
#include "config/config_vouch.h"
#include "lbd/api/body.h"
#include "lbd/state/change.h"
#include "lbd/state/config_file.h"
#include "lbd/state/configured.h"
#include "lbd/state/vouch.h"

static void desired_donep(struct desired *desired)
{
	desired_done(desired);
}

/* What the request asks for. *ret_members: owned by the caller. */
static int read_edit(struct api_call *call, struct lb_config_edit *edit, cJSON **ret_members,
		     struct lb_error *error)
{
	const char *keys[LB_CONFIG_KEYS_MAX + 1];
	int r;

	*edit = (struct lb_config_edit){
		.how = strcmp(call->request->method, "DELETE") == 0 ? LB_EDIT_DELETE
		       : api_flag(call, "add")                      ? LB_EDIT_ADD
		       : api_flag(call, "merge")                    ? LB_EDIT_MERGE
								    : LB_EDIT_REPLACE,
		.service = call->service,
		.backend = call->backend[0] ? call->backend : NULL,
	};
	if (edit->how == LB_EDIT_DELETE)
		return 0;
	lb_config_keys(edit->backend, keys);
	r = body_read(call->request->body, call->request->length, keys, ret_members, error);
	edit->members = *ret_members;
	return r;
}

/* "service add web", "backend del web/web-1": for the record. */
static void name_cause(const struct lb_config_edit *edit, char *cause, size_t size)
{
	static const char *const verbs[] = {
		[LB_EDIT_ADD] = "add",
		[LB_EDIT_REPLACE] = "set",
		[LB_EDIT_MERGE] = "set",
		[LB_EDIT_DELETE] = "del",
	};

	snprintf(cause, size, "%s %s %s%s%s", edit->backend ? "backend" : "service", verbs[edit->how],
		 edit->service, edit->backend ? "/" : "", edit->backend ? edit->backend : "");
}

struct editing {
	const char *text;
	size_t length;
	const struct lb_config *config; /* of the text */
	const struct lb_config_edit *edit;
	char *edited;
	size_t edited_length;
	int r;
	struct lb_error *error;
};

/* The same edit in another service. */
static void edit_again(struct editing *editing, const char *service)
{
	struct lb_config_edit edit = *editing->edit;
	char *before = editing->edited;

	edit.service = service;
	editing->r = lb_config_edit(before, editing->edited_length, &edit, &editing->edited,
				    &editing->edited_length, editing->error);
	free(before);
}

/* A backend of a shared ring is one in all services that share it. */
static void edit_beside(void *context)
{
	struct editing *editing = context;
	const struct lb_config_edit *edit = editing->edit;
	const struct lb_config *config = editing->config;
	const struct lb_config_service *asked = config_find_service(config, edit->service);

	editing->r = lb_config_edit(editing->text, editing->length, edit, &editing->edited,
				    &editing->edited_length, editing->error);
	for (size_t i = 0; edit->backend && asked && editing->r == 0 && i < config->n_services; i++) {
		if (&config->services[i] != asked && lb_config_same_ring(&config->services[i], asked))
			edit_again(editing, config->services[i].name);
	}
}

/* lb_config_edit(), beside the loop. config: what the text says. */
static int edit_text(const char *text, size_t length, const struct lb_config *config,
		     const struct lb_config_edit *edit, char **ret_edited, size_t *ret_length,
		     struct lb_error *error)
{
	struct editing editing = {
		.text = text, .length = length, .config = config, .edit = edit, .error = error
	};

	task_beside(edit_beside, &editing);
	if (editing.r == 0) {
		*ret_edited = editing.edited;
		*ret_length = editing.edited_length;
	}
	return editing.r;
}

/* Whether an edit is of a service, or by its ring of that as well. */
static bool is_edited(const struct lb_config_service *service, const struct lb_config_service *asked,
		      const struct lb_config_edit *edit)
{
	return service == asked || (edit->backend && asked && lb_config_same_ring(service, asked));
}

static int vouch_edited(const struct lbd *lbd, const struct lb_config *next,
			const struct lb_config_edit *edit, struct lb_error *error)
{
	const struct lb_config_service *asked = config_find_service(next, edit->service);

	for (size_t i = 0; i < next->n_services; i++) {
		int r = is_edited(&next->services[i], asked, edit)
				? vouch_service(lbd, next, next->services[i].name,
						desired_file(&lbd->running), error)
				: 0;

		if (r < 0)
			return r;
	}
	return 0;
}

/* The edit made in the file's text, which must be a good configuration before and after; waits to be put
 * there. */
static int prepare_file(const struct lbd *lbd, const struct lb_config_edit *edit, char digest[STORE_DIGEST],
			struct config_save *save, struct lb_error *error)
{
	_cleanup_(freep) char *text = NULL, *edited = NULL;
	_cleanup_(lb_config_freep) struct lb_config *before = NULL, *after = NULL;
	const char *path = lbd->options.config_file;
	const struct lb_config_service *asked;
	struct lb_error why = {};
	size_t length, edited_length = 0;
	int r = config_file_read(path, &text, &length, error);

	if (r < 0)
		return r;
	if (config_parse(text, length, &before, &why) < 0)
		return lb_error_set(error, EINVAL,
				    "nothing can be saved: %s is no good configuration: %.300s", path,
				    why.text);
	r = edit_text(text, length, before, edit, &edited, &edited_length, &why);
	if (r < 0)
		return lb_error_at(error, -r, why.path, why.value, "%s: %.400s", path, why.text);
	if (config_parse(edited, edited_length, &after, &why) < 0)
		return lb_error_at(error, EINVAL, why.path, why.value,
				   "%s would be no good configuration: %.350s", path, why.text);
	/* What is to be saved is vouched for by nothing that is to be saved: the file may say more than runs.
	 */
	asked = config_find_service(after, edit->service);
	for (size_t i = 0; i < after->n_services; i++) {
		if (!is_edited(&after->services[i], asked, edit))
			continue;
		r = lb_config_vouch_service(after, after->services[i].name, before, before, error);
		if (r < 0)
			return r;
	}
	store_digest(edited, edited_length, digest);
	return config_save_prepare(path, edited, edited_length, save, error);
}

/* The running configuration with the edit made in it. */
static int edit_running(const struct lbd *lbd, const struct lb_config_edit *edit, struct desired *ret_next,
			struct lb_error *error)
{
	_cleanup_(freep) char *text = NULL, *edited = NULL;
	size_t length, edited_length = 0;
	int r = running_text(lbd, &text, &length, error);

	if (r == 0)
		r = edit_text(text, length, desired_file(&lbd->running), edit, &edited, &edited_length,
			      error);
	return r < 0 ? r : desired_from_text(lbd, edited, edited_length, ret_next, error);
}

static int change_and_save(struct api_call *call, const struct lb_config_edit *edit, struct change *change,
			   struct lb_error *error)
{
	_cleanup_(desired_donep) struct desired next = {};
	_cleanup_(config_save_cancel) struct config_save save = {};
	struct lb_error why = {};
	int r = edit_running(call->lbd, edit, &next, error);

	if (r == 0)
		r = vouch_edited(call->lbd, desired_file(&next), edit, error);
	if (r == 0 && api_flag(call, "save"))
		r = prepare_file(call->lbd, edit, next.file_digest, &save, error);
	if (r == 0)
		r = api_make(call, &next, change, error);
	if (r < 0 || api_refused(call) || change->dry_run || !save.target[0])
		return r;
	r = config_save_commit(&save, &why);
	json_bool(call->json, "saved", r == 0);
	return r < 0 ? lb_error_set(error, -r, "it runs, but was not saved: %.400s", why.text) : 0;
}

int api_edit(struct api_call *call, struct lb_error *error)
{
	_cleanup_(cjson_freep) cJSON *members = NULL;
	char cause[2 * LB_NAME_MAX + 32];
	struct lb_config_edit edit;
	struct change change = {
		.cause = cause,
		.kind = "edit",
		.judged = true,
		.dry_run = api_flag(call, "dry_run"),
		.allow_ring_resize = api_flag(call, "allow_ring_resize"),
	};
	int r = read_edit(call, &edit, &members, error);

	if (r < 0)
		return r;
	name_cause(&edit, cause, sizeof(cause));
	return change_and_save(call, &edit, &change, error);
}
