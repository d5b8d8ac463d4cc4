// SPDX-License-Identifier: GPL-2.0-only
/*
 * The file is only read where something needs it: most requests name no file and nobody else's host.
 */
#include "lbd/state/vouch.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "config/config_vouch.h"
#include "lbd/lbd.h"
#include "lbd/state/config_file.h"

struct request {
	const struct lb_config *next, *runs;
	const char *service; /* NULL: all of it */
};

static int judge(const struct request *request, const struct lb_config *file, struct lb_error *error)
{
	if (!request->service)
		return lb_config_vouch(request->next, file, error);
	return lb_config_vouch_service(request->next, request->service, request->runs, file, error);
}

/* 0 and the file as a configuration, owned by the caller; or why it cannot be asked. */
static int read_file(const struct lbd *lbd, struct lb_config **ret_file, struct lb_error *why)
{
	_cleanup_(freep) char *text = NULL;
	size_t length;
	int r = config_file_read_trusted(lbd->options.config_file, &text, &length, why);

	return r < 0 ? r : lb_config_parse(text, length, ret_file, why);
}

static int ask(const struct lbd *lbd, const struct request *request, struct lb_error *error)
{
	_cleanup_(lb_config_freep) struct lb_config *file = NULL;
	struct lb_error why = {}, refused = {};
	int r = judge(request, NULL, error);

	if (r != -EPERM)
		return r;
	if (read_file(lbd, &file, &why) == 0)
		return judge(request, file, error);
	refused = *error;
	return lb_error_at(error, EPERM, refused.path, refused.value,
			   "%.250s; %.100s cannot be asked: %.140s", refused.text, lbd->options.config_file,
			   why.text);
}

/* Beside the loop: of what runs only tasks change something. */
struct asking {
	const struct lbd *lbd;
	const struct request *request;
	int r;
	struct lb_error *error;
};

static void ask_beside(void *context)
{
	struct asking *asking = context;

	asking->r = ask(asking->lbd, asking->request, asking->error);
}

static int ask_file(const struct lbd *lbd, const struct request *request, struct lb_error *error)
{
	struct asking asking = { lbd, request, 0, error };

	task_beside(ask_beside, &asking);
	return asking.r;
}

int vouch_all(const struct lbd *lbd, const struct lb_config *next, struct lb_error *error)
{
	return ask_file(lbd, &(struct request){ .next = next }, error);
}

int vouch_service(const struct lbd *lbd, const struct lb_config *next, const char *service,
		  const struct lb_config *runs, struct lb_error *error)
{
	return ask_file(lbd, &(struct request){ .next = next, .runs = runs, .service = service }, error);
}
