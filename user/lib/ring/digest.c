// SPDX-License-Identifier: GPL-2.0-only
/*
 * See digest.h. What is hashed is a text that names every value, so that no two different things look alike.
 */
#include "ring/digest.h"

#include <stdio.h>
#include <string.h>

#define TEXT_MAX 512

static __u64 rotate(__u64 word, unsigned int bits)
{
	return word << bits | word >> (64 - bits);
}

static void sip_round(__u64 v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] = rotate(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] = rotate(v[2], 32);
}

static void sip_word(__u64 v[4], __u64 word)
{
	v[3] ^= word;
	sip_round(v);
	sip_round(v);
	v[0] ^= word;
}

/* Up to 8 bytes, the first one lowest. */
static __u64 load(const __u8 *bytes, size_t n)
{
	__u64 word = 0;

	for (size_t i = 0; i < n; i++)
		word |= (__u64)bytes[i] << (8 * i);
	return word;
}

__u64 lb_siphash(const struct lb_digest_key *key, const void *bytes, size_t n)
{
	__u64 v[4] = { key->word[0] ^ 0x736f6d6570736575ull, key->word[1] ^ 0x646f72616e646f6dull,
		       key->word[0] ^ 0x6c7967656e657261ull, key->word[1] ^ 0x7465646279746573ull };
	const __u8 *at = bytes;

	for (size_t left = n; left >= 8; left -= 8, at += 8)
		sip_word(v, load(at, 8));
	sip_word(v, load(at, n & 7) | (__u64)n << 56);
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void lb_digest_key(const char *hash_seed, struct lb_digest_key *ret_key)
{
	static const struct lb_digest_key first = { { 1, 0 } }, second = { { 2, 0 } };

	ret_key->word[0] = lb_siphash(&first, hash_seed, strlen(hash_seed));
	ret_key->word[1] = lb_siphash(&second, hash_seed, strlen(hash_seed));
}

static __u64 digest_text(const struct lb_digest_key *key, const char *text)
{
	return lb_siphash(key, text, strlen(text));
}

__u64 lb_digest_of_key(const struct lb_digest_key *key)
{
	return digest_text(key, "key");
}

static __u64 digest_backend(const struct lb_digest_key *key, const struct lb_config_backend *backend)
{
	char text[TEXT_MAX], address[LB_ADDRESS_TEXT_MAX];

	snprintf(text, sizeof(text), "backend %s %s weight %u state %d tier %u id %u %llx", backend->name,
		 lb_address_text(&backend->address, address), backend->weight, backend->state, backend->tier,
		 backend->server_id_bytes,
		 (unsigned long long)load(backend->server_id, backend->server_id_bytes));
	return digest_text(key, text);
}

__u64 lb_digest_of_service(const struct lb_digest_key *key, const struct lb_config_service *service,
			   __u32 slots)
{
	char text[TEXT_MAX], vip[LB_PREFIX_TEXT_MAX];
	__u64 sum = 0;
	int n;

	for (size_t i = 0; i < service->n_backends; i++)
		sum += digest_backend(key, &service->backends[i]);
	n = snprintf(text, sizeof(text),
		     "service %s ring %s %s %u %u-%u algorithm %d slots %u affinity %d backends %llx",
		     service->name, lb_config_ring_name(service), lb_prefix_text(&service->vip, vip),
		     service->protocol, service->port_first, service->port_last, service->algorithm, slots,
		     service->affinity, (unsigned long long)sum);
	for (size_t i = 0; i < service->n_quic && n > 0 && n < (int)sizeof(text); i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, " quic %u %u", service->quic[i].rotation,
			      service->quic[i].server_id_bytes);
	return digest_text(key, text);
}

__u64 lb_digest_of_words(const struct lb_digest_key *key, const struct lb_words *words, __s64 now_s)
{
	__u64 sum = 0;

	for (size_t i = 0; i < words->n; i++) {
		const struct lb_word *word = &words->all[i];
		char text[TEXT_MAX];

		if (lb_word_is_over(word, now_s))
			continue;
		snprintf(text, sizeof(text), "word %s %s %d %u", word->service, word->backend, word->key,
			 word->value);
		sum += digest_text(key, text);
	}
	return sum;
}
