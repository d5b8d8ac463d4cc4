// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that lives as long as a plan, in large blocks: a plan for thousands of services would leave holes
 * between what the engine keeps, and a hole that is smaller than a page is never given back to the system.
 */
#include "engine/engine_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES (1u << 20)
#define ALIGNMENT   16u

struct lb_plan_block {
	struct lb_plan_block *next;
	size_t used, size;
	unsigned char bytes[] __attribute__((aligned(ALIGNMENT)));
};

void *lb_plan_memory(struct lb_plan *plan, size_t bytes)
{
	struct lb_plan_block *block = plan->blocks;

	bytes = (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	if (!block || block->size - block->used < bytes) {
		/* The first one is for plans that change little. */
		size_t size = block ? BLOCK_BYTES : BLOCK_BYTES / 16;

		if (size < bytes)
			size = bytes;
		block = malloc(sizeof(*block) + size);
		if (!block)
			return NULL;
		*block = (struct lb_plan_block){ .next = plan->blocks, .size = size };
		plan->blocks = block;
	}
	block->used += bytes;
	return memset(block->bytes + block->used - bytes, 0, bytes);
}

void lb_plan_memory_back(struct lb_plan *plan, void *last)
{
	if (last)
		plan->blocks->used = (size_t)((unsigned char *)last - plan->blocks->bytes);
}

struct lb_member *lb_plan_scratch(struct lb_plan *plan, __u32 n_members)
{
	if (n_members > plan->scratch_members) {
		free(plan->scratch);
		plan->scratch_members = 0;
		plan->scratch = malloc(n_members * sizeof(*plan->scratch));
		if (!plan->scratch)
			return NULL;
		plan->scratch_members = n_members;
	}
	return memset(plan->scratch, 0, n_members * sizeof(*plan->scratch));
}

void lb_plan_memory_done(struct lb_plan *plan)
{
	struct lb_plan_block *next;

	for (; plan->blocks; plan->blocks = next) {
		next = plan->blocks->next;
		free(plan->blocks);
		lb_engine_pause(plan->engine);
	}
	free(plan->scratch);
}
