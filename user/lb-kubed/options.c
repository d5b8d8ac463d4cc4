// SPDX-License-Identifier: GPL-2.0-only
/*
 * Options. In a pod none is needed: what it is told by its environment and its service account's folder is
 * what it takes.
 */
#include "lb-kubed/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/schema.h"
#include "version.h"

#define ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount"

static const char help[] =
	"usage: lb-kubed [OPTION]...\n"
	"Watches Services of Kubernetes, gives them addresses, and has lbd serve them.\n"
	"\n"
	"  --api URL            the API server (from the pod's environment)\n"
	"  --ca FILE            certificates that it is known by (" ACCOUNT "/ca.crt)\n"
	"  --token-file FILE    the token that is sent (" ACCOUNT "/token)\n"
	"  --node NAME          this member ($NODE_NAME, or the host's name)\n"
	"  --namespace NAME     of the pools and the Lease ($POD_NAMESPACE, or weir)\n"
	"  --pools NAME         ConfigMap with the pools (weir-pools)\n"
	"  --lease NAME         Lease by which one member leads (weir)\n"
	"  --witness NAME       Service by which nodes show what they know (weir-witness)\n"
	"  --socket PATH        where lbd listens (/run/weir/lbd.sock)\n"
	"  --source NAME        source of lbd that this is (kubernetes)\n"
	"  --class NAME         loadBalancerClass that is ours (weir.dev/weir)\n"
	"  --default-class      Services without a class are ours as well\n"
	"  --forward HOW        l2, ipip or gue, for Services that do not say (ipip)\n"
	"  --announce HOW       none, route or neighbor, the same (route)\n"
	"  --lan DIR            shared with lb-neighbor: a Lease says who answers on a flat LAN (off)\n"
	"  --lan-lease NAME     that Lease (weir-lan)\n"
	"  --lan-group N        announce.group of lbd's configuration (51)\n"
	"  --edge-label LABEL   label of nodes that run Weir, KEY or KEY=VALUE (weir.dev/edge)\n"
	"  --proxy-port PORT    where nodes say whether their service proxy is healthy; 0: they are not "
	"asked (10256)\n"
	"  --silence SECONDS    longest silence of a watch; the API server says something every minute "
	"(100)\n"
	"  --metrics PLACE      address and port of /metrics, /healthz, /readyz; empty: none "
	"(127.0.0.1:9652)\n"
	"  --give-back          serve nothing: take addresses, finalizers and annotations of ours back from "
	"all Services, and exit\n"
	"  --version, --help\n";

enum {
	OPTION_API = 256,
	OPTION_CA,
	OPTION_TOKEN,
	OPTION_NODE,
	OPTION_NAMESPACE,
	OPTION_POOLS,
	OPTION_LEASE,
	OPTION_WITNESS,
	OPTION_SOCKET,
	OPTION_SOURCE,
	OPTION_CLASS,
	OPTION_DEFAULT_CLASS,
	OPTION_FORWARD,
	OPTION_ANNOUNCE,
	OPTION_LAN,
	OPTION_LAN_LEASE,
	OPTION_LAN_GROUP,
	OPTION_EDGE_LABEL,
	OPTION_PROXY_PORT,
	OPTION_SILENCE,
	OPTION_METRICS,
	OPTION_GIVE_BACK,
	OPTION_VERSION,
	OPTION_HELP,
};

static const struct option list[] = {
	{ "api", required_argument, NULL, OPTION_API },
	{ "ca", required_argument, NULL, OPTION_CA },
	{ "token-file", required_argument, NULL, OPTION_TOKEN },
	{ "node", required_argument, NULL, OPTION_NODE },
	{ "namespace", required_argument, NULL, OPTION_NAMESPACE },
	{ "pools", required_argument, NULL, OPTION_POOLS },
	{ "lease", required_argument, NULL, OPTION_LEASE },
	{ "witness", required_argument, NULL, OPTION_WITNESS },
	{ "socket", required_argument, NULL, OPTION_SOCKET },
	{ "source", required_argument, NULL, OPTION_SOURCE },
	{ "class", required_argument, NULL, OPTION_CLASS },
	{ "default-class", no_argument, NULL, OPTION_DEFAULT_CLASS },
	{ "forward", required_argument, NULL, OPTION_FORWARD },
	{ "announce", required_argument, NULL, OPTION_ANNOUNCE },
	{ "lan", required_argument, NULL, OPTION_LAN },
	{ "lan-lease", required_argument, NULL, OPTION_LAN_LEASE },
	{ "lan-group", required_argument, NULL, OPTION_LAN_GROUP },
	{ "edge-label", required_argument, NULL, OPTION_EDGE_LABEL },
	{ "proxy-port", required_argument, NULL, OPTION_PROXY_PORT },
	{ "silence", required_argument, NULL, OPTION_SILENCE },
	{ "metrics", required_argument, NULL, OPTION_METRICS },
	{ "give-back", no_argument, NULL, OPTION_GIVE_BACK },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ NULL, 0, NULL, 0 },
};

static int wrong(const char *option, const char *value, const char *accepted)
{
	fprintf(stderr, "lb-kubed: --%s is \"%s\", and must be %s\n", option, value, accepted);
	return 2;
}

static int read_forward(struct options *options)
{
	for (const struct lb_schema_choice *choice = lb_schema_forward; choice->name; choice++)
		if (strcmp(choice->name, optarg) == 0) {
			options->defaults.forward = (enum lb_forward)choice->value;
			return -1;
		}
	return wrong("forward", optarg, "l2, ipip or gue");
}

static int read_announce(struct options *options)
{
	for (const struct lb_schema_choice *choice = lb_schema_announce_by; choice->name; choice++)
		if (strcmp(choice->name, optarg) == 0) {
			options->defaults.announce = (enum lb_announce_by)choice->value;
			return -1;
		}
	return wrong("announce", optarg, "none, route or neighbor");
}

static int read_number(const char *name, unsigned long from, unsigned long to, unsigned int *ret_number)
{
	char accepted[64], *end;
	unsigned long number = strtoul(optarg, &end, 10);

	snprintf(accepted, sizeof(accepted), "a number from %lu to %lu", from, to);
	if (optarg[0] < '0' || optarg[0] > '9' || *end || number < from || number > to)
		return wrong(name, optarg, accepted);
	*ret_number = (unsigned int)number;
	return -1;
}

/* Where a text is kept; NULL: it is none that is one. */
static const char **place_of(struct options *options, int option)
{
	switch (option) {
	case OPTION_CA:
		return &options->ca;
	case OPTION_TOKEN:
		return &options->token;
	case OPTION_NODE:
		return &options->node;
	case OPTION_NAMESPACE:
		return &options->namespace;
	case OPTION_POOLS:
		return &options->pools;
	case OPTION_LEASE:
		return &options->lease;
	case OPTION_WITNESS:
		return &options->witness;
	case OPTION_SOCKET:
		return &options->socket;
	case OPTION_SOURCE:
		return &options->source;
	case OPTION_CLASS:
		return &options->defaults.class;
	case OPTION_LAN:
		return &options->lan;
	case OPTION_LAN_LEASE:
		return &options->lan_lease;
	case OPTION_EDGE_LABEL:
		return &options->edge_label;
	case OPTION_METRICS:
		return &options->metrics;
	default:
		return NULL;
	}
}

/* -1: go on; else the status to end with. */
static int read_option(struct options *options, int option)
{
	const char **place = place_of(options, option);

	if (place) {
		*place = optarg;
		return -1;
	}
	switch (option) {
	case OPTION_API:
		free(options->api);
		options->api = strdup(optarg);
		return -1;
	case OPTION_DEFAULT_CLASS:
		options->defaults.default_class = true;
		return -1;
	case OPTION_GIVE_BACK:
		options->give_back = true;
		return -1;
	case OPTION_FORWARD:
		return read_forward(options);
	case OPTION_ANNOUNCE:
		return read_announce(options);
	case OPTION_PROXY_PORT:
		return read_number("proxy-port", 0, 65535, &options->proxy_port);
	case OPTION_LAN_GROUP:
		return read_number("lan-group", 1, 255, &options->lan_group);
	case OPTION_SILENCE:
		return read_number("silence", 1, 3600, &options->silence_s);
	case OPTION_VERSION:
		printf("lb-kubed %s\n", LB_VERSION);
		return 0;
	case OPTION_HELP:
		fputs(help, stdout);
		return 0;
	default:
		fputs("usage: lb-kubed [OPTION]...; lb-kubed --help lists them\n", stderr);
		return 2;
	}
}

/* What the kubelet says of the API server in the environment of pods. */
static int find_api(struct options *options)
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");

	if (options->api) {
		/* Paths begin with a slash. */
		while (options->api[0] && options->api[strlen(options->api) - 1] == '/')
			options->api[strlen(options->api) - 1] = 0;
		return -1;
	}
	if (!host || !port) {
		fputs("lb-kubed: not in a pod: --api URL says where the API server is\n", stderr);
		return 2;
	}
	if (asprintf(&options->api, strchr(host, ':') ? "https://[%s]:%s" : "https://%s:%s", host, port) < 0)
		options->api = NULL;
	return options->api ? -1 : 1;
}

static int check(struct options *options)
{
	static char host[256];

	if (!options->node[0]) {
		gethostname(host, sizeof(host) - 1);
		options->node = host;
	}
	/* They become parts of paths. */
	if (strchr(options->namespace, '/') || strchr(options->pools, '/') || strchr(options->lease, '/') ||
	    strchr(options->source, '/') || strchr(options->witness, '/') ||
	    strchr(options->lan_lease, '/')) {
		fputs("lb-kubed: names have no slashes\n", stderr);
		return 2;
	}
	return find_api(options);
}

int options_read(struct options *options, int argc, char **argv)
{
	const char *node = getenv("NODE_NAME"), *namespace = getenv("POD_NAMESPACE");
	int option, r = -1;

	*options = (struct options){
		.ca = access(ACCOUNT "/ca.crt", R_OK) == 0 ? ACCOUNT "/ca.crt" : NULL,
		.token = access(ACCOUNT "/token", R_OK) == 0 ? ACCOUNT "/token" : NULL,
		.node = node ? node : "",
		.namespace = namespace ? namespace : "weir",
		.pools = "weir-pools",
		.lease = "weir",
		.witness = "weir-witness",
		.lan = "",
		.lan_lease = "weir-lan",
		.lan_group = 51,
		.socket = "/run/weir/lbd.sock",
		.source = "kubernetes",
		.metrics = "127.0.0.1:9652",
		.edge_label = "weir.dev/edge",
		.proxy_port = 10256,
		.silence_s = 100,
		.defaults = { .class = "weir.dev/weir",
			      .forward = LB_FORWARD_IPIP,
			      .announce = LB_ANNOUNCE_BY_ROUTE },
	};
	while (r < 0 && (option = getopt_long(argc, argv, "", list, NULL)) != -1)
		r = read_option(options, option);
	if (r >= 0)
		return r;
	if (optind < argc) {
		fprintf(stderr, "lb-kubed: takes no arguments: %s\n", argv[optind]);
		return 2;
	}
	return check(options);
}
