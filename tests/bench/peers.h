/* SPDX-License-Identifier: GPL-2.0-only */
/* What the client and the server of bench-peers agree on. */
#pragma once

#include <linux/types.h>

#define REQUEST_BYTES 64
#define ANSWER_BYTES  128
