/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Any bytes as the beginning of a connection. What is said of them does not depend on how they came in: a
 * verdict on a beginning stays the verdict on more, and a hello is the same one in records of another size.
 */
#include <string.h>

#include "fuzz.h"
#include "observe/tls_hello.h"

/* On the heap, exactly: one byte beyond it is found. */
static enum lb_tls_result parse(const uint8_t *data, size_t size, struct lb_tls_hello *out)
{
	uint8_t *copy = malloc(size ? size : 1);
	enum lb_tls_result result;

	if (!copy)
		exit(1);
	memcpy(copy, data, size);
	result = lb_tls_hello_parse(copy, size, out);
	free(copy);
	FUZZ_CHECK(memchr(out->alpn, 0, sizeof(out->alpn)), "a protocol without an end");
	FUZZ_CHECK(!out->complete || result == LB_TLS_HELLO, "complete, and result %d", result);
	FUZZ_CHECK(result != LB_TLS_HELLO || out->complete || size >= LB_TLS_HELLO_BYTES,
		   "decided too early");
	return result;
}

static void by_beginnings(const uint8_t *data, size_t size, enum lb_tls_result whole,
			  const struct lb_tls_hello *hello)
{
	struct lb_tls_hello part;

	/* All of the first ones, then some. */
	for (size_t n = 0; n < size; n += n < 64 ? 1 : 1 + n / 8) {
		enum lb_tls_result result = parse(data, n, &part);

		if (result == LB_TLS_NEED_MORE)
			continue;
		FUZZ_CHECK(result == whole, "%d of %zu bytes, %d of %zu", result, n, whole, size);
		FUZZ_CHECK(!part.complete || !memcmp(&part, hello, sizeof(part)),
			   "another hello of %zu bytes", n);
	}
}

/* The payloads of the records that hold the hello. */
static size_t join(const uint8_t *data, size_t size, uint8_t *to)
{
	size_t have = 0;

	for (size_t at = 0, n; at + 5 < size; at += 5 + n) {
		n = (size_t)data[at + 3] << 8 | data[at + 4];
		if (n > size - at - 5)
			n = size - at - 5;
		memcpy(to + have, data + at + 5, n);
		have += n;
		if (have >= 4 && have >= 4 + ((size_t)to[1] << 16 | (size_t)to[2] << 8 | to[3]))
			return 4 + ((size_t)to[1] << 16 | (size_t)to[2] << 8 | to[3]);
	}
	return have;
}

static void in_other_records(const uint8_t *data, size_t size, const struct lb_tls_hello *hello, size_t each)
{
	static uint8_t message[LB_TLS_HELLO_BYTES], stream[LB_TLS_HELLO_BYTES * 6];
	size_t have = join(data, size, message), length = 0;
	struct lb_tls_hello again;

	for (size_t at = 0, n; at < have; at += n) {
		n = have - at < each ? have - at : each;
		memcpy(stream + length, (uint8_t[]){ 22, 3, 1, (uint8_t)(n >> 8), (uint8_t)n }, 5);
		memcpy(stream + length + 5, message + at, n);
		length += 5 + n;
	}
	if (length > LB_TLS_HELLO_BYTES)
		return;
	FUZZ_CHECK(parse(stream, length, &again) == LB_TLS_HELLO, "refused in records of %zu", each);
	FUZZ_CHECK(!memcmp(&again, hello, sizeof(again)), "another hello in records of %zu", each);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lb_tls_hello hello;
	enum lb_tls_result result = parse(data, size, &hello);

	if (size > LB_TLS_HELLO_BYTES)
		size = LB_TLS_HELLO_BYTES;
	by_beginnings(data, size, result, &hello);
	if (hello.complete) {
		in_other_records(data, size, &hello, 1);
		in_other_records(data, size, &hello, 37);
		in_other_records(data, size, &hello, 16384);
	}
	return 0;
}
