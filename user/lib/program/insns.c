/* SPDX-License-Identifier: GPL-2.0-only */
/* See insns.h. Encoding: Documentation/bpf/standardization/instruction-set.rst. */
#include "program/insns.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define IS_WIDE(insn) ((insn)->code == (BPF_LD | BPF_IMM | BPF_DW)) /* two instructions long */

size_t lb_insns_take_value(struct bpf_insn *insns, size_t n, int fd)
{
	size_t taken = 0;

	for (size_t i = 0; i + 1 < n; i++) {
		if (!IS_WIDE(&insns[i]))
			continue;
		if (insns[i].src_reg == BPF_PSEUDO_MAP_FD && insns[i].imm == fd) {
			insns[i].src_reg = BPF_PSEUDO_MAP_VALUE;
			insns[i + 1].imm = 0; /* the offset in the value */
			taken++;
		}
		i++;
	}
	return taken;
}

/* Where a jump leads; false: it is none, or one out of the function. */
static bool jump_target(const struct bpf_insn *insns, size_t n, size_t i, size_t *ret_target)
{
	__u8 class = BPF_CLASS(insns[i].code), op = BPF_OP(insns[i].code);
	long target;

	if ((class != BPF_JMP && class != BPF_JMP32) || op == BPF_CALL || op == BPF_EXIT)
		return false;
	/* A long jump has its distance in imm. */
	target = (long)i + 1 + (class == BPF_JMP32 && op == BPF_JA ? insns[i].imm : insns[i].off);
	*ret_target = (size_t)target;
	return target >= 0 && (size_t)target < n;
}

static size_t load_bytes(const struct bpf_insn *insn)
{
	if (BPF_CLASS(insn->code) != BPF_LDX || BPF_MODE(insn->code) != BPF_MEM)
		return 0;
	switch (BPF_SIZE(insn->code)) {
	case BPF_B:
		return 1;
	case BPF_H:
		return 2;
	case BPF_W:
		return 4;
	default:
		return 8;
	}
}

/* address: the wide instruction that forms it; load: the one behind. */
static bool fold_one(struct bpf_insn *address, struct bpf_insn *load, const void *value, size_t size)
{
	size_t bytes = load_bytes(load);
	long offset = (long)address[1].imm + load->off;
	__u8 to = load->dst_reg;
	__u64 number = 0;

	if (!bytes || load->src_reg != address->dst_reg || offset < 0 || (size_t)offset + bytes > size)
		return false;
	/* Little endian, as BPF is compiled here: the low bytes come first. */
	memcpy(&number, (const char *)value + offset, bytes);
	if (to == address->dst_reg) {
		address[0] = (struct bpf_insn){ .code = BPF_LD | BPF_IMM | BPF_DW,
						.dst_reg = to,
						.imm = (__s32)number };
		address[1] = (struct bpf_insn){ .imm = (__s32)(number >> 32) };
		*load = (struct bpf_insn){ .code = BPF_JMP | BPF_JA };
		return true;
	}
	/* The address may be wanted once more. */
	if (number >> 32)
		return false;
	*load = (struct bpf_insn){ .code = BPF_ALU | BPF_MOV | BPF_K, .dst_reg = to, .imm = (__s32)number };
	return true;
}

long lb_insns_fold(struct bpf_insn *insns, size_t n, int fd, const void *value, size_t size)
{
	_cleanup_(freep) bool *entered = calloc(n + 1, sizeof(*entered));
	size_t target;
	long folded = 0;

	if (!entered)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (jump_target(insns, n, i, &target))
			entered[target] = true;
		i += IS_WIDE(&insns[i]);
	}
	for (size_t i = 0; i + 2 < n; i++) {
		if (!IS_WIDE(&insns[i]))
			continue;
		if (insns[i].src_reg == BPF_PSEUDO_MAP_VALUE && insns[i].imm == fd && !entered[i + 2])
			folded += fold_one(&insns[i], &insns[i + 2], value, size);
		i++;
	}
	return folded;
}
