/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Levels of the health keys put together: a backend's, its service's, those at the top, and the schema's.
 */
#pragma once

#include "config/config.h"

/* The check of a backend, with what the levels above and the schema say. kind LB_CHECK_NONE: none. */
void lb_config_check_of(const struct lb_config *config, const struct lb_config_service *service,
			const struct lb_config_backend *backend, struct lb_config_check *ret_check);

/* The breakers and the pool of a service, the same way. */
void lb_config_breaker_of(const struct lb_config *config, const struct lb_config_service *service,
			  struct lb_config_breaker *ret_breaker);

/* A number that changes when a resolved check does, never 0; 0 for kind LB_CHECK_NONE. */
__u64 lb_config_check_digest(const struct lb_config_check *check);

const char *lb_check_kind_name(enum lb_check_kind kind);
