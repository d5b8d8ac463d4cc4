/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Loads each program of the given BPF objects into the running kernel, one test per program (and per value of
 * the load-time constants that change what the verifier sees), and says how many instructions the verifier
 * went through. Attaches nothing. What the verifier says of a refused program is shown. Relies on libbpf
 * alone, so that any object will do.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_BYTES   (16u << 20)
#define SHOWN_BYTES 4000
/* Complaints and totals without every state on the way, which takes minutes under emulation. VERBOSE=1: those
 * too. */
#define LOG_STATISTICS 4
/* The kernel's limits on what one program may cost to verify, and how near is near. */
#define VERIFIER_LIMIT 1000000

static char log_text[LOG_BYTES];
static int tests, failed;

static int silent(enum libbpf_print_level level, const char *format, va_list ap)
{
	return 0;
}

/* The end of the verifier's log, where it says why, as diagnostics. */
static void show_log(void)
{
	size_t length = strnlen(log_text, LOG_BYTES);
	char *line = log_text + (length > SHOWN_BYTES ? length - SHOWN_BYTES : 0), *next;

	for (; line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		printf("# %s\n", line);
	}
}

static unsigned int verified(const struct bpf_program *program)
{
	struct bpf_prog_info info = {};
	__u32 length = sizeof(info);

	return bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &length) < 0 ? 0 : info.verified_insns;
}

/* A constant that the object has is set to the value given; 0 if there is none of that name. */
static bool set_constant(struct bpf_object *object, const char *name, __u8 value)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, object)
	{
		const struct btf *btf = bpf_object__btf(object);
		const struct btf_type *section;
		const struct btf_var_secinfo *variable;
		size_t size;
		char *data;

		if (!strstr(bpf_map__name(map), ".rodata") || !btf)
			continue;
		data = (char *)bpf_map__initial_value(map, &size);
		section = btf__type_by_id(btf, bpf_map__btf_value_type_id(map));
		if (!data || !section || !btf_is_datasec(section))
			continue;
		variable = btf_var_secinfos(section);
		for (int i = 0; i < btf_vlen(section); i++, variable++) {
			const struct btf_type *type = btf__type_by_id(btf, variable->type);

			if (strcmp(btf__name_by_offset(btf, type->name_off), name) == 0) {
				data[variable->offset] = value;
				return true;
			}
		}
	}
	return false;
}

/* Only one program of the object is loaded at a time: each is judged by itself. */
static void load_one(const char *path, const char *name, const char *constant, __u8 value)
{
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	struct bpf_program *program, *wanted = NULL;
	char label[256];
	int r;

	tests++;
	snprintf(label, sizeof(label), "%s%s%s%s", name, constant ? ", " : "", constant ? constant : "",
		 constant ? value ? " on" : " off" : "");
	if (!object) {
		printf("not ok %d - %s: cannot open %s: %s\n", tests, label, path, strerror(errno));
		failed++;
		return;
	}
	if (constant)
		set_constant(object, constant, value);
	bpf_object__for_each_program(program, object)
	{
		bool is = strcmp(bpf_program__name(program), name) == 0;

		bpf_program__set_autoload(program, is);
		if (is)
			wanted = program;
	}
	log_text[0] = '\0';
	bpf_program__set_log_buf(wanted, log_text, sizeof(log_text));
	bpf_program__set_log_level(wanted, getenv("VERBOSE") ? 1 : LOG_STATISTICS);
	r = bpf_object__load(object);
	if (r < 0) {
		printf("not ok %d - %s is refused: %s\n", tests, label, strerror(-r));
		show_log();
		failed++;
	} else {
		unsigned int n = verified(wanted);

		printf("ok %d - %s loads: %u instructions verified, %zu long\n", tests, label, n,
		       bpf_program__insn_cnt(wanted));
		if (n > VERIFIER_LIMIT / 2)
			printf("# more than half of what a kernel allows (%d)\n", VERIFIER_LIMIT);
	}
	fflush(stdout);
	bpf_object__close(object);
}

static void load_file(const char *path)
{
	static const char *const constants[] = { "lb_several_interfaces", "lb_observe_on" };
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	struct bpf_program *program;

	if (!object) {
		printf("not ok %d - cannot open %s: %s\n", ++tests, path, strerror(errno));
		failed++;
		return;
	}
	bpf_object__for_each_program(program, object)
	{
		bool any = false;

		for (size_t i = 0; i < sizeof(constants) / sizeof(constants[0]); i++) {
			if (!set_constant(object, constants[i], 0))
				continue;
			any = true;
			load_one(path, bpf_program__name(program), constants[i], 0);
			load_one(path, bpf_program__name(program), constants[i], 1);
		}
		if (!any)
			load_one(path, bpf_program__name(program), NULL, 0);
	}
	bpf_object__close(object);
}

int main(int argc, char **argv)
{
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	libbpf_set_print(silent);
	for (int i = 1; i < argc; i++)
		load_file(argv[i]);
	printf("1..%d\n", tests);
	return failed > 0;
}
