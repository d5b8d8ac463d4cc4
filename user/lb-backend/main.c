/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * lb-backend: makes a host a backend of Weir that answers its clients directly, and undoes it. Options and
 * what the verbs share; the verbs are in up.c, down.c and status.c.
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "lb-backend.h"
#include "base/nearest.h"
#include "version.h"

static const struct verb {
	const char *name;
	int (*run)(const struct options *options);
	const char *arguments;
	const char *help;
} verbs[] = {
	{ "up", verb_up, "--vip ADDR... --dev DEV [OPTION...]",
	  "take packets of the balancer for these VIPs" },
	{ "watch", verb_watch, "--vip ADDR... --dev DEV [OPTION...]",
	  "up, and put back what others undo, until it is told to end" },
	{ "down", verb_down, "[--dev DEV]", "undo exactly what up did, for one device or all" },
	{ "status", verb_status, "[-j]", "what should be and what is; exit status 1 when they differ" },
};

static void usage(FILE *out)
{
	fprintf(out, "usage: lb-backend VERB [OPTION...]\n\nverbs:\n");
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
		fprintf(out, "  %-6s %-38s %s\n", verbs[i].name, verbs[i].arguments, verbs[i].help);
	fprintf(out,
		"\noptions:\n"
		"  --vip ADDR...       addresses of services, IPv4 or IPv6, or prefixes of them\n"
		"  --decap-only        the host knows the VIPs already (Kubernetes: its service proxy): "
		"nothing on lo\n"
		"  --dev DEV           device that the balancer's packets come in on\n"
		"  --from PREFIX...    addresses that the balancers send tunnels from (any)\n"
		"  --decap FORMAT      ipip, gue, ipip,gue or none, as the service's \"forward\" says "
		"(ipip)\n"
		"  --gue-port N        UDP port of gue (%d)\n"
		"  --hook HOOK         xdp, tc, or auto: tc where XDP is taken or not supported (auto)\n"
		"  --xdp-mode MODE     native or generic (native)\n"
		"  --state-dir DIR     where to note what was done (%s)\n"
		"  -j, --json          machine-readable status\n"
		"  -h, --help, --version\n",
		LB_GUE_PORT, STATE_DIR_DEFAULT);
}

static int wrong(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "lb-backend: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, " (see lb-backend --help)\n");
	return 2;
}

void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
}

void say_same(const struct work *work, const char *format, ...)
{
	va_list args;

	if (work->options->watching)
		return;
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
}

int fail(const struct lb_error *error)
{
	fflush(stdout);
	fprintf(stderr, "lb-backend: %s\n", error->text);
	return 1;
}

const char *formats_name(unsigned int formats)
{
	static const char *const names[] = { "none", "ipip", "gue", "ipip,gue" };

	return names[formats & 3];
}

static int formats_parse(const char *text, unsigned int *ret_formats)
{
	for (unsigned int i = 0; i <= 3; i++) {
		if (strcmp(text, formats_name(i)) == 0) {
			*ret_formats = i;
			return 0;
		}
	}
	return wrong("--decap %s: ipip, gue, ipip,gue or none", text);
}

int work_begin(struct work *work, const struct options *options, bool create)
{
	int ret;

	*work = (struct work){ .options = options, .state.lock_fd = -1 };
	if (geteuid() != 0)
		return lb_error_set(&work->error, EPERM, "must be root");
	/* Our program is found again by the number that its device shows. */
	if (bpf_prog_get_fd_by_id(UINT32_MAX) < 0 && errno == EPERM)
		return lb_error_set(
			&work->error, EPERM,
			"lacks CAP_SYS_ADMIN, without which the kernel finds no program by its number");
	ret = network_open(&work->network, &work->error);
	return ret < 0 ? ret : state_open(options->state_dir, create, &work->state, &work->error);
}

void work_end(struct work *work)
{
	state_done(&work->state);
	network_close(&work->network);
}

/* The address after it. */
static void address_next(struct lb_address *address)
{
	for (int i = (address->family == LB_FAMILY_V4 ? 4 : 16) - 1; i >= 0 && ++address->bytes[i] == 0;)
		i--;
}

enum {
	OPT_MORE = 1, /* getopt's number for what stands there without an option */
	OPT_VIP = 256,
	OPT_DECAP_ONLY,
	OPT_FROM,
	OPT_DEV,
	OPT_DECAP,
	OPT_GUE_PORT,
	OPT_HOOK,
	OPT_XDP_MODE,
	OPT_STATE_DIR,
	OPT_VERSION
};

static int vip_add(struct options *options, const char *text)
{
	struct lb_prefix prefix;
	struct lb_address address;
	unsigned int free_bits;

	if (lb_prefix_parse(text, &prefix) < 0)
		return wrong("--vip %s: not an IPv4 or IPv6 address or prefix", text);
	free_bits = (prefix.address.family == LB_FAMILY_V4 ? 32 : 128) - prefix.length;
	if (free_bits > 12 || options->vips.n + (1u << free_bits) > LB_DECAP_ADDRESSES_MAX)
		return wrong("--vip %s: more than %u addresses in all", text, LB_DECAP_ADDRESSES_MAX);
	address = prefix.address;
	for (unsigned int i = 0; i < 1u << free_bits; i++, address_next(&address)) {
		if (address_list_add(&options->vips, &address) < 0)
			return wrong("out of memory");
	}
	return 0;
}

static int from_add(struct options *options, const char *text)
{
	struct lb_prefix prefix;

	int r = lb_prefix_parse(text, &prefix);

	if (r == -EDOM)
		return wrong("--from %s: bits behind the prefix are set", text);
	if (r < 0)
		return wrong("--from %s: not an IPv4 or IPv6 address or prefix", text);
	if (options->from.n == LB_DECAP_PREFIXES_MAX)
		return wrong("--from takes at most %u prefixes", LB_DECAP_PREFIXES_MAX);
	if (prefix_list_add(&options->from, &prefix) < 0)
		return wrong("out of memory");
	return 0;
}

/* What stands there without an option, behind one that takes several. */
static int more_add(struct options *options, const char *text)
{
	if (options->list == OPT_VIP)
		return vip_add(options, text);
	if (options->list == OPT_FROM)
		return from_add(options, text);
	return wrong("%s: what is this?", text);
}

static int port_parse(const char *text, __u16 *ret_port)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || value < 1 || value > 65535)
		return wrong("--gue-port %s: 1 to 65535", text);
	*ret_port = value;
	return 0;
}

static int mode_parse(const char *text, enum lb_xdp_mode *ret_mode)
{
	if (strcmp(text, "native") == 0)
		*ret_mode = LB_XDP_NATIVE;
	else if (strcmp(text, "generic") == 0)
		*ret_mode = LB_XDP_GENERIC;
	else
		return wrong("--xdp-mode %s: native or generic", text);
	return 0;
}

static const struct option long_options[] = {
	{ "vip", required_argument, NULL, OPT_VIP },
	{ "decap-only", no_argument, NULL, OPT_DECAP_ONLY },
	{ "from", required_argument, NULL, OPT_FROM },
	{ "dev", required_argument, NULL, OPT_DEV },
	{ "decap", required_argument, NULL, OPT_DECAP },
	{ "gue-port", required_argument, NULL, OPT_GUE_PORT },
	{ "hook", required_argument, NULL, OPT_HOOK },
	{ "xdp-mode", required_argument, NULL, OPT_XDP_MODE },
	{ "state-dir", required_argument, NULL, OPT_STATE_DIR },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, OPT_VERSION },
	{},
};

static int option_take(struct options *options, int option, const char *value)
{
	if (option == OPT_VIP || option == OPT_FROM)
		options->list = option;
	switch (option) {
	case OPT_MORE:
		return more_add(options, value);
	case OPT_VIP:
		return vip_add(options, value);
	case OPT_DECAP_ONLY:
		options->decap_only = true;
		return 0;
	case OPT_FROM:
		return from_add(options, value);
	case OPT_DEV:
		if (!*value || strlen(value) >= IF_NAMESIZE || strchr(value, '/') || *value == '.')
			return wrong("--dev %s: not a device name", value);
		options->device = value;
		return 0;
	case OPT_DECAP:
		return formats_parse(value, &options->formats);
	case OPT_GUE_PORT:
		return port_parse(value, &options->gue_port);
	case OPT_HOOK:
		if (hook_parse(value, &options->hook) < 0 || options->hook == HOOK_NONE)
			return wrong("--hook %s: xdp, tc or auto", value);
		return 0;
	case OPT_XDP_MODE:
		return mode_parse(value, &options->mode);
	case OPT_STATE_DIR:
		options->state_dir = value;
		return 0;
	default:
		options->json = true;
		return 0;
	}
}

static int unknown_option(const char *text)
{
	const char *names[sizeof(long_options) / sizeof(*long_options)] = {}, *nearest;

	for (size_t i = 0; long_options[i].name; i++)
		names[i] = long_options[i].name;
	nearest = strncmp(text, "--", 2) == 0 ? lb_nearest(text + 2, names) : NULL;
	if (nearest)
		return wrong("%s is not an option; did you mean --%s?", text, nearest);
	return wrong("%s is not an option", text);
}

/* -1: go on. Otherwise the exit status. */
static int options_parse(int argc, char **argv, struct options *options)
{
	int option, ret = 0;

	opterr = 0;
	while (ret == 0 && (option = getopt_long(argc, argv, "-:jh", long_options, NULL)) >= 0) {
		switch (option) {
		case 'h':
			usage(stdout);
			return 0;
		case OPT_VERSION:
			printf("lb-backend %s\n", LB_VERSION);
			return 0;
		case ':':
			return wrong("%s needs a value", argv[optind - 1]);
		case '?':
			return unknown_option(argv[optind - 1]);
		default:
			ret = option_take(options, option, optarg);
		}
	}
	/* What follows "--". */
	for (; ret == 0 && optind < argc; optind++)
		ret = more_add(options, argv[optind]);
	return ret ?: -1;
}

static int verb_run(const struct verb *verb, const struct options *options)
{
	bool takes = verb->run == verb_up || verb->run == verb_watch;

	if (takes && options->vips.n == 0)
		return wrong("%s needs --vip", verb->name);
	if (takes && !options->device)
		return wrong("%s needs --dev", verb->name);
	return verb->run(options);
}

static const struct verb *verb_find(const char *name)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
		if (strcmp(name, verbs[i].name) == 0)
			return &verbs[i];
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static const char *const names[] = { "up", "watch", "down", "status", NULL };
	struct options options = { .state_dir = STATE_DIR_DEFAULT,
				   .hook = HOOK_AUTO,
				   .mode = LB_XDP_NATIVE,
				   .formats = LB_DECAP_FORMAT_IPIP,
				   .gue_port = LB_GUE_PORT };
	const struct verb *verb = argc > 1 ? verb_find(argv[1]) : NULL;
	const char *nearest;
	int ret;

	libbpf_set_print(NULL); /* what fails, we say ourselves */
	if (argc < 2) {
		usage(stderr);
		return 2;
	}
	if (!verb && argv[1][0] != '-') {
		nearest = lb_nearest(argv[1], names);
		return nearest ? wrong("%s is not a verb; did you mean %s?", argv[1], nearest)
			       : wrong("%s is not a verb", argv[1]);
	}
	ret = options_parse(argc - !!verb, argv + !!verb, &options);
	if (ret < 0)
		ret = verb ? verb_run(verb, &options) : wrong("say what to do: up, watch, down or status");
	address_list_done(&options.vips);
	prefix_list_done(&options.from);
	return ret;
}
