// SPDX-License-Identifier: GPL-2.0-only
/*
 * The description of the layout (lb/layout.h) as the agent makes it of the packet path's object: every map
 * has its line in user/lib/carry/carry.h, and every structure can be told and read.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/libbpf.h>
#include <cmocka.h>

#include "carry/carry.h"
#include "lb/station.h"
#include "lb/types.h"
#include "lbd/kernel/layout_btf.h"
#include "lb_ingress.skel.h"

/* As maps_find() does. */
static const char *plain_name(const char *name)
{
	const char *data = ".data.";

	return strncmp(name, data, strlen(data)) == 0 ? name + strlen(data) : name;
}

static void test_every_map_has_a_line(void **state)
{
	struct lb_ingress_bpf *program = lb_ingress_bpf__open();
	const struct bpf_map *map;
	size_t n = 0, without = 0;

	(void)state;
	assert_non_null(program);
	bpf_object__for_each_map(map, program->obj)
	{
		const char *name = plain_name(bpf_map__name(map));

		if (strncmp(name, "lb_", 3) != 0 || strchr(name, '.'))
			continue; /* constants */
		n++;
		if (lb_carry_find(name))
			continue;
		print_error("the map %s has no line in user/lib/carry/carry.h: how is it carried over?\n",
			    name);
		without++;
	}
	lb_ingress_bpf__destroy(program);
	assert_int_equal(without, 0);
	assert_int_equal(n, LB_CARRIED_COUNT);
}

static void test_every_structure_is_described(void **state)
{
	struct lb_ingress_bpf *program = lb_ingress_bpf__open();
	static struct lb_layout_text text;
	struct lb_error error = {};
	struct lb_layout layout;

	(void)state;
	assert_non_null(program);
	if (layout_describe(program->obj, &text, &error) < 0 ||
	    lb_layout_parse(text.text, sizeof(text.text), &layout, &error) < 0)
		fail_msg("%s", error.text);
	/* Room for the next one to be larger. */
	assert_true(strlen(text.text) < sizeof(text.text) / 2);
	for (size_t i = 0; i < LB_CARRIED_COUNT; i++)
		assert_true(lb_layout_size(&layout, lb_carry_maps[i].structure) > 0);
	assert_int_equal(lb_layout_size(&layout, "lb_vip"), sizeof(struct lb_vip));
	assert_int_equal(lb_layout_find(&layout, "lb_flow_bucket", "flow.numbers.rest")->offset,
			 offsetof(struct lb_flow_bucket, flow[0].numbers.rest));
	assert_int_equal(lb_layout_find(&layout, "lb_flow_bucket", "flow.numbers.rest")->count,
			 LB_FLOWS_PER_BUCKET);
	assert_int_equal(lb_layout_find(&layout, "lb_reason_block", "reason.packets")->count, LB_REASONS_MAX);
	lb_layout_done(&layout);
	lb_ingress_bpf__destroy(program);
}

/* The description, and what kind of map holds what. Bytes of the text, or 0. */
static size_t describe_all(char *to, size_t room)
{
	struct lb_ingress_bpf *program = lb_ingress_bpf__open();
	static struct lb_layout_text text;
	struct lb_error error = {};
	const struct bpf_map *map;
	int n;

	assert_non_null(program);
	if (layout_describe(program->obj, &text, &error) < 0)
		fail_msg("%s", error.text);
	n = snprintf(to, room, "%s", text.text);
	bpf_object__for_each_map(map, program->obj)
	{
		const char *name = plain_name(bpf_map__name(map));

		if (n < (int)room && lb_carry_find(name))
			n += snprintf(to + n, room - (size_t)n, "map %s type %d key %u flags %#x\n", name,
				      bpf_map__type(map), bpf_map__key_size(map), bpf_map__map_flags(map));
	}
	lb_ingress_bpf__destroy(program);
	return n < (int)room ? (size_t)n : 0;
}

/* Both texts up to and with the line in which they begin to differ. */
static void show_difference(const char *is, const char *was)
{
	size_t line = 0, i = 0;

	for (; is[i] && is[i] == was[i]; i++)
		if (is[i] == '\n')
			line = i + 1;
	print_error("is:  %.*s\nwas: %.*s\n", (int)strcspn(is + line, "\n"), is + line,
		    (int)strcspn(was + line, "\n"), was + line);
}

/*
 * A layout that somebody may run is fixed: what differs is another layout, with a number and a file of its
 * own, and takes over from this one (docs/architecture.md, "Layouts and migration"). LAYOUT_WRITE=1 writes
 * the file.
 */
static void test_a_layout_is_as_it_was_written_down(void **state)
{
	static char is[131072], was[131072];
	char path[64];
	size_t n;
	FILE *file;

	(void)state;
	n = describe_all(is, sizeof(is));
	assert_true(n > 0);
	snprintf(path, sizeof(path), "tests/bpf/layout-%u.txt", LB_LAYOUT_VERSION);
	file = fopen(path, getenv("LAYOUT_WRITE") ? "wx" : "r");
	if (!file)
		fail_msg("%s: %s; run this from the top of the tree; a new layout is written by "
			 "LAYOUT_WRITE=1",
			 path, strerror(errno));
	if (getenv("LAYOUT_WRITE")) {
		assert_int_equal(fwrite(is, 1, n, file), n);
		assert_int_equal(fclose(file), 0);
		return;
	}
	was[fread(was, 1, sizeof(was) - 1, file)] = '\0';
	fclose(file);
	if (strcmp(is, was) == 0)
		return;
	show_difference(is, was);
	fail_msg("the tables no longer look as %s says: raise LB_LAYOUT_VERSION, and let the new layout take "
		 "over",
		 path);
}

/* An agent tells by them what it has found, whatever version has made it. */
static void test_the_head_of_control_stays(void **state)
{
	(void)state;
	assert_int_equal(offsetof(struct lb_control, active), 0);
	assert_int_equal(offsetof(struct lb_control, magic), 128);
	assert_int_equal(offsetof(struct lb_control, layout), 132);
	assert_int_equal(offsetof(struct lb_control, version), 192);
	assert_true(sizeof(struct lb_control) >= 256);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_map_has_a_line),
		cmocka_unit_test(test_every_structure_is_described),
		cmocka_unit_test(test_a_layout_is_as_it_was_written_down),
		cmocka_unit_test(test_the_head_of_control_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
