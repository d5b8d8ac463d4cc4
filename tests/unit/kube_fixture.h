/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Objects of Kubernetes for tests: written with ' for ", and what a test changes named by it.
 */
#pragma once

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kube/objects.h"
#include "kube/store.h"

static inline char *quoted(const char *format, va_list arguments)
{
	char *text = NULL;

	assert_true(vasprintf(&text, format, arguments) >= 0);
	for (char *at = text; *at; at++)
		if (*at == '\'')
			*at = '"';
	return text;
}

static inline cJSON *json_of(const char *format, ...) __attribute__((format(printf, 1, 2)));
static inline cJSON *json_of(const char *format, ...)
{
	va_list arguments;
	char *text;
	cJSON *json;

	va_start(arguments, format);
	text = quoted(format, arguments);
	va_end(arguments);
	json = cJSON_Parse(text);
	if (!json)
		print_error("no JSON: %s\n", text);
	assert_non_null(json);
	free(text);
	return json;
}

/* A Service of ours in namespace default, with more members of its metadata, spec and status (each
 * ",'key':value"). */
static inline struct lb_kube_service *service_of(const char *name, const char *meta, const char *spec,
						 const char *status)
{
	struct lb_kube_service *service = NULL;
	struct lb_error error = {};
	cJSON *json =
		json_of("{'metadata':{'namespace':'default','name':'%s','uid':'u-%s','resourceVersion':'1',"
			"'creationTimestamp':'2026-01-01T00:00:00Z'%s},"
			"'spec':{'type':'LoadBalancer','loadBalancerClass':'weir.dev/weir'%s},'status':{%s}}",
			name, name, meta, spec, status);

	if (lb_kube_service_parse(json, &service, &error) < 0)
		print_error("%s: %s\n", error.path, error.text);
	assert_non_null(service);
	cJSON_Delete(json);
	return service;
}

#define PORT_80 ",'ports':[{'name':'http','port':80,'protocol':'TCP','nodePort':30080}]"

/* A slice of a Service with the endpoints given, of which each is "address node ready serving terminating".
 */
static inline struct lb_kube_slice *slice_of(struct lb_kube_names *names, const char *name,
					     const char *service, const char *type, const char *endpoints)
{
	struct lb_kube_slice *slice = NULL;
	struct lb_error error = {};
	cJSON *json = json_of("{'metadata':{'namespace':'default','name':'%s','labels':{"
			      "'kubernetes.io/service-name':'%s'}},'addressType':'%s',"
			      "'ports':[{'name':'http','port':8080,'protocol':'TCP'}],'endpoints':[%s]}",
			      name, service, type, endpoints);

	if (lb_kube_slice_parse(json, names, &slice, &error) < 0)
		print_error("%s: %s\n", error.path, error.text);
	assert_non_null(slice);
	cJSON_Delete(json);
	return slice;
}

static inline struct lb_kube_node *node_of(const char *name, int number, const char *meta, const char *spec)
{
	struct lb_kube_node *node = NULL;
	cJSON *json =
		json_of("{'metadata':{'name':'%s'%s},'spec':{%s},'status':{'addresses':["
			"{'type':'Hostname','address':'%s'},{'type':'InternalIP','address':'10.0.0.%d'},"
			"{'type':'InternalIP','address':'fd00::%d'}]}}",
			name, meta, spec, name, number, number);

	assert_int_equal(lb_kube_node_parse(json, "weir.dev/edge", &node, NULL), 0);
	cJSON_Delete(json);
	return node;
}
