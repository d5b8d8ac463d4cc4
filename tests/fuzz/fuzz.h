/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A fuzz target is a file fuzz_NAME.c with LLVMFuzzerTestOneInput(), and a corpus in corpus/NAME. It is
 * linked twice: with libFuzzer (make fuzz), and with replay.c, which feeds it the corpus in make check.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the program, as a sanitizer would, with a sentence. */
#define FUZZ_CHECK(condition, ...)                                                                           \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                                      \
			fprintf(stderr, __VA_ARGS__);                                                        \
			fprintf(stderr, "\n");                                                               \
			abort();                                                                             \
		}                                                                                            \
	} while (0)
