// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a request may say only as the configuration file does. A table of sentences: what the file says, what
 * is asked for, and where it is refused.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/config_vouch.h"

#define PLAIN ""
#define WEB(more, backend)                                                                                   \
	"\"services\":[{\"name\":\"web\",\"vip\":\"192.0.2.1\",\"protocol\":\"tcp\",\"port\":80" more        \
	",\"backends\":[{\"name\":\"a\",\"address\":\"10.0.0.1\"" backend                                    \
	"},{\"name\":\"b\",\"address\":\"10.0.0.2\"}]}]"
#define CA(path)      "\"check\":{\"kind\":\"https\",\"ca\":\"" path "\"}"
#define ASK(to, port) "\"check\":{\"kind\":\"tcp\",\"address\":\"" to "\",\"port\":" port "}"
#define HEALTH(check) ",\"health\":{" check "}"

static struct lb_config *parse(const char *members)
{
	struct lb_config *config = NULL;
	struct lb_error error = {};
	char text[4096];

	snprintf(text, sizeof(text),
		 "{\"version\":1,\"hash_seed\":\"s\",\"interfaces\":[{\"name\":\"eth0\"}],%s}", members);
	if (lb_config_parse(text, strlen(text), &config, &error) < 0)
		fail_msg("%s at %s in %s", error.text, error.path, text);
	return config;
}

struct sentence {
	const char *what;
	const char *file, *next;
	const char *refused; /* path of the place; NULL: it may */
};

static const struct sentence sentences[] = {
	{ "what names nothing needs nobody", WEB(PLAIN, PLAIN), WEB(PLAIN, PLAIN), NULL },
	{ "a check of the backends themselves needs nobody", WEB(PLAIN, PLAIN),
	  WEB(HEALTH("\"check\":{\"kind\":\"tcp\",\"port\":8080}"), PLAIN), NULL },
	{ "a file that nobody vouches for, for a service", WEB(PLAIN, PLAIN),
	  WEB(HEALTH(CA("/etc/shadow")), PLAIN), "services[web].health.check.ca" },
	{ "for one backend", WEB(PLAIN, PLAIN), WEB(PLAIN, "," CA("/etc/shadow")),
	  "services[web].backends[a].check.ca" },
	{ "for all", WEB(PLAIN, PLAIN), WEB(PLAIN, PLAIN) HEALTH(CA("/etc/shadow")), "health.check.ca" },
	{ "another one than the file's", WEB(HEALTH(CA("/etc/ca.pem")), PLAIN),
	  WEB(HEALTH(CA("/etc/shadow")), PLAIN), "services[web].health.check.ca" },
	{ "the same", WEB(HEALTH(CA("/etc/ca.pem")), PLAIN), WEB(HEALTH(CA("/etc/ca.pem")), PLAIN), NULL },
	{ "the same in another place", WEB(HEALTH(CA("/etc/ca.pem")), PLAIN),
	  WEB(PLAIN, "," CA("/etc/ca.pem")), NULL },
	{ "also where no check reads it now", WEB(PLAIN, PLAIN),
	  WEB(HEALTH("\"check\":{\"kind\":\"none\",\"ca\":\"/etc/shadow\"}"), PLAIN),
	  "services[web].health.check.ca" },
	{ "a socket", WEB(PLAIN, PLAIN), WEB(PLAIN, PLAIN) ",\"api\":{\"socket\":\"/etc/cron.d/x\"}",
	  "api.socket" },
	{ "the default is everybody's", WEB(PLAIN, PLAIN) ",\"api\":{\"socket\":\"/run/x.sock\"}",
	  WEB(PLAIN, PLAIN) ",\"api\":{\"socket\":\"/run/weir/lbd.sock\"}", NULL },
	{ "the checker's socket", WEB(PLAIN, PLAIN), WEB(PLAIN, PLAIN) ",\"checker\":{\"socket\":\"/tmp/x\"}",
	  "checker.socket" },
	{ "one socket's name does not vouch for another",
	  WEB(PLAIN, PLAIN) ",\"api\":{\"socket\":\"/run/x.sock\"}",
	  WEB(PLAIN, PLAIN) ",\"checker\":{\"socket\":\"/run/x.sock\"}", "checker.socket" },
	{ "a canary", WEB(PLAIN, PLAIN), WEB(PLAIN, PLAIN) ",\"checker\":{\"canary\":\"10.9.9.9\"}",
	  "checker.canary" },
	{ "another port of the file's canary", WEB(PLAIN, PLAIN) ",\"checker\":{\"canary\":\"10.9.9.9\"}",
	  WEB(PLAIN, PLAIN) ",\"checker\":{\"canary\":\"10.9.9.9\",\"canary_port\":22}",
	  "checker.canary_port" },
	{ "a stranger is asked", WEB(PLAIN, PLAIN), WEB(HEALTH(ASK("10.9.9.9", "22")), PLAIN),
	  "services[web].backends[a].check.address" },
	{ "a stranger instead of one backend", WEB(PLAIN, PLAIN), WEB(PLAIN, "," ASK("10.9.9.9", "22")),
	  "services[web].backends[a].check.address" },
	{ "another backend of the service is none", WEB(PLAIN, PLAIN), WEB(PLAIN, "," ASK("10.0.0.2", "22")),
	  NULL },
	{ "whom the file has asked", WEB(HEALTH(ASK("10.9.9.9", "22")), PLAIN),
	  WEB(HEALTH(ASK("10.9.9.9", "22")), PLAIN), NULL },
	{ "at another port", WEB(HEALTH(ASK("10.9.9.9", "22")), PLAIN),
	  WEB(HEALTH(ASK("10.9.9.9", "23")), PLAIN), "services[web].backends[a].check.address" },
	{ "at another port, by one backend's word", WEB(HEALTH(ASK("10.9.9.9", "22")), PLAIN),
	  WEB(HEALTH(ASK("10.9.9.9", "22")), ",\"check\":{\"port\":23}"),
	  "services[web].backends[a].check.address" },
	{ "a stranger for all, who have backends", WEB(PLAIN, PLAIN),
	  WEB(PLAIN, PLAIN) HEALTH(ASK("10.9.9.9", "22")), "health.check.address" },
	{ "a stranger for all who may come", "\"services\":[]",
	  "\"services\":[]" HEALTH(ASK("10.9.9.9", "22")), "health.check.address" },
	{ "whom one service asks vouches for no other that comes", WEB(HEALTH(ASK("10.9.9.9", "22")), PLAIN),
	  "\"services\":[]" HEALTH(ASK("10.9.9.9", "22")), "health.check.address" },
	{ "the stranger for all whom the file has", WEB(PLAIN, PLAIN) HEALTH(ASK("10.9.9.9", "22")),
	  WEB(PLAIN, PLAIN) HEALTH(ASK("10.9.9.9", "22")), NULL },
};

static void a_request_says_no_more_than_the_file(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(sentences) / sizeof(sentences[0]); i++) {
		const struct sentence *sentence = &sentences[i];
		struct lb_config *file = parse(sentence->file), *next = parse(sentence->next);
		struct lb_error error = {};
		int r = lb_config_vouch(next, file, &error);

		if (r != (sentence->refused ? -EPERM : 0) ||
		    (sentence->refused && strcmp(error.path, sentence->refused) != 0))
			fail_msg("%s: %d at %s, not at %s", sentence->what, r, error.path,
				 sentence->refused ? sentence->refused : "no place");
		lb_config_free(file);
		lb_config_free(next);
	}
}

static void without_a_file_only_what_needs_nobody(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(sentences) / sizeof(sentences[0]); i++) {
		struct lb_config *next = parse(sentences[i].next);
		struct lb_error error = {};

		/* What is refused with a file is refused without. */
		if (sentences[i].refused)
			assert_int_equal(lb_config_vouch(next, NULL, &error), -EPERM);
		lb_config_free(next);
	}
}

/* What runs at the same place is not of the request; elsewhere it is. */
static void an_edit_is_judged_by_what_it_edits(void **state)
{
	struct lb_config *none = parse(WEB(PLAIN, PLAIN));
	struct lb_config *runs = parse(WEB(HEALTH(CA("/etc/ca.pem")), "," ASK("10.9.9.9", "22")));
	struct lb_config *reweighed =
		parse(WEB(HEALTH(CA("/etc/ca.pem")), ",\"weight\":7," ASK("10.9.9.9", "22")));
	struct lb_config *other = parse(WEB(HEALTH(CA("/etc/shadow")), "," ASK("10.9.9.9", "22")));
	struct lb_config *elsewhere = parse(WEB(HEALTH(CA("/etc/ca.pem")), "," ASK("10.9.9.9", "23")));
	struct lb_error error = {};

	(void)state;
	assert_int_equal(lb_config_vouch_service(reweighed, "web", runs, none, &error), 0);
	assert_int_equal(lb_config_vouch_service(reweighed, "web", NULL, none, &error), -EPERM);
	assert_string_equal(error.path, "services[web].health.check.ca");
	assert_int_equal(lb_config_vouch_service(reweighed, "web", NULL, runs, &error), 0);
	assert_int_equal(lb_config_vouch_service(other, "web", runs, none, &error), -EPERM);
	assert_string_equal(error.value, "\"/etc/shadow\"");
	assert_int_equal(lb_config_vouch_service(elsewhere, "web", runs, none, &error), -EPERM);
	assert_string_equal(error.path, "services[web].backends[a].check.address");
	/* Deleted by the edit. */
	assert_int_equal(lb_config_vouch_service(other, "gone", runs, none, &error), 0);
	lb_config_free(none);
	lb_config_free(runs);
	lb_config_free(reweighed);
	lb_config_free(other);
	lb_config_free(elsewhere);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_says_no_more_than_the_file),
		cmocka_unit_test(without_a_file_only_what_needs_nobody),
		cmocka_unit_test(an_edit_is_judged_by_what_it_edits),
	};

	return cmocka_run_group_tests_name("config_vouch", tests, NULL, NULL);
}
