/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Attaches second.bpf.c to an interface through libxdp's dispatcher, as any other tool on a host would, and
 * tells what is attached there:
 *
 *   second attach DEV PRIORITY PIN   its counter is pinned at PIN
 *   second detach DEV
 *   second list DEV                  "NAME ID" of each program, in the order they run; "alone NAME ID"
 * without a dispatcher second count PIN                 packets seen second probe DEV                 fails
 * unless the kernel takes a program that changes packets into the dispatcher of this libxdp
 *
 * Prints one line and fails when something is not there or cannot be done.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xdp/libxdp.h>

#include "second.skel.h"

static int fail(const char *what, int code)
{
	fprintf(stderr, "second: %s: %s\n", what, strerror(abs(code)));
	return 1;
}

static struct xdp_multiprog *programs_of(const char *device)
{
	struct xdp_multiprog *programs = xdp_multiprog__get_from_ifindex(if_nametoindex(device));

	return libxdp_get_error(programs) ? NULL : programs;
}

static int attach(const char *device, const char *name, const char *priority, const char *pin)
{
	DECLARE_LIBXDP_OPTS(xdp_program_opts, options);
	struct second_bpf *skeleton = second_bpf__open();
	int r, ifindex = (int)if_nametoindex(device);
	struct xdp_program *program;

	if (!skeleton)
		return fail("open", errno);
	if (pin)
		bpf_map__set_pin_path(skeleton->maps.second_seen, pin);
	options.obj = skeleton->obj;
	options.prog_name = name;
	program = xdp_program__create(&options);
	r = libxdp_get_error(program);
	if (r)
		return fail("create", r);
	xdp_program__set_run_prio(program, atoi(priority));
	xdp_program__set_chain_call_enabled(program, XDP_PASS, true);
	r = xdp_program__attach(program, ifindex, XDP_MODE_NATIVE, 0);
	if (r == 0 && !pin)
		r = xdp_program__detach(program, ifindex, XDP_MODE_NATIVE, 0);
	xdp_program__close(program);
	second_bpf__destroy(skeleton);
	return r < 0 ? fail("attach", r) : 0;
}

static int detach(const char *device)
{
	struct xdp_multiprog *programs = programs_of(device);
	struct xdp_program *program = NULL;
	int r;

	if (!programs)
		return fail("nothing attached", ENOENT);
	while ((program = xdp_multiprog__next_prog(program, programs)))
		if (strcmp(xdp_program__name(program), "second") == 0)
			break;
	if (!program)
		return fail("not attached", ENOENT);
	r = xdp_program__detach(program, if_nametoindex(device), XDP_MODE_NATIVE, 0);
	xdp_multiprog__close(programs);
	return r < 0 ? fail("detach", r) : 0;
}

static int list(const char *device)
{
	struct xdp_multiprog *programs = programs_of(device);
	struct xdp_program *program = NULL;

	if (!programs)
		return 0;
	if (xdp_multiprog__is_legacy(programs)) {
		program = xdp_multiprog__main_prog(programs);
		printf("alone %s %u\n", xdp_program__name(program), xdp_program__id(program));
	} else {
		while ((program = xdp_multiprog__next_prog(program, programs)))
			printf("%s %u\n", xdp_program__name(program), xdp_program__id(program));
	}
	xdp_multiprog__close(programs);
	return 0;
}

static int count(const char *pin)
{
	int fd = bpf_obj_get(pin);
	__u32 zero = 0;
	__u64 seen = 0;

	if (fd < 0 || bpf_map_lookup_elem(fd, &zero, &seen) < 0)
		return fail(pin, errno);
	printf("%llu\n", seen);
	return 0;
}

int main(int argc, char **argv)
{
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	if (argc == 5 && strcmp(argv[1], "attach") == 0)
		return attach(argv[2], "second", argv[3], argv[4]);
	if (argc == 3 && strcmp(argv[1], "probe") == 0)
		return attach(argv[2], "changes", "50", NULL);
	if (argc == 3 && strcmp(argv[1], "detach") == 0)
		return detach(argv[2]);
	if (argc == 3 && strcmp(argv[1], "list") == 0)
		return list(argv[2]);
	if (argc == 3 && strcmp(argv[1], "count") == 0)
		return count(argv[2]);
	fprintf(stderr,
		"usage: second attach DEV PRIORITY PIN | detach DEV | list DEV | count PIN | probe DEV\n");
	return 2;
}
