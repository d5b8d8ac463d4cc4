// SPDX-License-Identifier: GPL-2.0-only
/*
 * zlib at its fastest: what we send is text that says much the same in every line.
 */
#include "lbd/api/packing.h"

#include <stdlib.h>
#include <zlib.h>

#define GZIP_WINDOW_BITS (15 + 16) /* with gzip's header and trailer: zlib.h */
#define MEMORY_LEVEL     8
#define PIECE_BYTES      (16u << 10)

struct packing {
	z_stream stream;
};

struct packing *packing_new(void)
{
	struct packing *packing = calloc(1, sizeof(*packing));

	if (!packing)
		return NULL;
	if (deflateInit2(&packing->stream, Z_BEST_SPEED, Z_DEFLATED, GZIP_WINDOW_BITS, MEMORY_LEVEL,
			 Z_DEFAULT_STRATEGY) == Z_OK)
		return packing;
	free(packing);
	return NULL;
}

void packing_free(struct packing *packing)
{
	if (!packing)
		return;
	deflateEnd(&packing->stream);
	free(packing);
}

bool packing_add(struct packing *packing, const char *bytes, size_t n, bool last, struct json *out)
{
	z_stream *stream = &packing->stream;

	stream->next_in = (Bytef *)bytes;
	stream->avail_in = (uInt)n;
	do {
		char piece[PIECE_BYTES];

		stream->next_out = (Bytef *)piece;
		stream->avail_out = sizeof(piece);
		if (deflate(stream, last ? Z_FINISH : Z_NO_FLUSH) == Z_STREAM_ERROR)
			return false;
		out->comma = false;
		json_raw(out, NULL, piece, sizeof(piece) - stream->avail_out);
	} while (stream->avail_out == 0);
	return !out->failed;
}
