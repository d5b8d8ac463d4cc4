/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reading objects of the Kubernetes API out of JSON, strictly: what is there must have its type, what is
 * absent or null is absent. The first thing that is wrong is kept, and makes the whole object one that is not
 * understood; so what reads asks once, at its end.
 */
#pragma once

#include <cjson/cJSON.h>
#include <linux/types.h>
#include <stdbool.h>

#include "base/error.h"

struct lb_kube_reader {
	struct lb_error *error; /* may be NULL */
	int failed;             /* 0, -EINVAL or -ENOMEM */
};

/* Members of an object (NULL: none of its members is there). NULL or the value that is given for absence. */
const cJSON *lb_kube_object(struct lb_kube_reader *reader, const cJSON *parent, const char *key);
const cJSON *lb_kube_array(struct lb_kube_reader *reader, const cJSON *parent, const char *key);
const char *lb_kube_text(struct lb_kube_reader *reader, const cJSON *parent, const char *key);
__s64 lb_kube_number(struct lb_kube_reader *reader, const cJSON *parent, const char *key, __s64 otherwise);
bool lb_kube_bool(struct lb_kube_reader *reader, const cJSON *parent, const char *key, bool otherwise);

/* An element of an array that has to be an object, or a string. */
const cJSON *lb_kube_element(struct lb_kube_reader *reader, const cJSON *element);
const char *lb_kube_element_text(struct lb_kube_reader *reader, const cJSON *element);

/* A copy to be freed; NULL of NULL, and where memory is out. */
char *lb_kube_copy(struct lb_kube_reader *reader, const char *text);

/* Memory for n zeroed elements; NULL of n == 0, and where memory is out. */
void *lb_kube_room(struct lb_kube_reader *reader, int n, size_t size);

/* Something else is wrong with a member. */
void lb_kube_wrong(struct lb_kube_reader *reader, const char *key, const char *what);
