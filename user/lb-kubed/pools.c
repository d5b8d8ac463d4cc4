// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pools of addresses out of their ConfigMap. A mistake in it takes nothing away from anybody: the last good
 * pools go on.
 */
#include <errno.h>
#include <string.h>

#include "lb-kubed/resources.h"

#define POOLS_KEY "pools.json"

void pools_begin(struct kubed *kubed)
{
	kubed->pools_seen = false;
}

static void use(struct kubed *kubed, struct lb_kube_pools pools)
{
	lb_kube_pools_done(&kubed->pools);
	kubed->pools = pools;
	kubed->have_pools = true;
	lb_kube_store_touch_all(kubed->store);
}

int pools_put(struct kubed *kubed, const cJSON *object, struct lb_error *error)
{
	const cJSON *data = cJSON_GetObjectItemCaseSensitive(object, "data");
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(data, POOLS_KEY));
	struct lb_kube_pools pools;
	struct lb_kube_meta meta;
	int r = lb_kube_meta_parse(object, &meta, error);
	bool its;

	if (r < 0)
		return r;
	its = strcmp(meta.name, kubed->options.pools) == 0;
	lb_kube_meta_done(&meta);
	if (!its)
		return 0;
	kubed->pools_seen = true;
	r = text ? lb_kube_pools_parse(text, &pools, error)
		 : lb_error_set(error, EINVAL, "the ConfigMap has no " POOLS_KEY);
	if (r == 0)
		use(kubed, pools);
	else if (r == -EINVAL)
		kubed->counts.pools_bad++;
	return r;
}

/* Addresses that were given stay; no more are given. */
void pools_remove(struct kubed *kubed, const char *name)
{
	if (strcmp(name, kubed->options.pools) == 0)
		use(kubed, (struct lb_kube_pools){});
}

/* Without the ConfigMap there are no pools, which is known now as well. */
void pools_end(struct kubed *kubed)
{
	if (!kubed->pools_seen)
		use(kubed, (struct lb_kube_pools){});
}
