// SPDX-License-Identifier: GPL-2.0-only
/*
 * The agent's line in systemctl status.
 */
#include "lbd/notify.h"

#include <systemd/sd-daemon.h>

#include "lbd/lbd.h"

void lbd_notify_status(const struct lbd *lbd)
{
	size_t missing = 0;

	for (size_t i = 0; i < lbd->n_attachments; i++)
		missing += lbd->attachments[i].by == ATTACHED_NOT;
	sd_notifyf(0, "STATUS=generation %llu, %zu services, %zu of %zu interfaces%s",
		   (unsigned long long)lb_engine_generation(lbd->engine), lb_engine_services(lbd->engine),
		   lbd->n_attachments - missing, lbd->n_attachments,
		   lbd->degraded ? "; the configuration file could not be used" : "");
}
