// SPDX-License-Identifier: GPL-2.0-only
/*
 * Looking things up in a configuration by name.
 */
#include "lbd/state/configured.h"

#include <string.h>

const struct lb_config_service *config_find_service(const struct lb_config *config, const char *service)
{
	for (size_t i = 0; i < config->n_services; i++)
		if (strcmp(config->services[i].name, service) == 0)
			return &config->services[i];
	return NULL;
}

bool config_has_backend(const struct lb_config *config, const char *service, const char *backend)
{
	const struct lb_config_service *found = config_find_service(config, service);

	for (size_t i = 0; found && i < found->n_backends; i++)
		if (strcmp(found->backends[i].name, backend) == 0)
			return true;
	return false;
}
