/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one list of metrics: what lbd answers to a scrape, the dashboards (scripts/dashboards.py) and the
 * alerts are made from it, or checked against it. Names follow Prometheus: base units, _total for counters.
 *
 * X(NAME, type, "name", "help, one sentence"). Types: COUNTER, GAUGE, HISTOGRAM, INFO (1, with labels).
 */
#pragma once

#include "lb/types.h"

/* What is counted of forwarded packets, twice. */
#define METRIC_OF_SERVICE(X, total, TOTAL, unit, kept, metric, column, help)                                 \
	X(SERVICE_##TOTAL, COUNTER, "weir_service_" metric "_total", help ", by service.")
#define METRIC_OF_BACKEND(X, total, TOTAL, unit, kept, metric, column, help)                                 \
	X(BACKEND_##TOTAL, COUNTER, "weir_backend_" metric "_total", help ", by backend.")

/* /metrics: what there is one of, or a few. */
#define METRICS_WHOLE(X)                                                                                     \
	X(BUILD_INFO, INFO, "weir_build_info", "The version that runs.")                                     \
	X(START_TIME, GAUGE, "weir_start_time_seconds", "When the agent was started, Unix time.")            \
	X(UPTIME, GAUGE, "weir_uptime_seconds", "Age of the agent.")                                         \
	X(AGENT_CPU, COUNTER, "weir_agent_cpu_seconds_total", "Processor time of the agent.")                \
	X(AGENT_MEMORY, GAUGE, "weir_agent_resident_bytes", "Resident memory of the agent, maps included.")  \
	X(GENERATION, GAUGE, "weir_generation", "Number of the generation that packets see.")                \
	X(DEGRADED, GAUGE, "weir_degraded",                                                                  \
	  "1 if the configuration file could not be used at the start: what ran before runs.")               \
	X(RELOAD_SUCCESS, GAUGE, "weir_reload_success",                                                      \
	  "1 if the configuration file could be used when it was last read.")                                \
	X(RELOAD_TIME, GAUGE, "weir_reload_time_seconds",                                                    \
	  "When the configuration file was last read, Unix time.")                                           \
	X(RELOAD_SUCCESS_TIME, GAUGE, "weir_reload_success_time_seconds",                                    \
	  "When the configuration file was last read and used, Unix time.")                                  \
	X(DRIFT_KEYS, GAUGE, "weir_config_drift_keys",                                                       \
	  "Keys of the configuration file that are otherwise in what runs.")                                 \
	X(OVERRIDES, GAUGE, "weir_overrides", "Backends of which an operator said something by hand.")       \
	X(PACKETS, COUNTER, "weir_packets_total", "Packets by what became of them; rx is the sum.")          \
	X(BYTES, COUNTER, "weir_forwarded_bytes_total", "Bytes of frames, as received, forwarded.")          \
	X(CPU_PACKETS, COUNTER, "weir_cpu_packets_total", "Packets by CPU and what became of them.")         \
	X(CPU_LOST, COUNTER, "weir_cpu_lost_packets_total",                                                  \
	  "Packets that a CPU sent and the egress interface refused.")                                       \
	X(CPU_POLLS, COUNTER, "weir_cpu_polls_total",                                                        \
	  "Polls of the packet path's interfaces by CPU and by how many packets one brought.")               \
	X(CPU_POLLED, COUNTER, "weir_cpu_polled_packets_total", "Packets that those polls brought.")         \
	X(CPU_FULL_POLLS, COUNTER, "weir_cpu_full_polls_total",                                              \
	  "Polls that used up their budget: more packets were waiting.")                                     \
	X(CPU_SQUEEZED, COUNTER, "weir_cpu_squeezed_total",                                                  \
	  "Times that a CPU gave up receiving with work left (time_squeeze), of all interfaces.")            \
	X(CPU_BACKLOG_DROPPED, COUNTER, "weir_cpu_backlog_dropped_packets_total",                            \
	  "Packets that found a CPU's backlog full, of all interfaces.")                                     \
	X(CPU_IMBALANCE, GAUGE, "weir_cpu_imbalance_ratio",                                                  \
	  "Packets of the busiest CPU against the mean of all, in the last 10 seconds; 0: not known.")       \
	X(REASON_PACKETS, COUNTER, "weir_reason_packets_total",                                              \
	  "Packets that were not forwarded, by reason.")                                                     \
	X(REDIRECT_SENT, COUNTER, "weir_redirect_sent_packets_total",                                        \
	  "Redirected packets that the egress interface took.")                                              \
	X(REDIRECT_LOST, COUNTER, "weir_redirect_lost_packets_total",                                        \
	  "Redirected packets that the egress interface refused; also counted as redirect.")                 \
	X(TX_LOST, COUNTER, "weir_tx_lost_packets_total",                                                    \
	  "Packets that the interface they were sent back out by refused; also counted as tx.")              \
	X(INTERFACE_ATTACHED, GAUGE, "weir_interface_attached",                                              \
	  "1 if the packet path runs on the interface.")                                                     \
	X(INTERFACE_INFO, INFO, "weir_interface_info", "How an interface is attached.")                      \
	X(TABLE_USED, GAUGE, "weir_table_used", "Places of a table that are in use.")                        \
	X(TABLE_CAPACITY, GAUGE, "weir_table_capacity", "Places that a table has.")                          \
	X(FLOW_EMBRYONIC, GAUGE, "weir_flow_embryonic_entries",                                              \
	  "Entries of the flow table that no second packet has proven.")                                     \
	X(REFUSED_INSERTS, COUNTER, "weir_refused_inserts_total",                                            \
	  "New flows of moved slots that the flow table had no room for.")                                   \
	X(SWEEPER_CPU, GAUGE, "weir_sweeper_cpu_ratio", "Share of a CPU that the sweeper used lately.")      \
	X(UNSETTLED, GAUGE, "weir_unsettled_slots", "Ring slots whose old flows are still waited for.")      \
	X(UNSETTLED_SECONDS, GAUGE, "weir_unsettled_seconds",                                                \
	  "For how long some slot has been unsettled; 0: none is.")                                          \
	X(UNRESOLVED, GAUGE, "weir_unresolved_backends", "Backends without a next hop.")                     \
	X(DRAINING, GAUGE, "weir_draining_backends", "Backends that drain or leave.")                        \
	X(DRAINED, GAUGE, "weir_drained_backends",                                                           \
	  "Of those, the ones that no slot and no flow entry names any more.")                               \
	X(EMPTY_SERVICES, GAUGE, "weir_empty_services", "Services that no backend takes new flows of.")      \
	X(REPAIRS, COUNTER, "weir_repairs_total",                                                            \
	  "Links, pins and sockets that somebody took away, made anew.")                                     \
	X(SOURCE_SILENT, GAUGE, "weir_source_silent_seconds",                                                \
	  "For how long the helper of a source has said nothing.")                                           \
	X(FLEET_MEMBER, GAUGE, "weir_fleet_member",                                                          \
	  "1 if the balancer is in its fleet; 0 if it leaves or has left it (lbctl leave).")                 \
	X(ANNOUNCED_VIPS, GAUGE, "weir_announced_vips",                                                      \
	  "VIPs that are to be announced, by whether they are.")                                             \
	X(LAN_UNLED, GAUGE, "weir_lan_unled",                                                                \
	  "1 if VIPs are announced on a LAN and nothing decides who answers for them.")                      \
	X(CHECKER_CONNECTED, GAUGE, "weir_checker_connected", "1 if lb-checkd is connected.")                \
	X(CHECKER_TARGETS, GAUGE, "weir_checker_targets", "Addresses that lb-checkd is to check.")           \
	X(CHECKER_LATE, GAUGE, "weir_checker_late_seconds", "How late lb-checkd is with its checks.")        \
	X(HEALTH_STALE, GAUGE, "weir_health_stale",                                                          \
	  "1 if verdicts are of earlier, because lb-checkd is away.")                                        \
	X(HEALTH_FROZEN, GAUGE, "weir_health_frozen",                                                        \
	  "1 if verdicts are frozen, because the checker is suspected.")                                     \
	X(HEALTH_FREEZES, COUNTER, "weir_health_freezes_total", "Times that verdicts were frozen.")          \
	X(BREAKER_OPENS, COUNTER, "weir_breaker_opens_total", "Times that a breaker opened.")                \
	X(BREAKER_BACKENDS, GAUGE, "weir_breaker_backends", "Checked backends by the state of the breaker.") \
	X(CHECKS, COUNTER, "weir_checks_total", "Checks by how they ended.")                                 \
	X(OBSERVE_SAMPLED, GAUGE, "weir_observe_sampled_ratio",                                              \
	  "Share of flows that are looked at: what is observed is scaled up by it.")                         \
	X(OBSERVE_COST, GAUGE, "weir_observe_cost_ratio",                                                    \
	  "Share of one CPU that observation takes, of packet path and agent.")                              \
	X(OBSERVE_PACKETS, COUNTER, "weir_observe_packets_total", "Packets that were looked at.")            \
	X(OBSERVE_EVENTS, COUNTER, "weir_observe_events_total",                                              \
	  "What the packet path told of observed flows, by whether the agent got it.")                       \
	X(OBSERVE_REFUSED, COUNTER, "weir_observe_refused_total",                                            \
	  "Flows that were to be observed and found no place.")                                              \
	X(EVENTS, COUNTER, "weir_events_total", "Events that were told, over restarts.")                     \
	X(LOG_SUPPRESSED, COUNTER, "weir_log_suppressed_total",                                              \
	  "Lines of the log that were left out because there were too many of a kind.")                      \
	X(SCRAPES_REFUSED, COUNTER, "weir_scrapes_refused_total",                                            \
	  "Scrapes that were refused because too many clients read at once.")

/* /metrics, of each service: no more than LB_METRICS_SERVICE_MAX of them, so that 5,000 services stay below
 * 50,000 series. */
#define METRICS_SERVICE(X)                                                                                   \
	X(SERVICE_INFO, INFO, "weir_service_info", "What a service is.")                                     \
	LB_TOTALS_FIRST(METRIC_OF_SERVICE, X)                                                                \
	X(SERVICE_BACKENDS, GAUGE, "weir_service_backends", "Configured backends of a service.")             \
	X(SERVICE_ELIGIBLE, GAUGE, "weir_service_eligible_backends",                                         \
	  "Backends of a service that get new flows.")                                                       \
	X(SERVICE_UNSETTLED, GAUGE, "weir_service_unsettled_slots",                                          \
	  "Ring slots of a service whose old flows are still waited for.")                                   \
	X(SERVICE_USABLE, GAUGE, "weir_service_usable_ratio",                                                \
	  "Share of a checked service's weight that health leaves.")                                         \
	X(SERVICE_EJECTED, GAUGE, "weir_service_ejected_ratio",                                              \
	  "Share of a checked service's weight that passive suspicion took out.")

/* /metrics/services: more of each service. */
#define METRICS_SERVICE_DETAIL(X)                                                                            \
	X(SERVICE_FLOW_ENTRIES, GAUGE, "weir_service_flow_entries",                                          \
	  "Flow table entries of a service, as of the last complete sweep.")                                 \
	LB_TOTALS_MORE(METRIC_OF_SERVICE, X)                                                                 \
	X(SERVICE_UNSETTLED_SECONDS, GAUGE, "weir_service_unsettled_seconds",                                \
	  "For how long slots of a service have been unsettled; 0: none is.")                                \
	X(SERVICE_DRAINING, GAUGE, "weir_service_draining_backends",                                         \
	  "Backends of a service that drain or leave.")                                                      \
	X(SERVICE_BREAKERS, GAUGE, "weir_service_breaker_backends",                                          \
	  "Checked backends of a service by the state of the breaker.")                                      \
	X(SERVICE_CHECKS, COUNTER, "weir_service_checks_total", "Checks of a service by how they ended.")    \
	X(SERVICE_CHECK_SECONDS, HISTOGRAM, "weir_service_check_seconds",                                    \
	  "How long answered checks of a service took.")                                                     \
	X(SERVICE_OPEN, GAUGE, "weir_service_open_connections",                                              \
	  "Connections, and UDP flows, of a service that are open, estimated.")                              \
	X(SERVICE_OBSERVED, COUNTER, "weir_service_observed_total",                                          \
	  "What clients' flows told of a service, estimated, by what it is (docs/observer.md).")             \
	X(SERVICE_HANDSHAKE_SECONDS, HISTOGRAM, "weir_service_handshake_seconds",                            \
	  "From a client's first SYN to what follows its answer, estimated; holds the round trip.")

/* /metrics/backends: each backend of each service. */
#define METRICS_BACKEND(X)                                                                                   \
	X(BACKEND_INFO, INFO, "weir_backend_info", "Where a backend is.")                                    \
	LB_TOTALS(METRIC_OF_BACKEND, X)                                                                      \
	X(BACKEND_SLOTS, GAUGE, "weir_backend_slots", "Ring slots whose new flows go to the backend.")       \
	X(BACKEND_WEIGHT, GAUGE, "weir_backend_weight", "Weight in force.")                                  \
	X(BACKEND_STATE, GAUGE, "weir_backend_state", "State in force: 0 active, 1 drain, 2 down.")          \
	X(BACKEND_RESOLVED, GAUGE, "weir_backend_nexthop_resolved",                                          \
	  "1 if packets can be sent to the backend.")                                                        \
	X(BACKEND_FLOW_ENTRIES, GAUGE, "weir_backend_flow_entries",                                          \
	  "Flow table entries that name the backend.")                                                       \
	X(BACKEND_DRAINED, GAUGE, "weir_backend_drained",                                                    \
	  "Of backends that drain or leave: 1 when no slot and no flow entry names it any more.")            \
	X(BACKEND_DRAINING_SLOTS, GAUGE, "weir_backend_draining_slots",                                      \
	  "Of backends that drain or leave: ring slots that are kept for their old flows.")                  \
	X(BACKEND_DRAINING_SECONDS, GAUGE, "weir_backend_draining_seconds",                                  \
	  "Of backends that drain or leave: for how long.")                                                  \
	X(BACKEND_BREAKER, GAUGE, "weir_backend_breaker_state",                                              \
	  "0 closed, 1 open, 2 half-open, 3 forced-open, 4 disabled.")                                       \
	X(BACKEND_BREAKER_SECONDS, GAUGE, "weir_backend_breaker_state_seconds",                              \
	  "For how long the breaker has been in its state.")                                                 \
	X(BACKEND_OPENS, COUNTER, "weir_backend_breaker_opens_total", "Times that the breaker opened.")      \
	X(BACKEND_SHARE, GAUGE, "weir_backend_share_ratio",                                                  \
	  "Share of its weight that the breaker leaves a backend.")                                          \
	X(BACKEND_PASSIVE, GAUGE, "weir_backend_passive_state",                                              \
	  "What clients' handshakes say, of checked backends: 0 fine, 1 suspect, 2 ejected.")                \
	X(BACKEND_CHECKS, COUNTER, "weir_backend_checks_total", "Checks of a backend by how they ended.")    \
	X(BACKEND_CHECK_SECONDS, GAUGE, "weir_backend_check_seconds",                                        \
	  "How long the last answered check of a backend took.")                                             \
	X(BACKEND_OPEN, GAUGE, "weir_backend_open_connections",                                              \
	  "Connections, and UDP flows, of a backend that are open, estimated; once any was observed.")       \
	X(BACKEND_OBSERVED, COUNTER, "weir_backend_observed_total",                                          \
	  "What clients' flows told of a backend, estimated, by what it is.")                                \
	X(BACKEND_HANDSHAKE_SECONDS, COUNTER, "weir_backend_handshake_seconds_total",                        \
	  "Time that completed handshakes with a backend took, estimated: divide by their number.")

#define METRICS(X)          METRICS_WHOLE(X) METRICS_SERVICE(X) METRICS_SERVICE_DETAIL(X) METRICS_BACKEND(X)
#define METRICS_SERVICE_MAX 9

enum metric {
#define X(id, type, name, help) METRIC_##id,
	METRICS(X)
#undef X
		METRIC_COUNT
};
