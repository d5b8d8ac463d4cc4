/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whether an interface hands the packet path packets that it merged from several.
 */
#pragma once

#include <stdbool.h>

/* In generic mode XDP comes after the kernel has merged packets (GRO, LRO): merged ones are longer than any
 * link's MTU and cannot be forwarded. */
bool offload_merges(const char *interface);

/* What to say of it, with the name of the interface three times. */
#define OFFLOAD_MERGES_TEXT                                                                                  \
	"%s is in generic mode and merges packets (GRO): merged ones are longer than the MTU and are "       \
	"dropped, so that uploads hang. Type: ethtool -K %s gro off lro off (if %s is a veth, also "         \
	"ethtool -K DEV tso off gso off at its far end)"
