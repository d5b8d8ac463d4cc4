/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a TLS ClientHello tells an observer of a connection's first bytes: which version the client offers,
 * which protocol it wants to speak, and whether it means to resume (RFC 8446, RFC 5246, RFC 5077, RFC 7301;
 * GREASE values, RFC 8701, say nothing). Whoever sends these bytes may be hostile: nothing in them is
 * believed beyond its place, and work and memory are bounded.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of a connection, that many bytes are looked at. Hellos with post-quantum shares are of some 1,800. */
#define LB_TLS_HELLO_BYTES 4096u

enum lb_tls_result {
	LB_TLS_NEED_MORE, /* so far it is well-formed; ask again with what follows */
	LB_TLS_HELLO,     /* it is a hello: whole, or as far as LB_TLS_HELLO_BYTES go */
	LB_TLS_NOT_TLS,   /* it does not begin as TLS does */
	LB_TLS_BAD,       /* it begins as TLS does, but is no hello or lies about a length */
};

struct lb_tls_hello {
	bool complete;    /* nothing of it was missing; else the rest is as far as was seen */
	bool hello;       /* its header was seen */
	uint16_t version; /* the highest that is offered, 0x0301 to 0x0304 as things are; 0: not seen yet */
	bool ticket;      /* offers a session of TLS 1.2 or older: by ticket or by its id */
	bool psk;         /* offers a pre-shared key: nearly always a session of TLS 1.3 */
	char alpn[16];    /* the first protocol that is offered, cut to fit; what is not printable is '?' */
};

/*
 * bytes: the first ones of what the client sent, from the first on, length of them; those beyond
 * LB_TLS_HELLO_BYTES are ignored. *out is always filled. Keeps nothing: called again with more, it
 * begins again.
 */
enum lb_tls_result lb_tls_hello_parse(const uint8_t *bytes, size_t length, struct lb_tls_hello *out);
