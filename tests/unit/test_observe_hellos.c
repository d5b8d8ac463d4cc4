/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The observer apart from kernel and agent: how the TLS hello of a connection is put together from its first
 * segments.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lb/observe_flow.h"
#include "observe/hellos.h"

/* A hello of TLS 1.2 with so many bytes of session id and ciphers. */
static size_t make_hello(uint8_t *bytes, size_t ciphers)
{
	size_t body = 2 + 32 + 1 + 2 + ciphers + 2, n = 0;

	bytes[n++] = 22;
	bytes[n++] = 3;
	bytes[n++] = 1;
	bytes[n++] = (uint8_t)((body + 4) >> 8);
	bytes[n++] = (uint8_t)(body + 4);
	bytes[n++] = 1;
	bytes[n++] = 0;
	bytes[n++] = (uint8_t)(body >> 8);
	bytes[n++] = (uint8_t)body;
	bytes[n++] = 3;
	bytes[n++] = 3;
	memset(bytes + n, 7, 32);
	n += 32;
	bytes[n++] = 0;
	bytes[n++] = (uint8_t)(ciphers >> 8);
	bytes[n++] = (uint8_t)ciphers;
	memset(bytes + n, 0x2f, ciphers);
	n += ciphers;
	bytes[n++] = 1;
	bytes[n++] = 0;
	return n;
}

static void a_hello_in_two_segments_is_read_as_one(void **state)
{
	struct lb_observe_event event = { .kind = LB_OBSERVE_HELLO, .id = { 5, 1, 7 }, .data_bytes = 1400 };
	struct lb_hellos *hellos;
	struct lb_tls_hello hello;
	enum lb_tls_result result;
	uint8_t bytes[2048];
	size_t n = make_hello(bytes, 1700);

	assert_int_equal(lb_hellos_new(&hellos), 0);
	assert_false(lb_hellos_take(hellos, &event, bytes, &hello, &result));
	/* Somebody else's second segment is not its own. */
	event.id.turn = 6;
	event.data_offset = 1400;
	event.data_bytes = (__u16)(n - 1400);
	assert_false(lb_hellos_take(hellos, &event, bytes + 1400, &hello, &result));
	event.id.turn = 5;
	assert_true(lb_hellos_take(hellos, &event, bytes + 1400, &hello, &result));
	assert_int_equal(result, LB_TLS_HELLO);
	assert_true(hello.complete);
	assert_int_equal(hello.version, 0x0303);
	/* It is told of once. */
	assert_false(lb_hellos_take(hellos, &event, bytes + 1400, &hello, &result));
	lb_hellos_free(hellos);
}

static void lies_about_segments_are_borne(void **state)
{
	static uint8_t bytes[LB_OBSERVE_HELLO_MAX];
	struct lb_hellos *hellos;
	struct lb_tls_hello hello;
	enum lb_tls_result result;

	assert_int_equal(lb_hellos_new(&hellos), 0);
	srand(11);
	for (int i = 0; i < 20000; i++) {
		struct lb_observe_event event = { .kind = LB_OBSERVE_HELLO,
						  .id.place = (__u16)(rand() % 100) };

		make_hello(bytes, (size_t)(rand() % 3900));
		event.data_bytes = (__u16)(1 + rand() % LB_OBSERVE_HELLO_MAX);
		event.data_offset = rand() % 3 ? 0 : (__u16)(rand() % LB_OBSERVE_HELLO_MAX);
		if (rand() % 4 == 0)
			bytes[rand() % 64] = (uint8_t)rand();
		lb_hellos_take(hellos, &event, bytes, &hello, &result);
	}
	lb_hellos_free(hellos);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hello_in_two_segments_is_read_as_one),
		cmocka_unit_test(lies_about_segments_are_borne),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
