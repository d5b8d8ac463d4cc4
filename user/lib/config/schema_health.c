// SPDX-License-Identifier: GPL-2.0-only
/*
 * The schema's rows for health: checks, breakers and pools (the same at every level), and the checker.
 */
#include "config/config.h"
#include "config/schema.h"
#include "config/schema_rows.h"
#include "health/history.h"

/* clang-format off */

const struct lb_schema_choice lb_schema_check_kind[] = {
	{ "none", LB_CHECK_NONE, "No check: the backend is taken to be healthy." },
	{ "tcp", LB_CHECK_TCP, "A connection is accepted; with expect, it also answers so." },
	{ "udp", LB_CHECK_UDP, "A datagram is answered as expect says; without it, only that the port is not refused, and silence says nothing." },
	{ "http", LB_CHECK_HTTP, "An HTTP request is answered with a status that is wanted." },
	{ "https", LB_CHECK_HTTPS, "The same over TLS." },
	{ "grpc", LB_CHECK_GRPC, "grpc.health.v1 says SERVING." },
	{ "agent", LB_CHECK_AGENT, "An agent on the backend, at port, says a line in the words of HAProxy's agent-check: up, down, drain, 75% (of its weight)." },
	{ "exec", LB_CHECK_EXEC, "command, which lb-execd(8) runs, ends with status 0." },
	{ NULL, 0, NULL }
};

static const struct lb_schema_choice scopes[] = {
	{ "service", LB_CHECK_SCOPE_SERVICE, "A failure is one of this service at this backend." },
	{ "host", LB_CHECK_SCOPE_HOST, "A failure by silence is the host's: its address is taken out of every service." },
	{ NULL, 0, NULL }
};

static const struct lb_schema_choice targets[] = {
	{ "vip", LB_CHECK_TARGET_VIP, "The VIP at that backend, through the packet path: with the header that clients' packets get. "
	  "What keeps those from being answered is found: a VIP or decapsulation that is missing, a firewall that drops tunnels." },
	{ "address", LB_CHECK_TARGET_ADDRESS, "An address of the backend's, by the balancer's routes." },
	{ NULL, 0, NULL }
};

static const struct lb_schema_choice tls[] = {
	{ "verify", LB_CHECK_TLS_VERIFY, "The certificate must be good for host, by ca." },
	{ "insecure", LB_CHECK_TLS_INSECURE, "Any certificate will do." },
	{ NULL, 0, NULL }
};

static const struct lb_schema_choice versions[] = {
	{ "1.1", LB_CHECK_HTTP_1, NULL },
	{ "2", LB_CHECK_HTTP_2, NULL },
	{ NULL, 0, NULL }
};

static const struct lb_schema_choice all_fail[] = {
	{ "all", LB_ALL_FAIL_ALL, "Serve as if all were healthy, and alarm." },
	{ "none", LB_ALL_FAIL_NONE, "Serve with what is left, and alarm." },
	{ NULL, 0, NULL }
};

static const struct lb_schema_choice passives[] = {
	{ "off", LB_PASSIVE_OFF, "Handshakes of clients are not heeded." },
	{ "check", LB_PASSIVE_CHECK, "A backend with which far fewer are completed than with its siblings is checked at fast_interval_ms." },
	{ "eject", LB_PASSIVE_EJECT, "The same; and where none at all is completed, of a hundred in a row, beside at least four siblings, it is taken out for 30 s." },
	{ NULL, 0, NULL }
};

#define INHERITED .inherits = true, .effect = LB_EFFECT_APPLY
#define MS_MAX 3600000

#define T struct lb_config_check
const struct lb_schema_key lb_schema_check_keys[] = {
	{ .name = "kind", FIELD(kind), CHOICE(lb_schema_check_kind, LB_CHECK_NONE), INHERITED,
	  .help = "What is asked." },
	{ .name = "scope", FIELD(scope), CHOICE(scopes, LB_CHECK_SCOPE_SERVICE), INHERITED,
	  .help = "What a failure speaks against." },
	{ .name = "target", FIELD(target), CHOICE(targets, NO_CHOICE), .effect = LB_EFFECT_APPLY, .inherits = true,
	  .without = "vip; address where another address is given, or the service's VIP is a prefix",
	  .help = "Which way the backend is asked." },
	{ .name = "address", FIELD(address), STRING(lb_format_address), .effect = LB_EFFECT_APPLY, .inherits = true,
	  .without = "the VIP or the backend's address, as target says",
	  .help = "The address to ask instead of the backend's. One within the service's VIP is asked through the packet path; one that is no backend's of "
		  "the service, nor within its VIP, a request may name only as the file does already." },
	{ .name = "port", FIELD(port), INTEGER(1, 65535, 0), .effect = LB_EFFECT_APPLY, .inherits = true,
	  .without = "the service's port; a service with several ports needs it",
	  .help = "The port to ask." },
	{ .name = "interval_ms", FIELD(interval_ms), INTEGER(100, MS_MAX, 2000), INHERITED,
	  .help = "Milliseconds from the start of a check to that of the next." },
	{ .name = "fast_interval_ms", FIELD(fast_interval_ms), INTEGER(50, MS_MAX, 250), INHERITED,
	  .help = "The same while the last answers contradict what the backend is taken to be. Checks may overlap then." },
	{ .name = "down_interval_ms", FIELD(down_interval_ms), INTEGER(100, MS_MAX, 2000), INHERITED,
	  .help = "The same while the backend is down." },
	{ .name = "timeout_ms", FIELD(timeout_ms), INTEGER(10, MS_MAX, 1500), INHERITED,
	  .help = "Milliseconds that a check may take, at most interval_ms. Above a second, a lost SYN costs no check. The default is interval_ms where that is shorter." },
	{ .name = "rise", FIELD(rise), INTEGER(1, LB_HISTORY_MAX, 2), INHERITED,
	  .help = "Good answers in a row that a backend needs that was down." },
	{ .name = "fall", FIELD(fall), INTEGER(1, LB_HISTORY_MAX, 4), INHERITED,
	  .help = "Failures in a row that open a backend's breaker." },
	{ .name = "method", FIELD(method), STRING(lb_format_method), .text = "GET", INHERITED,
	  .help = "Method of the HTTP request." },
	{ .name = "path", FIELD(path), STRING(lb_format_http_path), .text = "/", INHERITED,
	  .help = "Path of the HTTP request." },
	{ .name = "host", FIELD(host), STRING(lb_format_host), .effect = LB_EFFECT_APPLY, .inherits = true,
	  .without = "the address that is asked", .help = "Name of the host in HTTP requests, and in TLS." },
	{ .name = "status", .offset = offsetof(T, status_first), .size = 2 * sizeof(__u16), .minimum = 100, .maximum = 599,
	  STRING(lb_format_status), .text = "200-399", INHERITED,
	  .help = "HTTP statuses that are good." },
	{ .name = "body", FIELD(body), STRING(lb_format_check_text), .effect = LB_EFFECT_APPLY, .inherits = true,
	  .without = "any", .help = "What the first 64 KiB of the answer have to contain." },
	{ .name = "tls", FIELD(tls), CHOICE(tls, LB_CHECK_TLS_VERIFY), INHERITED,
	  .help = "Whether the certificate matters." },
	{ .name = "ca", .vouched = true, FIELD(ca), STRING(lb_format_file), .effect = LB_EFFECT_APPLY, .inherits = true,
	  .without = "none: an https check needs it, or tls \"insecure\"",
	  .help = "File with the certificates (PEM) that are trusted." },
	{ .name = "http_version", FIELD(http_version), CHOICE(versions, LB_CHECK_HTTP_1), INHERITED,
	  .help = "Version of HTTP. 2 without TLS is with prior knowledge; grpc always uses 2." },
	{ .name = "service", FIELD(service), STRING(lb_format_check_text), .effect = LB_EFFECT_APPLY, .inherits = true,
	  .without = "the server as a whole", .help = "Name of the service that grpc asks for." },
	{ .name = "send", FIELD(send), STRING(lb_format_check_text), .effect = LB_EFFECT_APPLY, .inherits = true,
	  .without = "nothing", .help = "What tcp, udp and agent send." },
	{ .name = "expect", FIELD(expect), STRING(lb_format_check_text), .effect = LB_EFFECT_APPLY, .inherits = true,
	  .without = "nothing", .help = "What the first 4 KiB of the answer to tcp and udp have to contain." },
	{ .name = "command", .vouched = true, FIELD(command), STRING(lb_format_file), .effect = LB_EFFECT_APPLY, .inherits = true,
	  .without = "none: an exec check needs it",
	  .help = "The program that exec runs, with the address and the port that are to be asked as arguments. The list of lb-execd(8), which is root's, has "
		  "to name it." },
	{ 0 }
};
#undef T

#define T struct lb_config_breaker
static const struct lb_schema_key weights_keys[] = {
	{ .name = "timeout", FIELD(weights.timeout), INTEGER(0, 1000, 100), INHERITED, .help = "No answer in time." },
	{ .name = "refused", FIELD(weights.refused), INTEGER(0, 1000, 100), INHERITED, .help = "Refused." },
	{ .name = "reset", FIELD(weights.reset), INTEGER(0, 1000, 100), INHERITED, .help = "Closed before it was answered." },
	{ .name = "protocol", FIELD(weights.protocol), INTEGER(0, 1000, 100), INHERITED, .help = "Answered wrongly." },
	{ .name = "status", FIELD(weights.status), INTEGER(0, 1000, 50), INHERITED, .help = "Answered with a status that is not wanted." },
	{ 0 }
};

const struct lb_schema_key lb_schema_breaker_keys[] = {
	{ .name = "rate_percent", FIELD(rate_percent), INTEGER(0, 100, 50), INHERITED,
	  .range_note = "0: never by rate", .help = "Share of failed checks in the window, by weights, that opens a breaker." },
	{ .name = "window_ms", FIELD(window_ms), INTEGER(1000, MS_MAX, 60000), INHERITED,
	  .help = "Milliseconds that the rate is of." },
	{ .name = "min_samples", FIELD(min_samples), INTEGER(2, 100000, 20), INHERITED,
	  .help = "Checks in the window below which there is no rate." },
	{ .name = "weights", OBJECT(weights_keys), .effect = LB_EFFECT_APPLY,
	  .help = "What failures count for in the rate, in percent." },
	{ .name = "wait_ms", FIELD(wait_ms), INTEGER(0, MS_MAX, 1000), INHERITED,
	  .help = "Milliseconds that a breaker stays open at least; twice as long each time it opens again." },
	{ .name = "wait_max_ms", FIELD(wait_max_ms), INTEGER(0, MS_MAX, 60000), INHERITED,
	  .help = "The longest such wait. A breaker that was closed and answered for so long waits half as long the next time." },
	{ .name = "jitter_percent", FIELD(jitter_percent), INTEGER(0, 100, 20), INHERITED,
	  .help = "How much a wait differs from balancer to balancer, so that a fleet does not act in step." },
	{ .name = "first_share_percent", FIELD(first_share_percent), INTEGER(1, 100, 10), INHERITED,
	  .help = "Share of its weight that a returning backend gets at first." },
	{ .name = "ramp_ms", FIELD(ramp_ms), INTEGER(100, MS_MAX, 1000), INHERITED,
	  .help = "Milliseconds after which that share is doubled, if checks were answered meanwhile." },
	{ .name = "dead_after_ms", FIELD(dead_after_ms), INTEGER(0, MS_MAX, 30000), INHERITED,
	  .range_note = "0: never",
	  .help = "Milliseconds of silence after which the old flows of a backend whose breaker is open are given up. One that refuses keeps them: "
		  "it may be stopping gracefully. If its next hop is lost as well, they are given up at once." },
	{ .name = "drain_max_ms", FIELD(drain_max_ms), INTEGER(0, MS_MAX, 0), INHERITED,
	  .range_note = "0: never",
	  .help = "Milliseconds after which the old flows of a backend are given up whose breaker is open because it refuses, or answers badly. "
		  "By default it keeps them as long as they last." },
	{ .name = "slow_start_ms", FIELD(slow_start_ms), INTEGER(0, MS_MAX, 0), INHERITED,
	  .help = "Milliseconds over which a backend that is added to a running service gets its weight." },
	{ .name = "spill_below_percent", FIELD(spill_below_percent), INTEGER(0, 100, 50), INHERITED,
	  .help = "Usable share of the first tier's weight below which the next tiers give what is missing." },
	{ .name = "floor_percent", FIELD(floor_percent), INTEGER(0, 100, 20), INHERITED,
	  .range_note = "0: when the last one fails",
	  .help = "Usable share of the pool's weight below which when_all_fail applies: what is left would be overrun." },
	{ .name = "when_all_fail", FIELD(when_all_fail), CHOICE(all_fail, LB_ALL_FAIL_ALL), INHERITED,
	  .help = "What to do when too few backends are left." },
	{ .name = "passive", FIELD(passive), CHOICE(passives, LB_PASSIVE_CHECK), INHERITED,
	  .help = "What follows from clients' handshakes, as the observer sees them, for backends of TCP services." },
	{ .name = "max_ejected_percent", FIELD(max_ejected_percent), INTEGER(0, 100, 50), INHERITED,
	  .help = "Share of the pool's weight that passive suspicion may take out. Failed checks are not limited." },
	{ 0 }
};
#undef T

#define T struct lb_config_health
const struct lb_schema_key lb_schema_health_keys[] = {
	{ .name = "check", OWNED(lb_schema_check_keys, check), .effect = LB_EFFECT_APPLY,
	  .without = "as the level above says", .help = "How backends are checked." },
	{ .name = "breaker", OWNED(lb_schema_breaker_keys, breaker), .effect = LB_EFFECT_APPLY,
	  .without = "as the level above says", .help = "What follows from checks." },
	{ 0 }
};
#undef T

#define T struct lb_config_checker
const struct lb_schema_key lb_schema_checker_keys[] = {
	{ .name = "socket", .vouched = true, FIELD(socket), STRING(lb_format_socket), .text = "/run/weir/checkd.sock", .effect = LB_EFFECT_START,
	  .help = "UNIX socket that lb-checkd connects to." },
	{ .name = "suspect_window_ms", FIELD(suspect_window_ms), INTEGER(500, MS_MAX, 3000), .effect = LB_EFFECT_APPLY,
	  .help = "If more than half of at least 10 addresses in at least 2 services fail within so many milliseconds, the checker is suspected." },
	{ .name = "freeze_max_ms", FIELD(freeze_max_ms), INTEGER(0, MS_MAX, 30000), .effect = LB_EFFECT_APPLY,
	  .help = "Milliseconds for which verdicts are frozen then, at most." },
	{ .name = "canary", .vouched = true, FIELD(canary), STRING(lb_format_address), .effect = LB_EFFECT_APPLY, .without = "none",
	  .help = "An address that the checker must reach, its gateway say: while it does not answer, verdicts are frozen." },
	{ .name = "canary_port", .vouched = true, FIELD(canary_port), INTEGER(1, 65535, 80), .effect = LB_EFFECT_APPLY,
	  .help = "TCP port of the canary; a refusal is an answer." },
	{ .name = "mark", .vouched = true, FIELD(mark), STRING(lb_format_mark), .text = "0x2000/0x2f00", .effect = LB_EFFECT_START,
	  .help = "Mark and mask, as of ip-rule(8), of packets of checks through the packet path, that leads them to lbd's device. "
		  "It leaves the host on no packet. The default is clear of the bits of kube-proxy, Calico and Cilium." },
	{ .name = "table", .vouched = true, FIELD(table), INTEGER(1, 0x7fffffff, 179), .effect = LB_EFFECT_START,
	  .help = "Routing table that these packets are led by, for lbd alone." },
	{ .name = "rule_priority", .vouched = true, FIELD(rule_priority), INTEGER(1, 32765, 90), .effect = LB_EFFECT_START,
	  .help = "Priority of the rule that leads them to that table." },
	{ .name = "path_mtu", FIELD(path_mtu), BOOLEAN(true), .effect = LB_EFFECT_APPLY,
	  .help = "Find out how large a packet gets through to a backend that is checked at the VIP through a tunnel: by echo requests (ping) to the VIP, "
		  "in the tunnel and never in fragments, two a minute once it is known. Where a backend does not answer them nothing follows." },
	{ 0 }
};
#undef T
