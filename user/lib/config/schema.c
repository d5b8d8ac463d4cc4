// SPDX-License-Identifier: GPL-2.0-only
/*
 * The schema table: every key of the configuration with its type, range, default, when a change takes
 * effect, and its help text. Nothing about a key is written down anywhere else; what must hold between
 * several keys is in config_check.c.
 */
#include "config/schema.h"

#include <netinet/in.h>
#include <string.h>

#include "config/config.h"
#include "config/schema_rows.h"

/* clang-format off */

const struct lb_schema_choice lb_schema_xdp_mode[] = {
	{ "native", LB_XDP_NATIVE, "In the driver, before the kernel allocates anything." },
	{ "generic", LB_XDP_GENERIC, "In the kernel's stack: slow, for drivers without XDP." },
	{ NULL, 0, NULL }
};

const struct lb_schema_choice lb_schema_attach[] = {
	{ "dispatcher", LB_ATTACH_DISPATCHER,
	  "Through libxdp's dispatcher, beside other XDP programs. Where the kernel refuses the dispatcher, "
	  "lbd attaches exclusively and says so in lbctl status." },
	{ "exclusive", LB_ATTACH_EXCLUSIVE, "As the only XDP program of the interface." },
	{ NULL, 0, NULL }
};

static const struct lb_schema_choice protocols[] = {
	{ "tcp", IPPROTO_TCP, NULL },
	{ "udp", IPPROTO_UDP, NULL },
	{ NULL, 0, NULL }
};

const struct lb_schema_choice lb_schema_forward[] = {
	{ "l2", LB_FORWARD_L2,
	  "Rewrite the Ethernet addresses. Backends are on a connected network and of the VIP's family." },
	{ "ipip", LB_FORWARD_IPIP, "IP in IP: 4in4, 4in6 and 6in6." },
	{ "gue", LB_FORWARD_GUE, "Generic UDP encapsulation, to gue_port of the backend." },
	{ NULL, 0, NULL }
};

const struct lb_schema_choice lb_schema_algorithm[] = {
	{ "maglev", LB_ALGORITHM_MAGLEV, "Maglev's permutation tables." },
	{ "ring", LB_ALGORITHM_RING, "A ring with 150 virtual nodes per backend: least movement, uneven." },
	{ "rendezvous", LB_ALGORITHM_RENDEZVOUS, "Highest random weight: least movement, fairly even." },
	{ "bounded", LB_ALGORITHM_BOUNDED, "Rendezvous with capacities: even, and little movement." },
	{ NULL, 0, NULL }
};

const struct lb_schema_choice lb_schema_affinity[] = {
	{ "flow", LB_AFFINITY_FLOW, "Addresses, ports and protocol." },
	{ "source", LB_AFFINITY_SOURCE, "The client's address alone." },
	{ "quic", LB_AFFINITY_QUIC, "The QUIC connection ID, so that a client may change its address (udp only)." },
	{ NULL, 0, NULL }
};

const struct lb_schema_choice lb_schema_state[] = {
	{ "active", LB_STATE_ACTIVE, "Takes new flows." },
	{ "drain", LB_STATE_DRAIN, "Keeps the flows it has, takes no new ones." },
	{ "down", LB_STATE_DOWN, "Takes nothing; its flows are lost and go to others." },
	{ NULL, 0, NULL }
};

const struct lb_schema_choice lb_schema_fragments[] = {
	{ "pass", LB_FRAGMENTS_PASS, "Leave them to the host." },
	{ "drop", LB_FRAGMENTS_DROP, "Drop them, counted under their reason." },
	{ NULL, 0, NULL }
};

static const struct lb_schema_choice unclaimed[] = {
	{ "pass", LB_UNCLAIMED_PASS, "Leave them to the host. One that forwards packets sends them back to the router, which sends them here again." },
	{ "drop", LB_UNCLAIMED_DROP, "Drop them, counted under their reason." },
	{ "reject", LB_UNCLAIMED_REJECT, "Tell the sender: a reset for TCP, an ICMP error for the rest. Whom nothing may be told of is dropped." },
	{ NULL, 0, NULL }
};

static const struct lb_schema_choice no_backend[] = {
	{ "drop", LB_NO_BACKEND_DROP, "Drop them: clients try again for a while, and may find a backend." },
	{ "reject", LB_NO_BACKEND_REJECT, "Tell the client: a reset for TCP, port unreachable for UDP." },
	{ NULL, 0, NULL }
};

#define UNCLAIMED_WITHOUT "pass if the host itself has the address, or one of the prefix, at the moment; else drop"

const struct lb_schema_choice lb_schema_announce_by[] = {
	{ "none", LB_ANNOUNCE_BY_NONE, "Not by lbd: how packets to the VIP get here is arranged otherwise." },
	{ "route", LB_ANNOUNCE_BY_ROUTE, "As a route in announce.table, from which BIRD or FRR announces it." },
	{ "neighbor", LB_ANNOUNCE_BY_NEIGHBOR,
	  "On a flat LAN: the packet path answers ARP and neighbour solicitations for the VIP while this balancer leads; see announce.leader "
	  "and lb-neighbor(8). The VIP must be a single address, on the LAN of announce.interface." },
	{ NULL, 0, NULL }
};

static const struct lb_schema_choice on_empty[] = {
	{ "keep", LB_ON_EMPTY_KEEP, "Go on as it is: an announced VIP stays announced. Elsewhere its packets would be dropped as well." },
	{ "withdraw", LB_ON_EMPTY_WITHDRAW, "Withdraw the VIP: others may be able to serve it." },
	{ NULL, 0, NULL }
};

static const struct lb_schema_choice host_addresses[] = {
	{ "refuse", LB_HOST_ADDRESSES_REFUSE, "Refuse the service, as long as it does not run yet." },
	{ "pass", LB_HOST_ADDRESSES_PASS, "For prefixes: take it. Packets to that one address go to the host, whatever their port, and not to the service." },
	{ "serve", LB_HOST_ADDRESSES_SERVE,
	  "For one address, which the host has or gets, as keepalived's virtual_ipaddress makes it: take it. Packets of the service's protocol "
	  "and port go to the service, and what else of the host listens there is not reached; all others go to the host, unless unclaimed says "
	  "otherwise. The host answers for the address on its LAN by itself: announce cannot be neighbor." },
	{ NULL, 0, NULL }
};

static const struct lb_schema_choice serve_if[] = {
	{ "any", LB_SERVE_IF_ANY, "One service of the VIP is enough." },
	{ "all", LB_SERVE_IF_ALL, "Every service of the VIP that is announced must be able to serve." },
	{ NULL, 0, NULL }
};

static const struct lb_schema_choice leader[] = {
	{ "elected", LB_LEADER_ELECTED, "As lb-neighbor says: by keepalived's election, or by another's that tells it." },
	{ "always", LB_LEADER_ALWAYS, "This balancer, always: for a balancer alone." },
	{ NULL, 0, NULL }
};

/* Rows. The structure that a table describes is the macro T. */
#define FIELD(member) .offset = offsetof(T, member), .size = sizeof(((T *)0)->member)
#define INTEGER(from, to, otherwise) \
	.type = LB_SCHEMA_INTEGER, .minimum = (from), .maximum = (to), .value = (otherwise)
#define BOOLEAN(otherwise) .type = LB_SCHEMA_BOOLEAN, .value = (otherwise)
#define CHOICE(list, otherwise) .type = LB_SCHEMA_CHOICE, .choices = (list), .value = (otherwise)
#define STRING(how) .type = LB_SCHEMA_STRING, .format = &(how)
#define OBJECT(keys) .type = LB_SCHEMA_OBJECT, .object = (keys)
#define ARRAY(keys, pointer, count, from, to) \
	.type = LB_SCHEMA_ARRAY, .object = (keys), .offset = offsetof(T, pointer), .size = sizeof(*((T *)0)->pointer), \
	.count_offset = offsetof(T, count), .minimum = (from), .maximum = (to)
#define NO_CHOICE (-1)

#define T struct lb_config_backend
static const struct lb_schema_key backend_keys[] = {
	{ .name = "name", .required = true, FIELD(name), STRING(lb_format_name), .effect = LB_EFFECT_APPLY,
	  .help = "Name of the backend, unique in the service. It is the backend's identity: the ring is made from the names, "
		  "so a backend that comes back under its name gets its old slots, whatever its address." },
	{ .name = "address", .of_ring = true, .required = true, FIELD(address), STRING(lb_format_address), .effect = LB_EFFECT_APPLY,
	  .help = "Where packets are sent. Unique in the service, and never an address of a service." },
	{ .name = "weight", .of_ring = true, FIELD(weight), INTEGER(0, 65535, 100), .effect = LB_EFFECT_NEW,
	  .help = "Share of new flows, relative to the other backends of the service. 0 takes no new flows." },
	{ .name = "state", .of_ring = true, FIELD(state), CHOICE(lb_schema_state, LB_STATE_ACTIVE), .effect = LB_EFFECT_APPLY,
	  .help = "What the backend takes part in." },
	{ .name = "tier", .of_ring = true, FIELD(tier), INTEGER(0, LB_CONFIG_TIER_MAX, 0), .effect = LB_EFFECT_APPLY,
	  .help = "The lowest tiers serve; higher ones only while those are short of healthy backends (spill_below_percent)." },
	{ .name = "check", OWNED(lb_schema_check_keys, check), .effect = LB_EFFECT_APPLY,
	  .without = "as the service says", .help = "How this backend is checked, where it differs from the others." },
	{ .name = "mtu", .of_ring = true, FIELD(mtu), INTEGER(1280, 65535, 0), .effect = LB_EFFECT_APPLY,
	  .without = "that of the way to it, as the host's links and routes say",
	  .help = "Bytes of the largest IP packet that gets through to the backend, a tunnel's header counted. Say it where the path is "
		  "narrower somewhere than at its beginning: the answers of routers there go to tunnel_source, and mostly never arrive. "
		  "Senders are told what fits. Of several services with the address, the least counts." },
	{ .name = "server_id", STRING(lb_format_server_id), .effect = LB_EFFECT_APPLY,
	  .without = "none",
	  .help = "The server ID that the backend puts into its QUIC connection IDs, in hexadecimal digits, exactly as many bytes as "
		  "quic.configs say. Required when the service has quic.configs, not allowed otherwise; unique in the service." },
	{ 0 }
};
#undef T

#define T struct lb_config_quic
static const struct lb_schema_key quic_config_keys[] = {
	{ .name = "rotation", .required = true, FIELD(rotation), INTEGER(0, 6, NO_CHOICE), .effect = LB_EFFECT_APPLY,
	  .help = "The config rotation bits of the connection IDs that follow this configuration." },
	{ .name = "server_id_bytes", .required = true, FIELD(server_id_bytes), INTEGER(1, LB_QUIC_SERVER_ID_MAX, NO_CHOICE),
	  .effect = LB_EFFECT_APPLY,
	  .help = "Length of the server ID in these connection IDs. All configurations of a service have the same." },
	{ 0 }
};
#undef T

#define T struct lb_config_service
static const struct lb_schema_key quic_keys[] = {
	{ .name = "configs", .required = true, ARRAY(quic_config_keys, quic, n_quic, 1, LB_QUIC_CONFIGS_MAX),
	  .in_place = true, .effect = LB_EFFECT_APPLY,
	  .help = "The connection ID layouts in use; two, with different rotations, while one replaces the other." },
	{ 0 }
};

#undef T

#define T struct lb_config_source_range
static const struct lb_schema_key source_range_keys[] = {
	{ .name = "prefix", .required = true, FIELD(prefix), STRING(lb_format_range), .effect = LB_EFFECT_APPLY,
	  .help = "Sources that may use the service: one address, or all of a prefix." },
	{ 0 }
};
#undef T

#define T struct lb_config_service
static const struct lb_schema_key service_keys[] = {
	{ .name = "name", .required = true, FIELD(name), STRING(lb_format_name), .effect = LB_EFFECT_APPLY,
	  .help = "Name of the service, unique in the file. Rings are made from it: renaming a service moves its flows." },
	{ .name = "vip", .required = true, FIELD(vip), STRING(lb_format_vip), .effect = LB_EFFECT_APPLY,
	  .help = "The address that clients use; or a prefix: every address in it. An address wins over a prefix, "
		  "a longer prefix over a shorter one." },
	{ .name = "host_addresses", FIELD(host_addresses), CHOICE(host_addresses, LB_HOST_ADDRESSES_REFUSE), .effect = LB_EFFECT_APPLY,
	  .help = "What becomes of the service if vip is an address of this host, or a prefix that covers one (those of loopback and dummy devices "
		  "do not count). If the host gets such an address later the service runs on; that is warned of unless it was said here." },
	{ .name = "protocol", .of_ring = true, .required = true, FIELD(protocol), CHOICE(protocols, NO_CHOICE), .effect = LB_EFFECT_APPLY,
	  .help = "Transport protocol." },
	{ .name = "port", .required = true, STRING(lb_format_port), .minimum = 1, .maximum = 65535, .effect = LB_EFFECT_APPLY,
	  .help = "The port that clients use; or a range of ports; or any port. A port wins over a range, a range over one that "
		  "contains it, any range over \"any\"." },
	{ .name = "forward", .of_ring = true, FIELD(forward), CHOICE(lb_schema_forward, LB_FORWARD_IPIP), .effect = LB_EFFECT_APPLY,
	  .help = "How packets get to a backend." },
	{ .name = "algorithm", .of_ring = true, FIELD(algorithm), CHOICE(lb_schema_algorithm, LB_ALGORITHM_BOUNDED), .effect = LB_EFFECT_NEW,
	  .help = "How the slots of the ring are given to the backends." },
	{ .name = "ring_size", .of_ring = true, FIELD(ring_size), INTEGER(LB_RING_MIN, LB_RING_MAX, 0), .power_of_two = true,
	  .effect = LB_EFFECT_SERVICE,
	  .without = "by the number of backends when the service is made: the power of two at or above 100 for each and twice their number squared, at least 1024 and at most 65536",
	  .help = "Slots of the ring. More slots share load more finely." },
	{ .name = "ring", FIELD(ring), STRING(lb_format_name), .effect = LB_EFFECT_APPLY,
	  .without = "a ring of its own, made from the service's name",
	  .help = "Name of a ring that is shared: services of one pool that give the same name have one ring, so that affinity source sends a "
		  "client to the same backend on all their ports, and they need the memory of one. They must agree in all that the ring and "
		  "its flows are made of: protocol, family of the VIP, forward, gue_port, algorithm, ring_size, the timeouts, and the backends with "
		  "their addresses, weights, states, tiers and mtu. A backend is in the ring what it is in the worst of them. "
		  "Taking another ring moves the service's flows." },
	{ .name = "affinity", FIELD(affinity), CHOICE(lb_schema_affinity, LB_AFFINITY_FLOW), .effect = LB_EFFECT_APPLY,
	  .help = "What packets must have in common to go to the same backend. Changing it moves flows." },
	{ .name = "idle_timeout_s", .of_ring = true, FIELD(idle_timeout_s), INTEGER(1, 32000, 900), .effect = LB_EFFECT_APPLY,
	  .help = "Seconds without a packet after which a flow is taken to be over. A slot that was moved settles after that time, "
		  "so keep it above the longest silence of your connections. The default is far below the two hours of silence after which "
		  "TCP's keepalives begin (RFC 1122) and that a NAT must bear (RFC 5382): a connection that is silent for longer breaks only if "
		  "its slot moves, while every slot that waits costs each of its packets a look into the flow table, and a backend that drains is "
		  "not free for as long. Give 7440 (2 h 4 min) where connections sleep for hours." },
	{ .name = "half_closed_timeout_s", .of_ring = true, FIELD(half_closed_timeout_s), INTEGER(1, 32000, 0), .effect = LB_EFFECT_APPLY,
	  .without = "idle_timeout_s",
	  .help = "TCP only: seconds without a packet of a client that has closed its side (FIN) after which its flow is taken to be over, where "
		  "the flow is remembered. A finished close and a client that waits silently for its answer look the same to a balancer that "
		  "sees only what clients send: keep it above the longest time that an answer takes, and below idle_timeout_s only "
		  "where many closes during a change fill the flow table." },
	{ .name = "learning_window_s", .of_ring = true, FIELD(learning_window_s), INTEGER(0, 3600, 30), .effect = LB_EFFECT_APPLY,
	  .help = "Protocols without a handshake only (udp): seconds after a move during which a flow that is not known is taken to be old, "
		  "and stays where it was." },
	{ .name = "drain_limit_s", .of_ring = true, FIELD(drain_limit_s), INTEGER(1, 31536000, 86400), .effect = LB_EFFECT_APPLY,
	  .help = "Seconds that a backend may take to drain, or to leave once it is no longer configured. After that it is let go: what is "
		  "left of its flows moves to the others. Counted anew when lbd starts." },
	{ .name = "echo", FIELD(echo), BOOLEAN(true), .effect = LB_EFFECT_APPLY,
	  .help = "Answer ICMP echo requests (ping) to the VIP while a backend is active; with a prefix, to every address of it "
		  "that no service with a longer prefix, or the address itself, has." },
	{ .name = "fragments", FIELD(fragments), CHOICE(lb_schema_fragments, LB_FRAGMENTS_PASS), .effect = LB_EFFECT_APPLY,
	  .help = "What becomes of IP fragments to the VIP whose first fragment was not seen; with pass it is as unclaimed says." },
	{ .name = "unclaimed", FIELD(unclaimed), CHOICE(unclaimed, 0), .inherits = true, .effect = LB_EFFECT_APPLY,
	  .without = UNCLAIMED_WITHOUT,
	  .help = "What becomes of packets to the VIP that no service takes: to another port, of another protocol, pings that are not answered, later "
		  "fragments of what was not seen. Neighbour discovery is always left to the host. Where services of one VIP differ, pass counts "
		  "before reject, and reject before drop; of prefixes the longest decides." },
	{ .name = "no_backend", FIELD(no_backend), CHOICE(no_backend, LB_NO_BACKEND_DROP), .effect = LB_EFFECT_APPLY,
	  .help = "What becomes of packets to the service while nobody is there to take them." },
	{ .name = "source_ranges", ARRAY(source_range_keys, source_ranges, n_source_ranges, 0, LB_SOURCE_RANGES_MAX),
	  .effect = LB_EFFECT_APPLY,
	  .without = "everybody",
	  .help = "Who may use the service, as [{\"prefix\": \"203.0.113.0/24\"}]. Packets of all other sources are dropped with reason source, also those of connections that there are, "
		  "and ICMP errors about them; pings and checks are not asked. Of the VIP's family; at most 20 different prefix lengths, which packets are "
		  "compared with in the order of the list: put first what most clients are in." },
	{ .name = "gue_port", .of_ring = true, FIELD(gue_port), INTEGER(1, 65535, 6080), .effect = LB_EFFECT_APPLY,
	  .help = "UDP port of the backends that takes GUE packets. Used with forward gue only." },
	{ .name = "announce", FIELD(announce), CHOICE(lb_schema_announce_by, LB_ANNOUNCE_BY_NONE), .effect = LB_EFFECT_APPLY,
	  .help = "How the network is told that the VIP is here; see announce." },
	{ .name = "min_active", FIELD(min_active), INTEGER(1, LB_BACKENDS_PER_SERVICE_MAX, 1), .effect = LB_EFFECT_APPLY,
	  .help = "The service can serve while at least so many of its backends are active and their next hops resolved. Backends that serve "
		  "only because too few are left (when_all_fail) do not count." },
	{ .name = "on_empty", FIELD(on_empty), CHOICE(on_empty, LB_ON_EMPTY_KEEP), .effect = LB_EFFECT_APPLY,
	  .help = "What becomes of an announced VIP when no backend of the service is active." },
	{ .name = "quic", OBJECT(quic_keys), .effect = LB_EFFECT_APPLY,
	  .without = "connection IDs say nothing about the backend, they are hashed",
	  .help = "Connection IDs that carry a server ID (QUIC-LB, plain text). Only with affinity quic." },
	{ .name = "health", FIELD(health), OBJECT(lb_schema_health_keys), .effect = LB_EFFECT_APPLY,
	  .help = "Checks and breakers of this service, where they differ from those at the top." },
	{ .name = "backends", .of_ring = true, .required = true, ARRAY(backend_keys, backends, n_backends, 0, LB_BACKENDS_PER_SERVICE_MAX),
	  .effect = LB_EFFECT_APPLY,
	  .help = "The pool. While it is empty, packets to the service are dropped with reason no_backend." },
	{ 0 }
};
#undef T

#define T struct lb_config_interface
static const struct lb_schema_key interface_keys[] = {
	{ .name = "name", .required = true, FIELD(name), STRING(lb_format_interface), .effect = LB_EFFECT_APPLY,
	  .help = "Name of the network interface." },
	{ .name = "xdp_mode", FIELD(xdp_mode), CHOICE(lb_schema_xdp_mode, LB_XDP_NATIVE), .effect = LB_EFFECT_APPLY,
	  .help = "Where the packet path runs. It is never chosen for you: a driver without native XDP is an error. A change detaches the program for a moment." },
	{ .name = "attach", FIELD(attach), CHOICE(lb_schema_attach, LB_ATTACH_DISPATCHER), .effect = LB_EFFECT_START,
	  .help = "How the program is attached." },
	{ 0 }
};
#undef T

#define T struct lb_config_source_vip
static const struct lb_schema_key source_vip_keys[] = {
	{ .name = "prefix", .required = true, FIELD(prefix), STRING(lb_format_vip), .effect = LB_EFFECT_APPLY,
	  .help = "Addresses that its services may have as VIP: one, or all of a prefix." },
	{ 0 }
};
#undef T

#define T struct lb_config_source
static const struct lb_schema_key source_keys[] = {
	{ .name = "name", .required = true, FIELD(name), STRING(lb_format_name), .effect = LB_EFFECT_APPLY,
	  .help = "Name of the source, unique in the file." },
	{ .name = "uid", .required = true, FIELD(uid), INTEGER(1, 4294967294ll, 0), .effect = LB_EFFECT_APPLY,
	  .help = "User ID of the helper's processes. A process of that user may write under the source's name and read, and nothing else." },
	{ .name = "vips", .required = true, ARRAY(source_vip_keys, vips, n_vips, 1, 256), .effect = LB_EFFECT_APPLY,
	  .help = "The VIPs that its services may claim." },
	{ .name = "max_services", FIELD(max_services), INTEGER(1, LB_SERVICES_MAX, 1000), .effect = LB_EFFECT_APPLY,
	  .help = "Services that it may have." },
	{ .name = "max_backends", FIELD(max_backends), INTEGER(1, 1 << 24, 10000), .effect = LB_EFFECT_APPLY,
	  .help = "Backends that it may have, all its services together." },
	{ .name = "max_loss_percent", FIELD(max_loss_percent), INTEGER(0, 100, 50), .effect = LB_EFFECT_APPLY,
	  .help = "How much of a service's usable weight it may take away with one revision, or within a minute, unless it says "
		  "explicitly that it means it." },
	{ 0 }
};
#undef T

#define T struct lb_config
static const struct lb_schema_key tunnel_source_keys[] = {
	{ .name = "ipv4", FIELD(tunnel_source_v4), STRING(lb_format_source_v4), .effect = LB_EFFECT_APPLY,
	  .without = "the source address of the route to the backend, the same for every flow",
	  .help = "Outer source addresses of IPv4 tunnels. The bits behind the prefix vary with the flow, so that the backend's NIC "
		  "spreads the packets over its queues. No host needs to own these addresses." },
	{ .name = "ipv6", FIELD(tunnel_source_v6), STRING(lb_format_source_v6), .effect = LB_EFFECT_APPLY,
	  .without = "the source address of the route to the backend, the same for every flow",
	  .help = "The same for IPv6 tunnels; at most the last 32 bits vary." },
	{ 0 }
};

static const struct lb_schema_key limits_keys[] = {
	{ .name = "services", FIELD(limits.services), INTEGER(0, LB_SERVICES_MAX, 0), .effect = LB_EFFECT_TABLES,
	  .range_note = "0: sized by lbd", .help = "Services that fit." },
	{ .name = "backends", FIELD(limits.backends), INTEGER(0, 1 << 24, 0), .effect = LB_EFFECT_TABLES,
	  .range_note = "0: sized by lbd", .help = "Backends that fit, all services together." },
	{ .name = "ring_slots", FIELD(limits.ring_slots), INTEGER(0, 1 << 30, 0), .effect = LB_EFFECT_TABLES,
	  .range_note = "0: sized by lbd",
	  .help = "Ring slots that fit, all services together. A ring that changes needs room for its old and its new slots." },
	{ .name = "flow_entries", FIELD(limits.flow_entries), INTEGER(0, 1ll << 31, 0), .effect = LB_EFFECT_TABLES,
	  .range_note = "0: sized by lbd",
	  .help = "Entries of the flow table, which remembers flows while slots move: 51 bytes each, rounded up to a power "
		  "of two, so that 10,000,000 take 512 MiB. By itself lbd makes a table of 16 to 64 MiB." },
	{ 0 }
};

/* RT_TABLE_DEFAULT, RT_TABLE_MAIN and RT_TABLE_LOCAL are 253 to 255: config_check.c. */
static const struct lb_schema_key announce_keys[] = {
	{ .name = "table", FIELD(announce.table), INTEGER(1, 0x7fffffff, 177), .effect = LB_EFFECT_START,
	  .help = "Routing table of announced VIPs, for lbd alone: no rule may consult it. Protocol 201 means serving, 202 draining." },
	{ .name = "draining_table", FIELD(announce.draining_table), INTEGER(1, 0x7fffffff, 178), .effect = LB_EFFECT_START,
	  .help = "Routing table of VIPs that are draining, beside the other: for FRR, which does not see a route's protocol." },
	{ .name = "hold_down_s", FIELD(announce.hold_down_s), INTEGER(0, 3600, 5), .effect = LB_EFFECT_APPLY,
	  .help = "Seconds before a VIP that was withdrawn for want of backends is announced again." },
	{ .name = "serve_if", FIELD(announce.serve_if), CHOICE(serve_if, LB_SERVE_IF_ANY), .effect = LB_EFFECT_APPLY,
	  .help = "How many of a VIP's services must be able to serve for it to be announced." },
	{ .name = "drain_s", FIELD(announce.drain_s), INTEGER(0, 3600, 10), .effect = LB_EFFECT_APPLY,
	  .help = "Seconds that a balancer which leaves (lbctl leave) is announced as draining, at least: routers move their flows away." },
	{ .name = "leave_limit_s", FIELD(announce.leave_limit_s), INTEGER(0, 86400, 1800), .effect = LB_EFFECT_APPLY,
	  .help = "Seconds that it waits for unsettled slots, at most: flows that began in those may not survive the way to another balancer. Of 100 "
		  "connections that began while one of three backends was drained on both, 21 broke when they were moved; of the older ones none." },
	{ .name = "interface", FIELD(announce.interface), STRING(lb_format_interface), .effect = LB_EFFECT_APPLY,
	  .without = "the first of interfaces",
	  .help = "Interface of the LAN on which VIPs are answered for, with announce neighbor: one of interfaces." },
	{ .name = "group", FIELD(announce.group), INTEGER(1, 255, 51), .effect = LB_EFFECT_APPLY,
	  .help = "What one election decides, with announce neighbor: the number of the virtual router (VRRP, RFC 5798), the same on all "
		  "balancers of the LAN." },
	{ .name = "leader", FIELD(announce.leader), CHOICE(leader, LB_LEADER_ELECTED), .effect = LB_EFFECT_APPLY,
	  .help = "Who answers for VIPs, with announce neighbor." },
	{ 0 }
};

static const struct lb_schema_key sweeper_keys[] = {
	{ .name = "cpu_permille", FIELD(sweeper.cpu_permille), INTEGER(1, 1000, 10), .effect = LB_EFFECT_APPLY,
	  .help = "How much of one core the sweeper may use, in thousandths. It settles slots and expires flow entries." },
	{ 0 }
};

static const struct lb_schema_key observer_keys[] = {
	{ .name = "cpu_permille", FIELD(observer.cpu_permille), INTEGER(0, 100, 8), .effect = LB_EFFECT_APPLY,
	  .help = "How much of one core observation may take, of packet path and agent together, in thousandths: so many flows are sampled. "
		  "0: none are." },
	{ 0 }
};

static const struct lb_schema_key api_keys[] = {
	{ .name = "socket", .vouched = true, FIELD(api.socket), STRING(lb_format_socket), .text = "/run/weir/lbd.sock", .effect = LB_EFFECT_START,
	  .help = "UNIX socket of the API, which lbctl uses." },
	{ .name = "metrics", FIELD(api.metrics), STRING(lb_format_listen), .text = "127.0.0.1:9650", .effect = LB_EFFECT_APPLY,
	  .help = "Where /metrics, /healthz and /readyz are served over HTTP." },
	{ 0 }
};

const struct lb_schema_key lb_schema[] = {
	{ .name = "version", .required = true, INTEGER(1, 1, 0), .effect = LB_EFFECT_APPLY,
	  .help = "Version of this format." },
	{ .name = "hash_seed", .required = true, .secret = true, FIELD(hash_seed), STRING(lb_format_seed), .effect = LB_EFFECT_MAPS,
	  .help = "A secret, the same on every balancer of a fleet: from it follow the rings and the slot of every flow, so that any balancer "
		  "sends a flow where the others would. Changing it moves nearly every flow." },
	{ .name = "interfaces", .required = true, ARRAY(interface_keys, interfaces, n_interfaces, 1, LB_PORTS_MAX),
	  .effect = LB_EFFECT_APPLY,
	  .help = "Interfaces that packets to the services come in on, or leave to backends by." },
	{ .name = "tunnel_source", OBJECT(tunnel_source_keys), .effect = LB_EFFECT_APPLY,
	  .help = "Outer source addresses of tunnels (forward ipip and gue)." },
	{ .name = "unclaimed", FIELD(unclaimed), CHOICE(unclaimed, 0), .inherits = true, .effect = LB_EFFECT_APPLY,
	  .without = UNCLAIMED_WITHOUT,
	  .help = "What becomes of packets to a VIP that no service takes, for services that do not say it themselves." },
	{ .name = "limits", OBJECT(limits_keys), .effect = LB_EFFECT_TABLES,
	  .help = "Sizes of the kernel's tables. Without them lbd sizes the tables from the configuration and the machine's memory, once: only a limit that changes makes them others." },
	{ .name = "announce", OBJECT(announce_keys), .effect = LB_EFFECT_APPLY,
	  .help = "How VIPs are announced to the network, where their services say so." },
	{ .name = "sweeper", OBJECT(sweeper_keys), .effect = LB_EFFECT_APPLY,
	  .help = "The sweeper, which cleans up after moves." },
	{ .name = "observer", OBJECT(observer_keys), .effect = LB_EFFECT_APPLY,
	  .help = "The observer, which learns from clients' flows how backends do (lbctl observe)." },
	{ .name = "api", OBJECT(api_keys), .effect = LB_EFFECT_START,
	  .help = "Where lbd can be reached." },
	{ .name = "health", FIELD(health), OBJECT(lb_schema_health_keys), .effect = LB_EFFECT_APPLY,
	  .help = "Checks and breakers of all services, unless they say otherwise." },
	{ .name = "checker", FIELD(checker), OBJECT(lb_schema_checker_keys), .effect = LB_EFFECT_APPLY,
	  .help = "The program that checks, lb-checkd." },
	{ .name = "services", .required = true, ARRAY(service_keys, services, n_services, 0, LB_SERVICES_MAX),
	  .effect = LB_EFFECT_APPLY,
	  .help = "The services. No two have the same VIP, protocol and port; two port ranges of a VIP and protocol may lie one in the "
		  "other, but not overlap otherwise." },
	{ .name = "sources", ARRAY(source_keys, sources, n_sources, 0, LB_SOURCES_MAX), .effect = LB_EFFECT_APPLY,
	  .help = "Helpers (of Kubernetes, of service discovery) that bring services of their own through the API, beside those of the file. "
		  "What they brought goes on when they are away, also across restarts, and goes when the file no longer lists them." },
	{ 0 }
};
#undef T

/* clang-format on */

static const char *const effects[LB_EFFECT_COUNT] = {
	[LB_EFFECT_APPLY] = "with the next apply or reload",
	[LB_EFFECT_NEW] = "with the next apply or reload, for new flows; no flow is moved",
	[LB_EFFECT_SERVICE] = "when the service is made",
	[LB_EFFECT_START] = "when lbd starts",
	[LB_EFFECT_TABLES] = ("with the next apply or reload: tables of the new size take over from those "
			      "that run, and no "
			      "packet notices"),
	[LB_EFFECT_MAPS] = "when the kernel's tables are made: at the first start, or after lbd --detach",
};

const char *lb_schema_effect_text(enum lb_schema_effect effect)
{
	return effects[effect];
}

bool lb_schema_has_default(const struct lb_schema_key *key)
{
	if (key->required || key->inherits)
		return false;
	switch (key->type) {
	case LB_SCHEMA_INTEGER:
		return key->value >= key->minimum && key->value <= key->maximum;
	case LB_SCHEMA_BOOLEAN:
	case LB_SCHEMA_CHOICE:
		return true;
	case LB_SCHEMA_STRING:
		return key->text;
	default:
		return false;
	}
}

bool lb_schema_given(const struct lb_schema_key *key, const void *base)
{
	const void *field = (const char *)base + key->offset;
	char text[LB_SCHEMA_TEXT_MAX];
	__s64 value;

	switch (key->type) {
	case LB_SCHEMA_INTEGER:
		value = lb_schema_load(field, key->size);
		return value >= key->minimum && value <= key->maximum;
	case LB_SCHEMA_CHOICE:
		value = lb_schema_load(field, key->size);
		for (const struct lb_schema_choice *choice = key->choices; choice->name; choice++) {
			if (choice->value == value)
				return true;
		}
		return false;
	case LB_SCHEMA_STRING:
		key->format->print(field, text, sizeof(text));
		return text[0];
	case LB_SCHEMA_OBJECT:
		if (key->owned)
			return *(void *const *)field;
		for (const struct lb_schema_key *inner = key->object; inner->name; inner++) {
			if (lb_schema_given(inner, field))
				return true;
		}
		return false;
	case LB_SCHEMA_ARRAY:
		return *(const size_t *)((const char *)base + key->count_offset) != 0;
	default:
		return true;
	}
}

void lb_schema_clear(const struct lb_schema_key *keys, void *base)
{
	for (const struct lb_schema_key *key = keys; key->name; key++) {
		if (key->type == LB_SCHEMA_OBJECT && !key->owned)
			lb_schema_clear(key->object, (char *)base + key->offset);
		else if (key->type == LB_SCHEMA_INTEGER)
			lb_schema_store((char *)base + key->offset, key->size, -1);
	}
}

static void append_choices(const struct lb_schema_choice *choices, char *buffer, size_t size)
{
	for (const struct lb_schema_choice *choice = choices; choice->name; choice++) {
		size_t used = strlen(buffer);

		snprintf(buffer + used, size - used, "%s\"%s\"",
			 choice == choices        ? ""
			 : choice[1].name == NULL ? " or "
						  : ", ",
			 choice->name);
	}
}

const char *lb_schema_accepted(const struct lb_schema_key *key, char buffer[LB_SCHEMA_ACCEPTED_MAX])
{
	size_t size = LB_SCHEMA_ACCEPTED_MAX;

	buffer[0] = 0;
	switch (key->type) {
	case LB_SCHEMA_INTEGER:
		if (key->minimum == key->maximum)
			snprintf(buffer, size, "%lld", key->minimum);
		else
			snprintf(buffer, size, "%s from %lld to %lld%s%s%s",
				 key->power_of_two ? "a power of two" : "a whole number", key->minimum,
				 key->maximum, key->range_note ? " (" : "",
				 key->range_note ? key->range_note : "", key->range_note ? ")" : "");
		break;
	case LB_SCHEMA_BOOLEAN:
		snprintf(buffer, size, "true or false");
		break;
	case LB_SCHEMA_CHOICE:
		append_choices(key->choices, buffer, size);
		break;
	case LB_SCHEMA_STRING:
		snprintf(buffer, size, "%s", key->format->accepted);
		break;
	case LB_SCHEMA_OBJECT:
		snprintf(buffer, size, "an object");
		break;
	case LB_SCHEMA_ARRAY:
		snprintf(buffer, size, "a list of %lld to %lld objects", key->minimum, key->maximum);
		break;
	}
	return buffer;
}

__s64 lb_schema_load(const void *field, size_t size)
{
	switch (size) {
	case 1:
		return *(const __u8 *)field;
	case 2:
		return *(const __u16 *)field;
	case 4:
		return *(const __u32 *)field;
	default:
		return *(const __s64 *)field;
	}
}

void lb_schema_store(void *field, size_t size, __s64 value)
{
	switch (size) {
	case 1:
		*(__u8 *)field = (__u8)value;
		break;
	case 2:
		*(__u16 *)field = (__u16)value;
		break;
	case 4:
		*(__u32 *)field = (__u32)value;
		break;
	case 8:
		*(__s64 *)field = value;
		break;
	}
}
