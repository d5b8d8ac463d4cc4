// SPDX-License-Identifier: GPL-2.0-only
/*
 * See hellos.h. What waits longest gives way; what it would have told is told as far as it goes no more: its
 * flow is counted as no hello at all.
 */
#include "observe/hellos.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct waiting {
	struct lb_observe_id id;
	size_t length; /* 0: free */
	uint8_t bytes[LB_OBSERVE_HELLO_MAX];
};

struct lb_hellos {
	struct waiting waiting[LB_HELLOS_KEPT];
	unsigned int next; /* whose turn it is to give way */
};

int lb_hellos_new(struct lb_hellos **ret_hellos)
{
	struct lb_hellos *hellos = calloc(1, sizeof(*hellos));

	if (!hellos)
		return -ENOMEM;
	*ret_hellos = hellos;
	return 0;
}

void lb_hellos_free(struct lb_hellos *hellos)
{
	free(hellos);
}

static struct waiting *find(struct lb_hellos *hellos, const struct lb_observe_id *id)
{
	for (unsigned int i = 0; i < LB_HELLOS_KEPT; i++) {
		struct waiting *waiting = &hellos->waiting[i];

		if (waiting->length && memcmp(&waiting->id, id, sizeof(*id)) == 0)
			return waiting;
	}
	return NULL;
}

static void keep(struct lb_hellos *hellos, const struct lb_observe_event *event, const uint8_t *data)
{
	struct waiting *waiting = &hellos->waiting[hellos->next++ % LB_HELLOS_KEPT];

	waiting->id = event->id;
	waiting->length = event->data_bytes;
	memcpy(waiting->bytes, data, event->data_bytes);
}

/* Whether there is a second segment to wait for: the packet path asks for it where the record goes on. */
static bool goes_on(const struct lb_observe_event *event, const uint8_t *data)
{
	size_t record = 5 + ((size_t)data[3] << 8 | data[4]);

	return event->data_bytes < record && event->data_bytes < LB_OBSERVE_HELLO_MAX;
}

bool lb_hellos_take(struct lb_hellos *hellos, const struct lb_observe_event *event, const uint8_t *data,
		    struct lb_tls_hello *ret_hello, enum lb_tls_result *ret_result)
{
	struct waiting *waiting = find(hellos, &event->id);

	if (event->data_offset == 0) {
		if (waiting)
			waiting->length = 0;
		*ret_result = lb_tls_hello_parse(data, event->data_bytes, ret_hello);
		if (*ret_result != LB_TLS_NEED_MORE || event->data_bytes < 5 || !goes_on(event, data))
			return true;
		keep(hellos, event, data);
		return false;
	}
	if (!waiting || waiting->length != event->data_offset ||
	    waiting->length + event->data_bytes > sizeof(waiting->bytes)) {
		if (waiting)
			waiting->length = 0;
		return false;
	}
	memcpy(waiting->bytes + waiting->length, data, event->data_bytes);
	*ret_result = lb_tls_hello_parse(waiting->bytes, waiting->length + event->data_bytes, ret_hello);
	waiting->length = 0;
	return true;
}
