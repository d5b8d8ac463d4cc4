/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VIPs that are announced on a flat LAN: what the packet path knows of them (announce/neighbors.h). Who leads
 * is lb-neighbor's to say; lbd only says it where there is no election (announce.leader: always).
 */
#pragma once

#include "announce/announce.h"
#include "lbd/api/json.h"

struct lbd;

/* Calls visit for every VIP that the packet path knows of. */
void lan_list(struct lbd *lbd,
	      void (*visit)(void *context, const struct lb_prefix *vip, enum lb_announce_state state),
	      void *context);

/* Has the packet path know what became of a VIP, or forget it. 0 or -errno. */
int lan_set(struct lbd *lbd, const struct lb_prefix *vip, enum lb_announce_state state);
void lan_forget(struct lbd *lbd, const struct lb_prefix *vip);

/* Interface, MAC address and leader of the group, as they are now. */
void lan_update(struct lbd *lbd);

/* Member "lan" of what is announced, where there is something; and warnings of the status. */
void lan_write(struct lbd *lbd, struct json *json);
void lan_warn(const struct lbd *lbd, struct json *json);
/* Whether VIPs are announced here and nothing says who answers for them. */
bool lan_is_unled(const struct lbd *lbd);
