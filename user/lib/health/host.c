// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counting tenants. Three are enough, so no more are remembered.
 */
#include "health/host.h"

static const char *const texts[] = {
	[LB_HOST_IN_USE] = "",
	[LB_HOST_NEXTHOP_LOST] = "the host's next hop is lost",
	[LB_HOST_CHECK_SAYS] = "the check of the host says that it is gone",
	[LB_HOST_TENANTS_SAY] = "the host answers none of three tenants or more",
};

const char *lb_host_text(enum lb_host_verdict verdict)
{
	return texts[verdict];
}

static bool is_known(const __u64 *tenants, size_t n, __u64 tenant)
{
	for (size_t i = 0; i < n; i++) {
		if (tenants[i] == tenant)
			return true;
	}
	return false;
}

enum lb_host_verdict lb_host_judge(const struct lb_host_witness *witnesses, size_t n, bool nexthop_lost)
{
	__u64 tenants[LB_HOST_TENANTS_MIN];
	size_t silent = 0;
	bool answers = false;

	if (nexthop_lost)
		return LB_HOST_NEXTHOP_LOST;
	for (size_t i = 0; i < n; i++) {
		if (witnesses[i].silent && witnesses[i].for_host)
			return LB_HOST_CHECK_SAYS;
		answers |= witnesses[i].answers;
		if (witnesses[i].silent && silent < LB_HOST_TENANTS_MIN &&
		    !is_known(tenants, silent, witnesses[i].tenant))
			tenants[silent++] = witnesses[i].tenant;
	}
	return silent == LB_HOST_TENANTS_MIN && !answers ? LB_HOST_TENANTS_SAY : LB_HOST_IN_USE;
}
