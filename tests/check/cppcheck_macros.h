/* SPDX-License-Identifier: GPL-2.0-only */
/* Macros of libraries in a form that cppcheck can parse; for scripts/static-checks.sh alone. */
#define LIBBPF_OPTS(type, name, ...)      struct type name = { __VA_ARGS__ }
#define DECLARE_LIBBPF_OPTS               LIBBPF_OPTS
#define cJSON_ArrayForEach(item, array)   for (item = (array)->child; item; item = item->next)
#define HASH_ITER(handle, head, item, to) for (to = item = (head); item; to = item, item = to)
#define TAILQ_HEAD(name, type)                                                                               \
	struct name {                                                                                        \
		struct type *tqh_first;                                                                      \
	}
#define TAILQ_ENTRY(type)                                                                                    \
	struct {                                                                                             \
		struct type *tqe_next;                                                                       \
	}
#define TAILQ_FOREACH(item, head, field) for (item = (head)->tqh_first; item; item = item->field.tqe_next)
#define _cleanup_(function)
