/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Looking things up in a configuration by name.
 */
#pragma once

#include "config/config.h"

bool config_has_backend(const struct lb_config *config, const char *service, const char *backend);

/* NULL: there is none of that name. */
const struct lb_config_service *config_find_service(const struct lb_config *config, const char *service);
