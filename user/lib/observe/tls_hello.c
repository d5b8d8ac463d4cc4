// SPDX-License-Identifier: GPL-2.0-only
/*
 * A ClientHello from the beginning of a stream: first the records' payloads are joined, as far as they are at
 * hand and the hello reaches; then it is read by nested readers, each of which knows how long its part claims
 * to be and how much of that is there. What would be read beyond the one is a lie, beyond the other not here
 * yet.
 */
#include "observe/tls_hello.h"

#include <string.h>

#define RECORD_HANDSHAKE    22
#define RECORD_BYTES_MAX    16384u
#define RECORD_HEADER_BYTES 5u
#define CLIENT_HELLO        1
#define HANDSHAKE_HEADER    4u
#define RANDOM_BYTES        32u

#define VERSION_MAJOR 3
#define VERSION_1_3   0x0304

/* Extensions that tell us something. */
enum {
	ALPN = 16,
	SESSION_TICKET = 35,
	PRE_SHARED_KEY = 41,
	SUPPORTED_VERSIONS = 43,
};

struct reader {
	const uint8_t *at;
	size_t have; /* bytes that are here */
	size_t left; /* bytes that there should be: never less */
};

enum taken {
	TAKEN,
	MISSING,
	LIE,
};

static enum taken take(struct reader *reader, size_t n, const uint8_t **ret_at)
{
	if (n > reader->left)
		return LIE;
	if (n > reader->have)
		return MISSING;
	*ret_at = reader->at;
	reader->at += n;
	reader->have -= n;
	reader->left -= n;
	return TAKEN;
}

static enum taken take_number(struct reader *reader, size_t bytes, size_t *ret_number)
{
	const uint8_t *at;
	enum taken taken = take(reader, bytes, &at);
	size_t number = 0;

	if (taken != TAKEN)
		return taken;
	for (size_t i = 0; i < bytes; i++)
		number = number << 8 | at[i];
	*ret_number = number;
	return TAKEN;
}

/* A part of a length of its own, which a number of so many bytes tells. Of *ret_part not all need be here:
 * what comes behind it is then missing as well. */
static enum taken take_part(struct reader *reader, size_t length_bytes, struct reader *ret_part)
{
	size_t length;
	enum taken taken = take_number(reader, length_bytes, &length);

	if (taken != TAKEN)
		return taken;
	if (length > reader->left)
		return LIE;
	*ret_part = (struct reader){ .at = reader->at,
				     .have = length < reader->have ? length : reader->have,
				     .left = length };
	reader->at += ret_part->have;
	reader->have -= ret_part->have;
	reader->left -= length;
	return TAKEN;
}

/* A part that is here as a whole. */
static enum taken take_whole_part(struct reader *reader, size_t length_bytes, struct reader *ret_part)
{
	struct reader part;
	enum taken taken = take_part(reader, length_bytes, &part);

	if (taken != TAKEN)
		return taken;
	if (part.have < part.left)
		return MISSING;
	*ret_part = part;
	return TAKEN;
}

/* RFC 8701, 2: 0x0a0a, 0x1a1a, ... 0xfafa. */
static bool is_grease(size_t number)
{
	return (number & 0x0f0f) == 0x0a0a && number >> 8 == (number & 0xff);
}

/* The extension is in *in as a whole: there is nothing missing any more. */
static enum taken read_versions(struct reader *in, struct lb_tls_hello *out)
{
	struct reader list;
	size_t version, highest = 0;

	if (take_part(in, 1, &list) != TAKEN || in->left || !list.left)
		return LIE;
	while (list.left) {
		if (take_number(&list, 2, &version) != TAKEN)
			return LIE;
		if (version >> 8 == VERSION_MAJOR && version > highest)
			highest = version;
	}
	if (highest)
		out->version = (uint16_t)highest;
	return TAKEN;
}

static char printable(uint8_t byte)
{
	return byte > ' ' && byte < 0x7f && byte != '"' && byte != '\\' ? (char)byte : '?';
}

static void copy_protocol(const struct reader *name, char *to, size_t room)
{
	size_t n = name->left < room - 1 ? name->left : room - 1;

	for (size_t i = 0; i < n; i++)
		to[i] = printable(name->at[i]);
	to[n] = 0;
}

static bool is_grease_protocol(const struct reader *name)
{
	return name->left == 2 && is_grease((size_t)name->at[0] << 8 | name->at[1]);
}

static enum taken read_protocols(struct reader *in, struct lb_tls_hello *out)
{
	struct reader list, name;

	if (take_part(in, 2, &list) != TAKEN || in->left || !list.left)
		return LIE;
	while (list.left) {
		if (take_part(&list, 1, &name) != TAKEN || !name.left)
			return LIE;
		if (!out->alpn[0] && !is_grease_protocol(&name))
			copy_protocol(&name, out->alpn, sizeof(out->alpn));
	}
	return TAKEN;
}

static enum taken read_extension(size_t type, struct reader *in, struct lb_tls_hello *out)
{
	switch (type) {
	case ALPN:
		return read_protocols(in, out);
	case SESSION_TICKET:
		out->ticket = in->left > 0;
		return TAKEN;
	case PRE_SHARED_KEY:
		out->psk = true;
		return TAKEN;
	case SUPPORTED_VERSIONS:
		return read_versions(in, out);
	default:
		return TAKEN;
	}
}

static enum taken read_extensions(struct reader *in, struct lb_tls_hello *out)
{
	struct reader extension;
	uint64_t seen = 0;
	enum taken taken;
	size_t type;

	while (in->left) {
		taken = take_number(in, 2, &type);
		if (taken == TAKEN)
			taken = take_whole_part(in, 2, &extension);
		if (taken != TAKEN)
			return taken;
		/* RFC 8446, 4.2: none twice. Those that we read are all below 64. */
		if (type < 64 && seen >> type & 1)
			return LIE;
		if (type < 64)
			seen |= UINT64_C(1) << type;
		if (read_extension(type, &extension, out) != TAKEN)
			return LIE;
	}
	return TAKEN;
}

/* What comes before the extensions. *ret_session: of the session that is offered by its id, whose length
 * is all that matters. */
static enum taken read_fixed(struct reader *in, size_t *ret_version, struct reader *ret_session)
{
	struct reader suites, compressions;
	const uint8_t *random;
	enum taken taken = take_number(in, 2, ret_version);

	if (taken != TAKEN)
		return taken;
	if (*ret_version >> 8 != VERSION_MAJOR)
		return LIE;
	taken = take(in, RANDOM_BYTES, &random);
	if (taken == TAKEN)
		taken = take_whole_part(in, 1, ret_session);
	if (taken == TAKEN && ret_session->left > 32)
		return LIE;
	if (taken == TAKEN)
		taken = take_part(in, 2, &suites);
	if (taken == TAKEN && (!suites.left || suites.left % 2))
		return LIE;
	if (taken == TAKEN)
		taken = take_whole_part(in, 1, &compressions);
	if (taken == TAKEN && !compressions.left)
		return LIE;
	return taken;
}

static enum taken read_hello(struct reader *in, struct lb_tls_hello *out)
{
	struct reader session, extensions;
	enum taken taken;
	size_t version;

	taken = read_fixed(in, &version, &session);
	if (taken != TAKEN)
		return taken;
	if (in->left) {
		taken = take_part(in, 2, &extensions);
		if (taken == TAKEN && in->left)
			return LIE;
		if (taken == TAKEN)
			taken = read_extensions(&extensions, out);
		if (taken != TAKEN)
			return taken;
	}
	if (!out->version)
		out->version = (uint16_t)version;
	/* Clients of TLS 1.3 send an id that means nothing (RFC 8446, D.4). */
	out->ticket |= out->version < VERSION_1_3 && session.left > 0;
	return TAKEN;
}

/* What is at hand of the handshake, joined from its records. */
struct joined {
	uint8_t bytes[LB_TLS_HELLO_BYTES];
	size_t have;
};

/* Of header and hello: what there should be, as far as its header is here. */
static size_t hello_bytes(const struct joined *joined)
{
	const uint8_t *b = joined->bytes;

	if (joined->have < HANDSHAKE_HEADER)
		return HANDSHAKE_HEADER;
	return HANDSHAKE_HEADER + ((size_t)b[1] << 16 | (size_t)b[2] << 8 | b[3]);
}

/* TAKEN: all of the hello has been joined. */
static enum taken join_records(struct reader *in, struct joined *joined)
{
	struct reader record;
	const uint8_t *head;
	enum taken taken;

	while (joined->have < HANDSHAKE_HEADER || joined->have < hello_bytes(joined)) {
		taken = take(in, RECORD_HEADER_BYTES - 2, &head);
		if (taken != TAKEN)
			return taken;
		if (head[0] != RECORD_HANDSHAKE || head[1] != VERSION_MAJOR)
			return LIE;
		taken = take_part(in, 2, &record);
		if (taken != TAKEN)
			return taken;
		if (!record.left || record.left > RECORD_BYTES_MAX)
			return LIE;
		/* Both have the same limit, and records have headers: there is room. */
		memcpy(joined->bytes + joined->have, record.at, record.have);
		joined->have += record.have;
	}
	return TAKEN;
}

static enum taken read_stream(const uint8_t *bytes, size_t length, struct lb_tls_hello *out)
{
	/* How long a stream is nobody says: only what is missing can be met at its end. */
	struct reader stream = { .at = bytes, .have = length, .left = SIZE_MAX };
	struct joined joined = {};
	struct reader hello;
	enum taken taken = join_records(&stream, &joined);

	if (joined.have && joined.bytes[0] != CLIENT_HELLO)
		return LIE;
	if (taken == LIE || joined.have < HANDSHAKE_HEADER)
		return taken;
	out->hello = true;
	hello = (struct reader){ .at = joined.bytes + HANDSHAKE_HEADER,
				 .left = hello_bytes(&joined) - HANDSHAKE_HEADER };
	hello.have = joined.have - HANDSHAKE_HEADER;
	if (hello.have > hello.left)
		hello.have = hello.left;
	return read_hello(&hello, out);
}

static bool begins_as_tls(const uint8_t *bytes, size_t length)
{
	return (length < 1 || bytes[0] == RECORD_HANDSHAKE) && (length < 2 || bytes[1] == VERSION_MAJOR);
}

enum lb_tls_result lb_tls_hello_parse(const uint8_t *bytes, size_t length, struct lb_tls_hello *out)
{
	enum taken taken;

	*out = (struct lb_tls_hello){};
	if (length > LB_TLS_HELLO_BYTES)
		length = LB_TLS_HELLO_BYTES;
	if (!begins_as_tls(bytes, length))
		return LB_TLS_NOT_TLS;
	taken = read_stream(bytes, length, out);
	if (taken == LIE)
		return LB_TLS_BAD;
	out->complete = taken == TAKEN;
	if (out->complete)
		return LB_TLS_HELLO;
	if (length < LB_TLS_HELLO_BYTES)
		return LB_TLS_NEED_MORE;
	return out->hello ? LB_TLS_HELLO : LB_TLS_BAD;
}
