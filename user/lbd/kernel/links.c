// SPDX-License-Identifier: GPL-2.0-only
#include "lbd/kernel/links.h"

#include "lbd/kernel/host_addresses.h"
#include "lbd/kernel/interfaces.h"
#include "lbd/lbd.h"

static void look(void *context)
{
	struct lbd *lbd = context;

	interfaces_update(lbd);
	host_addresses_update(lbd);
}

void links_look_again(struct lbd *lbd)
{
	task_call(lbd->tasks, &lbd->task.links, look, lbd);
}
