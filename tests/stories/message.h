/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What load and serve say to each other: requests and answers of one size, in host byte order (both run on
 * one machine).
 */
#pragma once

#include <linux/types.h>

#define MESSAGE_MAGIC 0x57526571u
#define MESSAGE_NAME  20

struct message {
	__u32 magic;
	__u32 flow;
	__u32 sequence;
	char name[MESSAGE_NAME]; /* of the server; zero in a request */
};
_Static_assert(sizeof(struct message) == 32, "no padding");
