/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which program is where: the choice between XDP and tc, replacing without a gap, and taking away what is
 * ours. Ours is a program with our name at a place of ours; a state file that was lost does not matter.
 */
#include <errno.h>
#include <string.h>

#include "lb-backend.h"

static const struct place {
	enum hook hook;
	enum lb_xdp_mode mode;
} places[] = {
	{ HOOK_XDP, LB_XDP_NATIVE },
	{ HOOK_XDP, LB_XDP_GENERIC },
	{ HOOK_TC, LB_XDP_NATIVE },
};

const char *place_name(enum hook hook, enum lb_xdp_mode mode)
{
	if (hook == HOOK_NONE)
		return "none";
	if (hook == HOOK_TC)
		return "tc ingress";
	return mode == LB_XDP_NATIVE ? "native XDP" : "generic XDP";
}

static bool program_find(unsigned int index, enum hook hook, enum lb_xdp_mode mode,
			 struct program *ret_program)
{
	__u32 id;

	return program_attached(index, hook, mode, &id) == 0 && program_open(id, hook, ret_program) == 0;
}

/* The qdisc goes when we made it and nobody has put anything else into it. */
static void clsact_down(struct work *work, struct device_state *device)
{
	if (!device->clsact_added)
		return;
	if (network_filters_exist(&work->network, device->index) == 0) {
		if (program_clsact_remove(device->index) == 0)
			say("%s: clsact qdisc removed", device->name);
	} else {
		say("%s: clsact qdisc stays, others use it", device->name);
	}
	device->clsact_added = false;
}

int programs_detach(struct work *work, struct device_state *device, enum hook hook, enum lb_xdp_mode mode)
{
	int first = 0;

	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		struct program program;
		int ret;

		if (places[i].hook == hook && (hook == HOOK_TC || places[i].mode == mode))
			continue;
		if (!program_find(device->index, places[i].hook, places[i].mode, &program))
			continue;
		ret = program_detach(&program, device->index, places[i].hook, places[i].mode);
		if (ret == 0)
			say("%s: decapsulation detached from %s", device->name,
			    place_name(places[i].hook, places[i].mode));
		else
			first = first
					?: lb_error_set(&work->error, -ret,
							"%s: cannot detach the program: %s", device->name,
							strerror(-ret));
		program_close(&program);
	}
	if (hook != HOOK_TC)
		clsact_down(work, device);
	return first;
}

/* What the program must know now. */
static int sync(struct work *work, const struct program *program)
{
	struct address_list local = {};
	int ret = network_local_addresses(&work->network, &work->options->vips, &local);

	if (ret < 0)
		lb_error_set(&work->error, -ret, "out of memory");
	else
		ret = program_sync(program, &local, &work->options->vips, &work->options->from, &work->error);
	address_list_done(&local);
	return ret;
}

static bool settings_same(const struct work *work, const struct device_state *device,
			  const struct program *old)
{
	return device->program_id == old->id && device->formats == work->options->formats &&
	       device->gue_port == work->options->gue_port &&
	       (device->from.n > 0) == (work->options->from.n > 0);
}

/* Notes where the program is going to be, so that a crash on the way leaves nothing unknown. */
static int note_place(struct work *work, struct device_state *device, enum hook hook)
{
	device->hook = hook;
	device->mode = work->options->mode;
	device->formats = work->options->formats;
	device->gue_port = work->options->gue_port;
	device->program_id = 0;
	if (prefix_list_copy(&device->from, &work->options->from) < 0)
		return lb_error_set(&work->error, ENOMEM, "out of memory");
	if (hook == HOOK_TC && network_clsact_exists(&work->network, device->index) == 0)
		device->clsact_added = true;
	return state_save(&work->state, &work->error);
}

static int replace_or_attach(struct work *work, struct device_state *device, enum hook hook,
			     const struct program *program, const struct program *old)
{
	enum lb_xdp_mode mode = work->options->mode;
	struct program other;
	int ret;

	ret = sync(work, program);
	if (ret == 0)
		ret = note_place(work, device, hook);
	if (ret < 0)
		return ret;
	/* Native and generic exclude each other: the one change that has a gap. */
	if (hook == HOOK_XDP && program_find(device->index, HOOK_XDP, !mode, &other)) {
		program_detach(&other, device->index, HOOK_XDP, !mode);
		program_close(&other);
		say("%s: decapsulation detached from %s", device->name, place_name(HOOK_XDP, !mode));
	}
	ret = program_attach(program, device->index, hook, mode, old, &work->error);
	if (ret < 0) {
		if (hook == HOOK_TC)
			clsact_down(work, device);
		device->hook = HOOK_NONE;
		return ret;
	}
	device->program_id = program->id;
	say("%s: decapsulation of %s %s (%s, program %u)", device->name, formats_name(device->formats),
	    old ? "replaced" : "attached", place_name(hook, mode), program->id);
	return state_save(&work->state, &work->error);
}

static int program_up_at(struct work *work, struct device_state *device, enum hook hook)
{
	struct program program = PROGRAM_NONE, old = PROGRAM_NONE;
	bool have = program_find(device->index, hook, work->options->mode, &old);
	const struct program_settings settings = { .hook = hook,
						   .formats = work->options->formats,
						   .gue_port = work->options->gue_port,
						   .check_from = work->options->from.n > 0 };
	int ret = program_load(&settings, &program, &work->error);

	if (ret == 0 && have && old.tag == program.tag && settings_same(work, device, &old)) {
		ret = sync(work, &old);
		if (ret == 0 && prefix_list_copy(&device->from, &work->options->from) < 0)
			ret = lb_error_set(&work->error, ENOMEM, "out of memory");
		if (ret == 0)
			say_same(work, "%s: decapsulation of %s already attached (%s, program %u)",
				 device->name, formats_name(device->formats), place_name(hook, device->mode),
				 old.id);
	} else if (ret == 0) {
		ret = replace_or_attach(work, device, hook, &program, have ? &old : NULL);
	}
	program_close(&program);
	program_close(&old);
	if (ret == 0)
		ret = programs_detach(work, device, hook, work->options->mode);
	return ret;
}

/* Says who has the XDP hook, when that is why we cannot. */
static void explain_taken(struct work *work, const struct device_state *device)
{
	char name[16];
	__u32 id;

	if (program_xdp_owner(device->index, &id, name) == 0 && id != 0)
		lb_error_set(&work->error, EBUSY, "XDP of %s is taken by program %u (%s)", device->name, id,
			     name);
}

int program_up(struct work *work, struct device_state *device)
{
	enum hook wanted = work->options->hook;
	int ret;

	if (work->options->formats && !work->options->from.n)
		say_same(work,
			 "%s: warning: tunnels to the VIPs are taken from any address: name those that the "
			 "balancers "
			 "send from (tunnel_source in weir.json, or their own) with --from",
			 device->name);
	if (work->options->formats == 0) {
		ret = programs_detach(work, device, HOOK_NONE, LB_XDP_NATIVE);
		device->hook = HOOK_NONE;
		device->formats = 0;
		device->program_id = 0;
		return ret;
	}
	/* Left to choose, stay where we are. */
	if (wanted == HOOK_AUTO && device->hook == HOOK_TC && device->program_id != 0)
		wanted = HOOK_TC;
	if (wanted == HOOK_TC)
		return program_up_at(work, device, HOOK_TC);

	ret = program_up_at(work, device, HOOK_XDP);
	if (ret == -EBUSY)
		explain_taken(work, device);
	if ((ret != -EBUSY && ret != -EOPNOTSUPP) || wanted == HOOK_XDP)
		return ret;
	say_same(work, "%s: %s: using tc", device->name, work->error.text);
	return program_up_at(work, device, HOOK_TC);
}
