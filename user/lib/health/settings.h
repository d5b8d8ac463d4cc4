/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From the configuration's keys to what the state machines take.
 */
#pragma once

#include "config/config_health.h"
#include "health/check.h"
#include "health/circuit.h"
#include "health/passive.h"
#include "health/pool.h"
#include "health/suspect.h"

void lb_settings_timing(const struct lb_config_check *check, struct lb_check_timing *ret_timing);
void lb_settings_circuit(const struct lb_config_check *check, const struct lb_config_breaker *breaker,
			 struct lb_circuit_config *ret_circuit);
void lb_settings_pool(const struct lb_config_breaker *breaker, struct lb_pool_config *ret_pool);
/* False: it is off. */
bool lb_settings_passive(const struct lb_config_breaker *breaker, struct lb_passive_config *ret_passive);
void lb_settings_suspect(const struct lb_config_checker *checker, struct lb_suspect_config *ret_suspect);
