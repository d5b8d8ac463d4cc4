/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What objects have in common, for the files that read them.
 */
#pragma once

#include "kube/objects.h"
#include "kube/reader.h"

void lb_kube_read_meta(struct lb_kube_reader *reader, const cJSON *object, struct lb_kube_meta *meta);

/* Members that are strings; those whose key begins with prefix. */
void lb_kube_read_pairs(struct lb_kube_reader *reader, const cJSON *object, const char *prefix,
			struct lb_kube_pairs *pairs);
void lb_kube_pairs_done(struct lb_kube_pairs *pairs);

/* A list of strings. */
void lb_kube_read_texts(struct lb_kube_reader *reader, const cJSON *list, char ***ret_texts, size_t *ret_n);
void lb_kube_texts_done(char **texts, size_t n);

/* Ports of a Service or of a slice. */
void lb_kube_read_ports(struct lb_kube_reader *reader, const cJSON *list, struct lb_kube_port **ret_ports,
			size_t *ret_n);
