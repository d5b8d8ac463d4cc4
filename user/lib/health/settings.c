// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keys to settings, one by one.
 */
#include "health/settings.h"

void lb_settings_timing(const struct lb_config_check *check, struct lb_check_timing *ret_timing)
{
	*ret_timing = (struct lb_check_timing){
		.interval_ms = check->interval_ms,
		.fast_interval_ms = check->fast_interval_ms,
		.down_interval_ms = check->down_interval_ms,
		.timeout_ms = check->timeout_ms,
		.rise = check->rise,
		.fall = check->fall,
	};
}

void lb_settings_circuit(const struct lb_config_check *check, const struct lb_config_breaker *breaker,
			 struct lb_circuit_config *ret_circuit)
{
	*ret_circuit = (struct lb_circuit_config){
		.rise = check->rise,
		.fall = check->fall,
		.rate_percent = breaker->rate_percent,
		.window_ms = breaker->window_ms,
		.min_samples = breaker->min_samples,
		.weight_percent = {
			[LB_OUTCOME_TIMEOUT] = (__u16)breaker->weights.timeout,
			[LB_OUTCOME_REFUSED] = (__u16)breaker->weights.refused,
			[LB_OUTCOME_RESET] = (__u16)breaker->weights.reset,
			[LB_OUTCOME_PROTOCOL] = (__u16)breaker->weights.protocol,
			[LB_OUTCOME_STATUS] = (__u16)breaker->weights.status,
		},
		.wait_ms = breaker->wait_ms,
		.wait_max_ms = breaker->wait_max_ms,
		.jitter_percent = breaker->jitter_percent,
		.first_share = breaker->first_share_percent * LB_SHARE_FULL / 100,
		.ramp_ms = breaker->ramp_ms,
		.dead_after_ms = breaker->dead_after_ms,
		.drain_max_ms = breaker->drain_max_ms,
		.slow_start_ms = breaker->slow_start_ms,
	};
}

void lb_settings_pool(const struct lb_config_breaker *breaker, struct lb_pool_config *ret_pool)
{
	*ret_pool = (struct lb_pool_config){
		.spill_percent = breaker->spill_below_percent,
		.floor_percent = breaker->floor_percent,
		.max_ejected_percent = breaker->max_ejected_percent,
		.when_all_fail = breaker->when_all_fail == LB_ALL_FAIL_NONE ? LB_WHEN_ALL_FAIL_NONE
									    : LB_WHEN_ALL_FAIL_ALL,
	};
}

/* Below so many an ejection says more of chance than of the backend. */
#define PASSIVE_BACKENDS_MIN 5
#define PASSIVE_SAMPLES_MIN  100
#define PASSIVE_HOLD_MS      30000

bool lb_settings_passive(const struct lb_config_breaker *breaker, struct lb_passive_config *ret_passive)
{
	*ret_passive = (struct lb_passive_config){
		.eject = breaker->passive == LB_PASSIVE_EJECT,
		.min_backends = PASSIVE_BACKENDS_MIN,
		.min_samples = PASSIVE_SAMPLES_MIN,
		.hold_ms = PASSIVE_HOLD_MS,
	};
	return breaker->passive != LB_PASSIVE_OFF;
}

void lb_settings_suspect(const struct lb_config_checker *checker, struct lb_suspect_config *ret_suspect)
{
	*ret_suspect = (struct lb_suspect_config){
		.window_ms = checker->suspect_window_ms,
		.freeze_max_ms = checker->freeze_max_ms,
	};
}
