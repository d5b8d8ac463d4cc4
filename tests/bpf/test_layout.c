// SPDX-License-Identifier: GPL-2.0-only
/*
 * The description of the layout (lb/layout.h) as the agent makes it of the packet path's object: every map
 * has its line in user/lib/carry/carry.h, and every structure can be told and read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
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
		cmocka_unit_test(test_the_head_of_control_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
