// SPDX-License-Identifier: GPL-2.0-only
/* What the checks of lbctl doctor share, and the verb; see doctor.h. */
#include "lbctl/doctor/doctor.h"

#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "lbctl/agent.h"
#include "lbctl/format.h"

#define CONFIG_DEFAULT "/etc/weir/weir.json"
#define PATH_BYTES     512

static char *copy(const char *text)
{
	char *copied = strdup(text);

	if (!copied)
		lbctl_memory();
	return copied;
}

void doctor_found(struct doctor *doctor, const char *why, const char *mend, const char *format, ...)
{
	struct finding *findings =
		realloc(doctor->findings, (doctor->n_findings + 1) * sizeof(*doctor->findings));
	struct finding *finding;
	va_list arguments;

	if (!findings)
		lbctl_memory();
	doctor->findings = findings;
	finding = &findings[doctor->n_findings++];
	*finding = (struct finding){ .check = doctor->check->name, .why = copy(why), .mend = copy(mend) };
	va_start(arguments, format);
	if (vasprintf(&finding->found, format, arguments) < 0)
		lbctl_memory();
	va_end(arguments);
}

static void path_of(const struct doctor *doctor, char path[PATH_BYTES], const char *format, va_list arguments)
{
	int at = snprintf(path, PATH_BYTES, "%s", doctor->root);

	if (at < 0 || at >= PATH_BYTES ||
	    vsnprintf(path + at, PATH_BYTES - at, format, arguments) >= PATH_BYTES - at)
		path[0] = '\0';
}

bool doctor_read(const struct doctor *doctor, char *ret_text, size_t size, const char *format, ...)
{
	_cleanup_(fclosep) FILE *file = NULL;
	char path[PATH_BYTES];
	va_list arguments;

	va_start(arguments, format);
	path_of(doctor, path, format, arguments);
	va_end(arguments);
	file = fopen(path, "re");
	if (!file || !fgets(ret_text, (int)size, file))
		return false;
	ret_text[strcspn(ret_text, "\n")] = '\0';
	return true;
}

FILE *doctor_open(const struct doctor *doctor, const char *format, ...)
{
	char path[PATH_BYTES];
	va_list arguments;

	va_start(arguments, format);
	path_of(doctor, path, format, arguments);
	va_end(arguments);
	return fopen(path, "re");
}

bool doctor_link(const struct doctor *doctor, char *ret_name, size_t size, const char *format, ...)
{
	char path[PATH_BYTES], target[PATH_BYTES];
	const char *name;
	va_list arguments;
	ssize_t n;

	va_start(arguments, format);
	path_of(doctor, path, format, arguments);
	va_end(arguments);
	n = readlink(path, target, sizeof(target) - 1);
	if (n <= 0)
		return false;
	target[n] = '\0';
	name = strrchr(target, '/');
	snprintf(ret_name, size, "%s", name ? name + 1 : target);
	return true;
}

size_t doctor_list(const struct doctor *doctor, const char *prefix,
		   void (*visit)(void *context, const char *name), void *context, const char *format, ...)
{
	_cleanup_(closedirp) DIR *directory = NULL;
	const struct dirent *entry;
	char path[PATH_BYTES];
	va_list arguments;
	size_t n = 0;

	va_start(arguments, format);
	path_of(doctor, path, format, arguments);
	va_end(arguments);
	directory = opendir(path);
	while (directory && (entry = readdir(directory))) {
		if (entry->d_name[0] == '.' || strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
			continue;
		n++;
		if (visit)
			visit(context, entry->d_name);
	}
	return n;
}

/* --- the verb --------------------------------------------------------------------------------------------
 */

/* How many there are. */
static size_t run_checks(struct doctor *doctor, const struct check *checks)
{
	size_t n = 0;

	for (; checks->name; checks++, n++) {
		if ((checks->needs_config && !doctor->config) || (checks->needs_root && geteuid() != 0)) {
			doctor->n_skipped++;
			continue;
		}
		doctor->check = checks;
		checks->run(doctor);
	}
	return n;
}

static void print_json(const struct doctor *doctor, size_t n_checks)
{
	_cleanup_(cjson_freep) cJSON *root = cJSON_CreateObject();
	cJSON *list = cJSON_AddArrayToObject(root, "findings");

	for (size_t i = 0; i < doctor->n_findings; i++) {
		const struct finding *finding = &doctor->findings[i];
		cJSON *item = cJSON_CreateObject();

		cJSON_AddStringToObject(item, "check", finding->check);
		cJSON_AddStringToObject(item, "found", finding->found);
		cJSON_AddStringToObject(item, "why", finding->why);
		cJSON_AddStringToObject(item, "mend", finding->mend);
		cJSON_AddItemToArray(list, item);
	}
	cJSON_AddNumberToObject(root, "checks", (double)n_checks);
	cJSON_AddNumberToObject(root, "skipped", (double)doctor->n_skipped);
	json_print(root);
}

static void print_text(const struct doctor *doctor, size_t n_checks)
{
	for (size_t i = 0; i < doctor->n_findings; i++) {
		const struct finding *finding = &doctor->findings[i];
		_cleanup_(freep) char *found = text_clean(finding->found);

		printf("%s: %s\n    why:  %s\n    mend: %s\n", finding->check, found, finding->why,
		       finding->mend);
	}
	printf("%zu checks, %zu found something, %zu could not be made%s\n", n_checks - doctor->n_skipped,
	       doctor->n_findings, doctor->n_skipped,
	       doctor->n_skipped && geteuid() != 0 ? " (some need root)" : "");
}

static void open_all(struct doctor *doctor)
{
	const struct request request = { .method = "GET", .path = "/v1/status", .key = "generation" };
	_cleanup_(reply_done) struct reply reply = { 0 };
	_cleanup_(cjson_freep) cJSON *error = NULL;

	doctor->netlink = nl_socket_alloc();
	if (doctor->netlink && nl_connect(doctor->netlink, NETLINK_ROUTE) < 0) {
		nl_socket_free(doctor->netlink);
		doctor->netlink = NULL;
	}
	if (agent_try(doctor->c, &request, &reply, &error) == 0) {
		doctor->status = reply.root;
		reply.root = NULL;
	}
}

static void close_all(struct doctor *doctor)
{
	nl_socket_free(doctor->netlink);
	cJSON_Delete(doctor->status);
	lb_config_free(doctor->config);
	for (size_t i = 0; i < doctor->n_findings; i++) {
		free(doctor->findings[i].found);
		free(doctor->findings[i].why);
		free(doctor->findings[i].mend);
	}
	free(doctor->findings);
}

int verb_doctor(struct lbctl *c)
{
	const char *root = getenv("LBCTL_DOCTOR_ROOT");
	struct doctor doctor = { .c = c,
				 .config_file = c->n_arguments ? c->argument[0] : CONFIG_DEFAULT,
				 .root = root ? root : "" };
	size_t n_checks;
	int status;

	open_all(&doctor);
	n_checks = run_checks(&doctor, doctor_host_checks); /* the first one reads the configuration */
	n_checks += run_checks(&doctor, doctor_nic_checks);
	n_checks += run_checks(&doctor, doctor_network_checks);
	n_checks += run_checks(&doctor, doctor_agent_checks);
	if (c->json)
		print_json(&doctor, n_checks);
	else
		print_text(&doctor, n_checks);
	status = doctor.n_findings ? EXIT_FAILED : EXIT_DONE;
	close_all(&doctor);
	return status;
}
