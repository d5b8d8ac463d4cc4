// SPDX-License-Identifier: GPL-2.0-only
/*
 * Client hellos as OpenSSL 3.0, curl 7.88 and Go 1.26 sent them (tests/fuzz/corpus/tls_hello, recorded from a
 * socket), and made ones for what those programs do not say: GREASE, several records, and lies.
 */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "observe/tls_hello.h"

struct bytes {
	uint8_t at[8192];
	size_t n;
};

/* --- recorded hellos
 * ---------------------------------------------------------------------------------------- */

/* The source tree is found from the place of the program (build/tests/unit/). */
static struct bytes recorded(const char *name)
{
	char path[PATH_MAX + 64];
	struct bytes b = {};
	ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);
	FILE *file;

	assert_true(length > 0);
	path[length] = 0;
	for (int i = 0; i < 4; i++) {
		char *slash = strrchr(path, '/');

		assert_non_null(slash);
		*slash = 0;
	}
	snprintf(path + strlen(path), 64, "/tests/fuzz/corpus/tls_hello/%s", name);
	file = fopen(path, "r");
	if (!file)
		fail_msg("%s is missing", path);
	b.n = fread(b.at, 1, sizeof(b.at), file);
	fclose(file);
	return b;
}

/* Of an exact copy: a byte read beyond its end is found by the sanitizer. */
static enum lb_tls_result parse(const uint8_t *bytes, size_t n, struct lb_tls_hello *out)
{
	uint8_t *copy = malloc(n ? n : 1);
	enum lb_tls_result result;

	assert_non_null(copy);
	memcpy(copy, bytes, n);
	memset(out, 0xa5, sizeof(*out));
	result = lb_tls_hello_parse(copy, n, out);
	free(copy);
	return result;
}

static void recorded_hellos_are_read(void **state)
{
	static const struct {
		const char *name;
		uint16_t version;
		bool ticket, psk;
		const char *alpn;
	} cases[] = {
		{ "openssl-tls13", 0x0304, false, false, "" },
		{ "openssl-tls13-resumed", 0x0304, false, true, "h2" },
		{ "openssl-tls12", 0x0303, false, false, "http/1.1" },
		{ "openssl-tls12-ticket", 0x0303, true, false, "" },
		{ "openssl-tls12-session-id", 0x0303, true, false, "" },
		{ "openssl-tls10", 0x0301, false, false, "" },
		{ "openssl-records-512", 0x0304, false, false, "protocol-000" },
		{ "curl-h2", 0x0304, false, false, "h2" },
		{ "go-post-quantum", 0x0304, false, false, "h2" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bytes b = recorded(cases[i].name);
		struct lb_tls_hello out;

		print_message("%s: %zu bytes\n", cases[i].name, b.n);
		assert_int_equal(parse(b.at, b.n, &out), LB_TLS_HELLO);
		assert_true(out.complete && out.hello);
		assert_int_equal(out.version, cases[i].version);
		assert_int_equal(out.ticket, cases[i].ticket);
		assert_int_equal(out.psk, cases[i].psk);
		assert_string_equal(out.alpn, cases[i].alpn);
	}
}

/* However few bytes the first segments bring, nothing is decided too early. */
static void each_beginning_of_a_hello_needs_more(void **state)
{
	static const char *const names[] = { "go-post-quantum", "openssl-tls12-ticket", "openssl-tls10",
					     "openssl-records-512" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct bytes b = recorded(names[i]);
		struct lb_tls_hello out;
		size_t n = 0;

		while (n < b.n && parse(b.at, n, &out) == LB_TLS_NEED_MORE) {
			assert_false(out.complete);
			assert_int_equal(out.hello, n >= 9);
			n++;
		}
		print_message("%s: needs %zu of %zu\n", names[i], n, b.n);
		assert_int_equal(parse(b.at, n, &out), LB_TLS_HELLO);
		assert_int_equal(n, b.n);
	}
}

static void what_is_not_tls_is_told_by_its_first_bytes(void **state)
{
	static const uint8_t sslv2[] = { 0x80, 0x2e, 0x01, 0x03, 0x01 };
	struct bytes http = recorded("http");
	struct lb_tls_hello out;

	assert_int_equal(parse(http.at, 1, &out), LB_TLS_NOT_TLS);
	assert_int_equal(parse(http.at, http.n, &out), LB_TLS_NOT_TLS);
	assert_int_equal(parse(sslv2, sizeof(sslv2), &out), LB_TLS_NOT_TLS);
	assert_int_equal(parse((const uint8_t *)"\x16\x02\x01", 3, &out), LB_TLS_NOT_TLS);
	assert_int_equal(parse((const uint8_t *)"", 0, &out), LB_TLS_NEED_MORE);
	assert_int_equal(parse((const uint8_t *)"\x16", 1, &out), LB_TLS_NEED_MORE);
}

/* --- made ones
 * ---------------------------------------------------------------------------------------------- */

static void add(struct bytes *b, const void *bytes, size_t n)
{
	assert_true(b->n + n <= sizeof(b->at));
	memcpy(b->at + b->n, bytes, n);
	b->n += n;
}

static void add_number(struct bytes *b, size_t bytes, size_t number)
{
	while (bytes--)
		add(b, &(uint8_t){ (uint8_t)(number >> 8 * bytes) }, 1);
}

static void add_extension(struct bytes *b, unsigned int type, const char *bytes, size_t n)
{
	add_number(b, 2, type);
	add_number(b, 2, n);
	add(b, bytes, n);
}

/* One that is right, but for what the test changes. */
struct made {
	int type, version, suites, compressions; /* added to what would be right */
	unsigned int session_bytes;
	const struct bytes *extensions; /* or NULL: none, not even their length */
	struct {
		unsigned int type;
		const char *bytes;
		size_t n;
	} extension;                   /* one more, if it has bytes */
	size_t padding;                /* bytes of an extension that fills */
	int lie_hello, lie_extensions; /* added to the lengths that are told */
};
#define MADE(...)               (&(const struct made){ __VA_ARGS__ })
#define EXTENSION(number, text) .extension = { .type = (number), .bytes = (text), .n = sizeof(text) - 1 }

static struct bytes handshake(const struct made *made)
{
	struct bytes b = {}, body = {}, extensions = {};
	static const uint8_t zeroes[6000];

	add_number(&body, 2, (size_t)(0x0303 + made->version));
	add(&body, zeroes, 32);
	add_number(&body, 1, made->session_bytes);
	add(&body, zeroes, made->session_bytes);
	add_number(&body, 2, (size_t)(2 + made->suites));
	add(&body, zeroes, (size_t)(2 + made->suites));
	add_number(&body, 1, (size_t)(1 + made->compressions));
	add(&body, zeroes, (size_t)(1 + made->compressions));
	if (made->padding)
		add_extension(&extensions, 21, (const char *)zeroes, made->padding);
	if (made->extensions)
		add(&extensions, made->extensions->at, made->extensions->n);
	if (made->extension.bytes)
		add_extension(&extensions, made->extension.type, made->extension.bytes, made->extension.n);
	if (extensions.n) {
		add_number(&body, 2, extensions.n + (size_t)made->lie_extensions);
		add(&body, extensions.at, extensions.n);
	}
	add_number(&b, 1, (size_t)(1 + made->type));
	add_number(&b, 3, body.n + (size_t)made->lie_hello);
	add(&b, body.at, body.n);
	return b;
}

static struct bytes in_records(const struct bytes *message, size_t each)
{
	struct bytes b = {};

	for (size_t at = 0; at < message->n; at += each) {
		size_t n = message->n - at < each ? message->n - at : each;

		add_number(&b, 3, 0x160301);
		add_number(&b, 2, n);
		add(&b, message->at + at, n);
	}
	return b;
}

static enum lb_tls_result parse_made(const struct made *made, struct lb_tls_hello *out)
{
	struct bytes message = handshake(made), stream = in_records(&message, 16384);

	return parse(stream.at, stream.n, out);
}

static struct bytes one_extension(unsigned int type, const char *bytes, size_t n)
{
	struct bytes b = {};

	add_extension(&b, type, bytes, n);
	return b;
}

static void values_of_grease_say_nothing(void **state)
{
	struct bytes extensions = {};
	struct lb_tls_hello out;

	add_extension(&extensions, 0x2a2a, "", 0);
	add_extension(&extensions, 43, "\x06\xfa\xfa\x03\x04\x03\x03", 7);
	add_extension(&extensions, 16, "\x00\x0f\x02\x4a\x4a\x02h2\x08http/1.1", 17);
	add_extension(&extensions, 0xdada, "x", 1);
	assert_int_equal(parse_made(MADE(.extensions = &extensions), &out), LB_TLS_HELLO);
	assert_int_equal(out.version, 0x0304);
	assert_string_equal(out.alpn, "h2");
	/* No version but those: what the hello says by itself. */
	extensions = one_extension(43, "\x04\xfa\xfa\x0a\x0a", 5);
	assert_int_equal(parse_made(MADE(.extensions = &extensions), &out), LB_TLS_HELLO);
	assert_int_equal(out.version, 0x0303);
}

static void a_session_id_offers_resumption_before_tls13_only(void **state)
{
	struct bytes versions = one_extension(43, "\x02\x03\x04", 3);
	struct lb_tls_hello out;

	assert_int_equal(parse_made(MADE(.session_bytes = 32), &out), LB_TLS_HELLO);
	assert_true(out.ticket);
	assert_int_equal(parse_made(MADE(.session_bytes = 32, .extensions = &versions), &out), LB_TLS_HELLO);
	assert_false(out.ticket);
	/* An empty ticket asks for one, and offers none. */
	versions = one_extension(35, "", 0);
	assert_int_equal(parse_made(MADE(.extensions = &versions), &out), LB_TLS_HELLO);
	assert_false(out.ticket);
}

static void a_hello_in_records_of_any_size_is_one(void **state)
{
	struct bytes extensions = {}, message, stream;
	struct lb_tls_hello whole, out;

	add_extension(&extensions, 43, "\x02\x03\x04", 3);
	add_extension(&extensions, 41, "key", 3);
	add_extension(&extensions, 16, "\x00\x03\x02h2", 5);
	message = handshake(MADE(.extensions = &extensions, .padding = 300));
	assert_int_equal(parse_made(MADE(.extensions = &extensions, .padding = 300), &whole), LB_TLS_HELLO);
	assert_true(whole.psk);
	for (size_t each = 1; each < message.n; each++) {
		stream = in_records(&message, each);
		assert_int_equal(parse(stream.at, stream.n, &out), LB_TLS_HELLO);
		assert_memory_equal(&out, &whole, sizeof(out));
	}
	/* What follows it is not looked at. */
	stream = in_records(&message, 100);
	add(&stream, "GET /", 5);
	assert_int_equal(parse(stream.at, stream.n, &out), LB_TLS_HELLO);
	assert_memory_equal(&out, &whole, sizeof(out));
}

static void of_a_huge_hello_is_told_what_four_kib_hold(void **state)
{
	struct bytes extensions = one_extension(16, "\x00\x03\x02h2", 5);
	struct bytes message = handshake(MADE(.extensions = &extensions, .padding = 5000)), stream, late = {};
	struct lb_tls_hello out;

	stream = in_records(&message, 16384);
	assert_int_equal(parse(stream.at, 4095, &out), LB_TLS_NEED_MORE);
	assert_int_equal(parse(stream.at, 4096, &out), LB_TLS_HELLO);
	assert_true(out.hello && !out.complete);
	assert_string_equal(out.alpn, "");
	assert_int_equal(parse(stream.at, stream.n, &out), LB_TLS_HELLO);
	assert_false(out.complete);
	/* The protocols first: they are seen. */
	late = extensions;
	add_number(&late, 2, 51);
	add_number(&late, 2, 5000);
	for (int i = 0; i < 5000; i++)
		add_number(&late, 1, 0);
	message = handshake(MADE(.extensions = &late));
	stream = in_records(&message, 16384);
	assert_int_equal(parse(stream.at, 4096, &out), LB_TLS_HELLO);
	assert_false(out.complete);
	assert_string_equal(out.alpn, "h2");
}

static void names_of_protocols_are_made_harmless(void **state)
{
	static const struct {
		const char *name, *wanted;
	} cases[] = {
		{ "h2c", "h2c" },
		{ "a\"b\\c\n\x7f\xff", "a?b?c???" },
		{ "0123456789abcdefg", "0123456789abcde" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bytes list = {}, extensions;
		size_t n = strlen(cases[i].name);
		struct lb_tls_hello out;

		add_number(&list, 2, n + 1);
		add_number(&list, 1, n);
		add(&list, cases[i].name, n);
		extensions = one_extension(16, (const char *)list.at, list.n);
		assert_int_equal(parse_made(MADE(.extensions = &extensions), &out), LB_TLS_HELLO);
		assert_string_equal(out.alpn, cases[i].wanted);
	}
}

static void lies_are_refused(void **state)
{
	const struct made *cases[] = {
		MADE(.type = 1),
		MADE(.version = -0x100),
		MADE(.session_bytes = 33),
		MADE(.suites = -2),
		MADE(.suites = 1),
		MADE(.compressions = -1),
		MADE(EXTENSION(0, "x"), .lie_extensions = 1),
		MADE(EXTENSION(0, "x"), .lie_extensions = -1),
		MADE(.lie_hello = -1),
		MADE(EXTENSION(0, "x"), .lie_hello = -1),
		MADE(EXTENSION(43, "")),
		MADE(EXTENSION(43, "\x00")),
		MADE(EXTENSION(43, "\x03\x03\x04\x03")),
		MADE(EXTENSION(43, "\x04\x03\x04")),
		MADE(EXTENSION(43, "\x02\x03\x04\x00")),
		MADE(EXTENSION(16, "\x00\x00")),
		MADE(EXTENSION(16, "\x00\x03\x03h2")),
		MADE(EXTENSION(16, "\x00\x01\x00")),
		MADE(EXTENSION(16, "\x00\x04\x02h2")),
	};
	struct bytes twice = {};
	struct lb_tls_hello out;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (parse_made(cases[i], &out) != LB_TLS_BAD)
			fail_msg("lie %zu was believed", i);
	/* The same extension twice. */
	add_extension(&twice, 35, "", 0);
	add_extension(&twice, 35, "ticket", 6);
	assert_int_equal(parse_made(MADE(.extensions = &twice), &out), LB_TLS_BAD);
}

static void lies_of_records_are_refused(void **state)
{
	struct bytes message = handshake(MADE(.padding = 100)), stream;
	struct lb_tls_hello out;

	/* Empty; too long; of another kind in between. */
	assert_int_equal(parse((const uint8_t *)"\x16\x03\x01\x00\x00", 5, &out), LB_TLS_BAD);
	assert_int_equal(parse((const uint8_t *)"\x16\x03\x01\x40\x01", 5, &out), LB_TLS_BAD);
	stream = in_records(&message, 100);
	stream.at[105] = 23;
	assert_int_equal(parse(stream.at, stream.n, &out), LB_TLS_BAD);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(recorded_hellos_are_read),
		cmocka_unit_test(each_beginning_of_a_hello_needs_more),
		cmocka_unit_test(what_is_not_tls_is_told_by_its_first_bytes),
		cmocka_unit_test(values_of_grease_say_nothing),
		cmocka_unit_test(a_session_id_offers_resumption_before_tls13_only),
		cmocka_unit_test(a_hello_in_records_of_any_size_is_one),
		cmocka_unit_test(of_a_huge_hello_is_told_what_four_kib_hold),
		cmocka_unit_test(names_of_protocols_are_made_harmless),
		cmocka_unit_test(lies_are_refused),
		cmocka_unit_test(lies_of_records_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
