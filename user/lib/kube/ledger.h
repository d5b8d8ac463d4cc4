/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who has which address. An address is one Service's, or of several that name the same key to share it and
 * have no port in common. Of two that claim what only one can have the older Service has it: so every
 * balancer, and every leader, says the same, whatever it saw first.
 */
#pragma once

#include "kube/pools.h"
#include "kube/reasons.h"
#include "kube/wish.h"

struct lb_kube_ledger;

struct lb_kube_ledger *lb_kube_ledger_new(void);         /* NULL: out of memory */
void lb_kube_ledger_free(struct lb_kube_ledger *ledger); /* takes NULL */

/* To be told who has lost an address to an older one. */
void lb_kube_ledger_on_loss(struct lb_kube_ledger *ledger, void (*lost)(void *context, const char *key),
			    void *context);

/*
 * A Service claims an address; key: "namespace/name". 0: it has it now, or had it; -EADDRINUSE: others do,
 * and are older; -ENOMEM.
 */
int lb_kube_ledger_claim(struct lb_kube_ledger *ledger, const char *key,
			 const struct lb_kube_service *service, const char *share,
			 const struct lb_address *address);

/* Whether a claim would be granted without anybody losing it. */
bool lb_kube_ledger_is_free(const struct lb_kube_ledger *ledger, const char *key,
			    const struct lb_kube_service *service, const char *share,
			    const struct lb_address *address);

/* A Service does not have an address any more, if it had. */
void lb_kube_ledger_release(struct lb_kube_ledger *ledger, const char *key, const struct lb_address *address);

/* One who has an address, for people; NULL: nobody. */
const char *lb_kube_ledger_holder(const struct lb_kube_ledger *ledger, const struct lb_address *address);

/* Addresses of a family that somebody has. */
size_t lb_kube_ledger_count(const struct lb_kube_ledger *ledger, __u8 family);

/*
 * Addresses for a Service: one for each of its families. What it has (held, claimed before) it keeps, unless
 * it asks for another. What is returned is free for it, and not claimed yet. *ret_n is 0 where it cannot have
 * what it must have, with the reason among the notes: with RequireDualStack both families, else those that
 * there are.
 */
void lb_kube_allocate(const struct lb_kube_ledger *ledger, struct lb_kube_pools *pools, const char *key,
		      const struct lb_kube_service *service, const struct lb_kube_wish *wish,
		      const struct lb_address *held, size_t n_held,
		      struct lb_address ret_addresses[LB_KUBE_FAMILIES], size_t *ret_n,
		      struct lb_kube_notes *notes);
