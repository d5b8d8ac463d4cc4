// SPDX-License-Identifier: GPL-2.0-only
/*
 * Backends in as few bytes as they need: a configuration is kept for as long as it runs, and has hundreds of
 * thousands of them. One after the other: what follows (a byte), the address, what differs from the default,
 * the name with its terminating zero. Written here and read here, never stored.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/config_internal.h"

#define WEIGHT_DEFAULT 100u

/* The first byte: LB_FAMILY_*, enum lb_state, and what follows. */
#define FAMILY_MASK   0x07u
#define STATE_SHIFT   3u
#define STATE_MASK    0x03u
#define HAS_WEIGHT    0x20u /* two bytes, low one first */
#define HAS_SERVER_ID 0x40u /* one byte for the length, then so many */

static size_t address_bytes(__u8 family)
{
	return family == LB_FAMILY_V4 ? 4 : family == LB_FAMILY_V6 ? 16 : 0;
}

static size_t packed_bytes(const struct lb_config_backend *backend)
{
	return 1 + address_bytes(backend->address.family) + (backend->weight == WEIGHT_DEFAULT ? 0 : 2) +
	       (backend->server_id_bytes ? 1 + backend->server_id_bytes : 0) + strlen(backend->name) + 1;
}

static __u8 *put(__u8 *to, const void *from, size_t bytes)
{
	memcpy(to, from, bytes);
	return to + bytes;
}

static __u8 *pack_backend(const struct lb_config_backend *backend, __u8 *to)
{
	__u8 *flags = to++;

	*flags = (__u8)(backend->address.family | (unsigned int)backend->state << STATE_SHIFT);
	to = put(to, backend->address.bytes, address_bytes(backend->address.family));
	if (backend->weight != WEIGHT_DEFAULT) {
		*flags |= HAS_WEIGHT;
		*to++ = (__u8)backend->weight;
		*to++ = (__u8)(backend->weight >> 8);
	}
	if (backend->server_id_bytes) {
		*flags |= HAS_SERVER_ID;
		*to++ = backend->server_id_bytes;
		to = put(to, backend->server_id, backend->server_id_bytes);
	}
	return put(to, backend->name, strlen(backend->name) + 1);
}

int lb_config_pack(struct lb_config *config)
{
	size_t bytes = 0;
	__u8 *to;

	if (config->packed)
		return 0;
	for (size_t i = 0; i < config->n_services; i++) {
		for (size_t k = 0; k < config->services[i].n_backends; k++)
			bytes += packed_bytes(&config->services[i].backends[k]);
	}
	to = config->packed = malloc(bytes + 1);
	if (!to)
		return -ENOMEM;
	for (size_t i = 0; i < config->n_services; i++) {
		struct lb_config_service *service = &config->services[i];

		service->packed = to;
		for (size_t k = 0; k < service->n_backends; k++)
			to = pack_backend(&service->backends[k], to);
		free(service->backends);
		service->backends = NULL;
	}
	return 0;
}

static void read_plain(const struct lb_config_backend *from, struct lb_backend_config *ret_backend)
{
	*ret_backend = (struct lb_backend_config){
		.name = from->name,
		.address = from->address,
		.weight = from->weight,
		.state = from->state,
		.server_id_bytes = from->server_id_bytes,
	};
	memcpy(ret_backend->server_id, from->server_id, sizeof(from->server_id));
}

bool lb_backend_cursor_next(struct lb_backend_cursor *cursor, struct lb_backend_config *ret_backend)
{
	struct lb_backend_config backend = { .weight = WEIGHT_DEFAULT };
	const __u8 *at = cursor->at ? cursor->at : cursor->service->packed;
	__u8 flags;

	if (cursor->next == cursor->service->n_backends)
		return false;
	cursor->next++;
	if (!at) {
		read_plain(&cursor->service->backends[cursor->next - 1], ret_backend);
		return true;
	}
	flags = *at++;
	backend.state = (enum lb_state)(flags >> STATE_SHIFT & STATE_MASK);
	backend.address.family = flags & FAMILY_MASK;
	memcpy(backend.address.bytes, at, address_bytes(backend.address.family));
	at += address_bytes(backend.address.family);
	if (flags & HAS_WEIGHT) {
		backend.weight = at[0] | (__u32)at[1] << 8;
		at += 2;
	}
	if (flags & HAS_SERVER_ID) {
		backend.server_id_bytes = *at++;
		memcpy(backend.server_id, at, backend.server_id_bytes);
		at += backend.server_id_bytes;
	}
	backend.name = (const char *)at;
	cursor->at = at + strlen(backend.name) + 1;
	*ret_backend = backend;
	return true;
}

static bool same_backend(const struct lb_backend_config *a, const struct lb_backend_config *b)
{
	return a->weight == b->weight && a->state == b->state && a->server_id_bytes == b->server_id_bytes &&
	       memcmp(a->server_id, b->server_id, sizeof(a->server_id)) == 0 &&
	       lb_address_equal(&a->address, &b->address) && strcmp(a->name, b->name) == 0;
}

bool lb_config_same_backends(const struct lb_config_service *a, const struct lb_config_service *b)
{
	struct lb_backend_cursor of_a = { .service = a }, of_b = { .service = b };
	struct lb_backend_config x, y;

	if (a->n_backends != b->n_backends)
		return false;
	while (lb_backend_cursor_next(&of_a, &x) && lb_backend_cursor_next(&of_b, &y)) {
		if (!same_backend(&x, &y))
			return false;
	}
	return true;
}

static int unpack_service(struct lb_config_service *service)
{
	struct lb_backend_cursor cursor = { .service = service };
	struct lb_config_backend *backends = calloc(service->n_backends + 1, sizeof(*backends));
	struct lb_backend_config from;

	if (!backends)
		return -ENOMEM;
	while (lb_backend_cursor_next(&cursor, &from)) {
		struct lb_config_backend *to = &backends[cursor.next - 1];

		snprintf(to->name, sizeof(to->name), "%s", from.name);
		to->address = from.address;
		to->weight = from.weight;
		to->state = from.state;
		to->server_id_bytes = from.server_id_bytes;
		memcpy(to->server_id, from.server_id, sizeof(to->server_id));
	}
	service->backends = backends;
	service->packed = NULL;
	return 0;
}

struct lb_config_service *lb_config_unpacked(const struct lb_config *config)
{
	struct lb_config_service *services = calloc(config->n_services + 1, sizeof(*services));

	for (size_t i = 0; services && i < config->n_services; i++) {
		services[i] = config->services[i];
		if (unpack_service(&services[i]) == 0)
			continue;
		while (i--)
			free(services[i].backends);
		free(services);
		return NULL;
	}
	return services;
}
