// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table of annotations. Their words and ranges are the schema's.
 */
#include "kube/wish.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "config/schema.h"

/* --- one value -------------------------------------------------------------------------------------------
 * Each: 0, or -EINVAL where the value is none that it takes.
 */

static int read_choice(const char *value, const struct lb_schema_choice *choices, __s64 *ret_value)
{
	for (; choices->name; choices++)
		if (strcmp(choices->name, value) == 0) {
			*ret_value = choices->value;
			return 0;
		}
	return -EINVAL;
}

static int read_number(const char *value, __u32 from, __u32 to, __u32 *ret_number)
{
	unsigned long number;
	char *end;

	if (value[0] < '0' || value[0] > '9' || strlen(value) > 9)
		return -EINVAL;
	number = strtoul(value, &end, 10);
	if (*end || number < from || number > to)
		return -EINVAL;
	*ret_number = (__u32)number;
	return 0;
}

static int read_forward(const char *value, struct lb_kube_wish *wish)
{
	__s64 number = 0;
	int r = read_choice(value, lb_schema_forward, &number);

	wish->forward = (enum lb_forward)number;
	return r;
}

static int read_algorithm(const char *value, struct lb_kube_wish *wish)
{
	__s64 number = 0;
	int r = read_choice(value, lb_schema_algorithm, &number);

	wish->algorithm = (enum lb_algorithm)number;
	return r;
}

static int read_announce(const char *value, struct lb_kube_wish *wish)
{
	__s64 number = 0;
	int r = read_choice(value, lb_schema_announce_by, &number);

	wish->announce = (enum lb_announce_by)number;
	return r;
}

static int read_check(const char *value, struct lb_kube_wish *wish)
{
	if (strcmp(value, "proxy") == 0)
		wish->check = LB_KUBE_CHECK_PROXY;
	else if (strcmp(value, "none") == 0)
		wish->check = LB_KUBE_CHECK_NONE;
	else
		return -EINVAL;
	return 0;
}

static int read_idle_timeout(const char *value, struct lb_kube_wish *wish)
{
	return read_number(value, 1, 32000, &wish->idle_timeout_s);
}

static int read_ring_size(const char *value, struct lb_kube_wish *wish)
{
	int r = read_number(value, LB_RING_MIN, LB_RING_MAX, &wish->ring_size);

	return r == 0 && (wish->ring_size & (wish->ring_size - 1)) ? -EINVAL : r;
}

/* A word of the characters of a label's value. */
static int read_word(const char *value, char ret_word[LB_KUBE_LABEL_MAX])
{
	static const char characters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
	size_t length = strlen(value);

	if (length == 0 || length >= LB_KUBE_LABEL_MAX || value[strspn(value, characters)])
		return -EINVAL;
	memcpy(ret_word, value, length + 1);
	return 0;
}

static int read_share(const char *value, struct lb_kube_wish *wish)
{
	return read_word(value, wish->share);
}

static int read_pool(const char *value, struct lb_kube_wish *wish)
{
	return read_word(value, wish->pool);
}

static int add_address(const char *text, struct lb_kube_wish *wish)
{
	struct lb_address address;

	if (lb_address_parse(text, &address) < 0 || wish->n_addresses == LB_KUBE_FAMILIES)
		return -EINVAL;
	for (size_t i = 0; i < wish->n_addresses; i++)
		if (wish->addresses[i].family == address.family)
			return -EINVAL;
	wish->addresses[wish->n_addresses++] = address;
	return 0;
}

static int read_addresses(const char *value, struct lb_kube_wish *wish)
{
	char copy[2 * LB_ADDRESS_TEXT_MAX + 8], *rest = copy, *word;
	int r = 0;

	if (strlen(value) >= sizeof(copy))
		return -EINVAL;
	memcpy(copy, value, strlen(value) + 1);
	while (r == 0 && (word = strsep(&rest, ","))) {
		word += strspn(word, " ");
		word[strcspn(word, " ")] = 0;
		r = add_address(word, wish);
	}
	return r;
}

static const struct annotation {
	const char *name;
	int (*read)(const char *value, struct lb_kube_wish *wish);
	const char *accepted;
} annotations[] = {
	{ "addresses", read_addresses,
	  "an IPv4 address, an IPv6 address, or one of each with a comma between" },
	{ "algorithm", read_algorithm, "\"maglev\", \"ring\", \"rendezvous\" or \"bounded\"" },
	{ "announce", read_announce, "\"none\", \"route\" or \"neighbor\"" },
	{ "forward", read_forward, "\"l2\", \"ipip\" or \"gue\"" },
	{ "health-check", read_check, "\"proxy\" or \"none\"" },
	{ "idle-timeout-s", read_idle_timeout, "seconds, 1 to 32000" },
	{ "pool", read_pool, "the name of a pool" },
	{ LB_KUBE_RING_SIZE, read_ring_size, "a power of two from 64 to 65536; the leader writes it" },
	{ "share", read_share, "1 to 63 letters, digits, '-', '.' or '_'" },
};

#define ANNOTATIONS (sizeof(annotations) / sizeof(annotations[0]))

/* --- all of a Service ------------------------------------------------------------------------------------
 */

static int unknown(const struct lb_kube_pair *pair, const char *name, struct lb_error *error)
{
	const char *words[ANNOTATIONS + 1] = {}, *near;

	for (size_t i = 0; i < ANNOTATIONS; i++)
		words[i] = annotations[i].name;
	near = lb_nearest(name, words);
	return lb_error_at(error, EINVAL, pair->key, pair->value, "annotation %s is not known%s%s%s",
			   pair->key, near ? ": " LB_KUBE_PREFIX : "", near ? near : "", near ? " is" : "");
}

static int read_annotation(const struct lb_kube_pair *pair, struct lb_kube_wish *wish, struct lb_error *error)
{
	const char *name = pair->key + strlen(LB_KUBE_PREFIX);

	for (size_t i = 0; i < ANNOTATIONS; i++) {
		if (strcmp(annotations[i].name, name) != 0)
			continue;
		if (annotations[i].read(pair->value, wish) == 0)
			return 0;
		return lb_error_at(error, EINVAL, pair->key, pair->value,
				   "annotation %s is \"%.64s\", and must be %s", pair->key, pair->value,
				   annotations[i].accepted);
	}
	return unknown(pair, name, error);
}

/* spec.loadBalancerIP says what an annotation says; they may not differ. */
static int read_spec_address(const struct lb_kube_service *service, struct lb_kube_wish *wish,
			     struct lb_error *error)
{
	struct lb_address address;

	if (!service->wanted_address)
		return 0;
	if (lb_address_parse(service->wanted_address, &address) < 0)
		return lb_error_at(error, EINVAL, "spec.loadBalancerIP", service->wanted_address,
				   "spec.loadBalancerIP is \"%.64s\", which is no address",
				   service->wanted_address);
	for (size_t i = 0; i < wish->n_addresses; i++) {
		if (lb_address_equal(&wish->addresses[i], &address))
			return 0;
		if (wish->addresses[i].family == address.family)
			return lb_error_at(error, EINVAL, "spec.loadBalancerIP", service->wanted_address,
					   "spec.loadBalancerIP and annotation " LB_KUBE_PREFIX
					   "addresses name different addresses");
	}
	wish->addresses[wish->n_addresses++] = address;
	return 0;
}

int lb_kube_wish_parse(const struct lb_kube_service *service, const struct lb_kube_defaults *defaults,
		       struct lb_kube_wish *ret_wish, struct lb_error *error)
{
	struct lb_kube_wish wish = {
		.forward = defaults->forward,
		.algorithm = LB_ALGORITHM_BOUNDED,
		.announce = defaults->announce,
	};
	int r = 0;

	if (service->bad_policy)
		r = lb_error_set(error, EINVAL,
				 "externalTrafficPolicy, sessionAffinity or a "
				 "loadBalancerSourceRanges of at most %d is not known",
				 LB_SOURCE_RANGES_MAX);
	for (size_t i = 0; i < service->annotations.n && r == 0; i++)
		r = read_annotation(&service->annotations.all[i], &wish, error);
	if (r == 0)
		r = read_spec_address(service, &wish, error);
	if (r == 0)
		*ret_wish = wish;
	return r;
}

bool lb_kube_is_ours(const struct lb_kube_service *service, const struct lb_kube_defaults *defaults)
{
	if (!service->load_balancer)
		return false;
	return service->class ? strcmp(service->class, defaults->class) == 0 : defaults->default_class;
}
