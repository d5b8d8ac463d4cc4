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

/* Whether the instruction may leave another value in the register. */
static bool changes(const struct bpf_insn *insn, __u8 reg)
{
	switch (BPF_CLASS(insn->code)) {
	case BPF_ALU:
	case BPF_ALU64:
	case BPF_LDX:
		return insn->dst_reg == reg;
	case BPF_LD:
		return insn->dst_reg == reg || !IS_WIDE(insn);
	case BPF_STX: /* what was there before an atomic operation; of a compare-and-swap in R0 */
		return BPF_MODE(insn->code) == BPF_ATOMIC && (insn->src_reg == reg || reg == BPF_REG_0);
	case BPF_JMP:
		return BPF_OP(insn->code) == BPF_CALL && reg <= BPF_REG_5;
	}
	return false;
}

/* Whether what follows the instruction is not executed after it. */
static bool ends(const struct bpf_insn *insn)
{
	__u8 class = BPF_CLASS(insn->code), op = BPF_OP(insn->code);

	return (class == BPF_JMP && op == BPF_EXIT) ||
	       ((class == BPF_JMP || class == BPF_JMP32) && op == BPF_JA);
}

/* address: the wide instruction that forms it; load: a later one, while its register holds the address. */
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
	if (to == address->dst_reg && load == address + 2) {
		address[0] = (struct bpf_insn){ .code = BPF_LD | BPF_IMM | BPF_DW,
						.dst_reg = to,
						.imm = (__s32)number };
		address[1] = (struct bpf_insn){ .imm = (__s32)(number >> 32) };
		*load = (struct bpf_insn){ .code = BPF_JMP | BPF_JA };
		return true;
	}
	/* The address is wanted, or was, by others. */
	if (number >> 32)
		return false;
	*load = (struct bpf_insn){ .code = BPF_ALU | BPF_MOV | BPF_K, .dst_reg = to, .imm = (__s32)number };
	return true;
}

/* All loads that the address formed at i is surely what they load from. */
static long fold_from(struct bpf_insn *insns, size_t n, size_t i, const bool *entered, const void *value,
		      size_t size)
{
	struct bpf_insn *address = &insns[i];
	__u8 reg = address->dst_reg;
	long folded = 0;

	for (size_t k = i + 2; k < n && !entered[k]; k++) {
		folded += fold_one(address, &insns[k], value, size);
		if (changes(&insns[k], reg) || ends(&insns[k]))
			break;
		k += IS_WIDE(&insns[k]);
	}
	return folded;
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
		if (insns[i].src_reg == BPF_PSEUDO_MAP_VALUE && insns[i].imm == fd)
			folded += fold_from(insns, n, i, entered, value, size);
		i++;
	}
	return folded;
}
