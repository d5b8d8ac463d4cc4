// SPDX-License-Identifier: GPL-2.0-only
/*
 * Instructions that are changed before a program is loaded: what is folded has the value of what was loaded,
 * and what cannot be folded stays as it was.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "program/insns.h"

#define FD 7

/* clang-format off */
#define WIDE(reg, kind, number, high)                                                                        \
	{ .code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = (reg), .src_reg = (kind), .imm = (number) },         \
	{ .imm = (high) }
#define LOAD(size, to, from, offset)                                                                         \
	{ .code = BPF_LDX | BPF_MEM | (size), .dst_reg = (to), .src_reg = (from), .off = (offset) }
#define JUMP(distance) { .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 1, .off = (distance) }
#define LONG_JUMP(distance) { .code = BPF_JMP32 | BPF_JA, .imm = (distance) }
#define CALL(function) { .code = BPF_JMP | BPF_CALL, .off = 4, .imm = (function) }
#define EXIT { .code = BPF_JMP | BPF_EXIT }
/* clang-format on */

static const __u8 constants[24] = { 0x11, 0x22, 0x33, 0x84, 0x55, 0x66, 0x77, 0x88, 0xff, 0xff, 0xff, 0xff };

#define N(insns) (sizeof(insns) / sizeof((insns)[0]))

static long fold(struct bpf_insn *insns, size_t n)
{
	return lb_insns_fold(insns, n, FD, constants, sizeof(constants));
}

static void assert_unchanged(struct bpf_insn *insns, size_t n)
{
	struct bpf_insn before[16];

	assert_true(n <= N(before));
	memcpy(before, insns, n * sizeof(*insns));
	assert_int_equal(fold(insns, n), 0);
	assert_memory_equal(insns, before, n * sizeof(*insns));
}

/* The number that a register has after a wide instruction. */
static __u64 wide(const struct bpf_insn *insn)
{
	return (__u32)insn[0].imm | (__u64)(__u32)insn[1].imm << 32;
}

static void test_fold_in_place(void **state)
{
	static const struct {
		int size;
		short offset;
		int base;
		__u64 number;
	} cases[] = {
		{ BPF_B, 3, 0, 0x84 },
		{ BPF_H, 0, 2, 0x8433 },
		{ BPF_W, 0, 0, 0x84332211 },
		{ BPF_W, 4, 4, 0xffffffff },
		{ BPF_DW, 0, 0, 0x8877665584332211 },
		{ BPF_DW, -8, 16, 0xffffffff },
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct bpf_insn insns[] = { WIDE(3, BPF_PSEUDO_MAP_VALUE, FD, cases[i].base),
					    LOAD(cases[i].size, 3, 3, cases[i].offset), EXIT };

		assert_int_equal(fold(insns, N(insns)), 1);
		assert_int_equal(insns[0].code, BPF_LD | BPF_IMM | BPF_DW);
		assert_int_equal(insns[0].src_reg, 0);
		assert_int_equal(insns[0].dst_reg, 3);
		assert_true(wide(insns) == cases[i].number);
		assert_int_equal(insns[2].code, BPF_JMP | BPF_JA);
		assert_int_equal(insns[2].off, 0);
	}
}

/* Into another register: the address stays, for whoever needs it once more. */
static void test_fold_beside(void **state)
{
	struct bpf_insn insns[] = { WIDE(3, BPF_PSEUDO_MAP_VALUE, FD, 0), LOAD(BPF_W, 4, 3, 0),
				    LOAD(BPF_B, 5, 3, 1), EXIT };
	struct bpf_insn large[] = { WIDE(3, BPF_PSEUDO_MAP_VALUE, FD, 0), LOAD(BPF_DW, 4, 3, 0), EXIT };

	(void)state;
	assert_int_equal(fold(insns, N(insns)), 2);
	assert_int_equal(insns[0].src_reg, BPF_PSEUDO_MAP_VALUE);
	assert_int_equal(insns[2].code, BPF_ALU | BPF_MOV | BPF_K);
	assert_int_equal(insns[2].dst_reg, 4);
	assert_int_equal((__u32)insns[2].imm, 0x84332211);
	assert_int_equal(insns[3].code, BPF_ALU | BPF_MOV | BPF_K);
	assert_int_equal(insns[3].dst_reg, 5);
	assert_int_equal(insns[3].imm, 0x22);
	assert_unchanged(large, N(large));
}

/* One constant is read several times: as long as the register surely holds the address, each is folded. */
static void test_fold_later(void **state)
{
	struct bpf_insn last[] = { WIDE(3, BPF_PSEUDO_MAP_VALUE, FD, 0),
				   LOAD(BPF_B, 4, 3, 0),
				   JUMP(1),
				   LOAD(BPF_B, 3, 3, 1),
				   LOAD(BPF_B, 5, 3, 2),
				   EXIT };
	struct bpf_insn saved[] = { WIDE(6, BPF_PSEUDO_MAP_VALUE, FD, 0), CALL(5), LOAD(BPF_B, 4, 6, 0),
				    EXIT };
	struct bpf_insn joined[] = { JUMP(3), WIDE(6, BPF_PSEUDO_MAP_VALUE, FD, 0), CALL(5),
				     LOAD(BPF_B, 4, 6, 0), EXIT };
	struct bpf_insn lost[] = { WIDE(3, BPF_PSEUDO_MAP_VALUE, FD, 0), CALL(5), LOAD(BPF_B, 4, 3, 0),
				   EXIT };
	struct bpf_insn moved[] = { WIDE(3, BPF_PSEUDO_MAP_VALUE, FD, 0),
				    { .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 3, .imm = 1 },
				    LOAD(BPF_B, 4, 3, 0),
				    EXIT };
	struct bpf_insn another[] = { WIDE(3, BPF_PSEUDO_MAP_VALUE, FD, 0),
				      WIDE(3, BPF_PSEUDO_MAP_VALUE, 8, 0), LOAD(BPF_B, 4, 3, 0), EXIT };
	struct bpf_insn fetched[] = { WIDE(3, BPF_PSEUDO_MAP_VALUE, FD, 0),
				      { .code = BPF_STX | BPF_ATOMIC | BPF_DW, .dst_reg = 6, .src_reg = 3 },
				      LOAD(BPF_B, 4, 3, 0),
				      EXIT };
	struct bpf_insn beyond[] = { WIDE(3, BPF_PSEUDO_MAP_VALUE, FD, 0),
				     { .code = BPF_JMP | BPF_JA, .off = 1 },
				     LOAD(BPF_B, 4, 3, 0),
				     EXIT };

	(void)state;
	assert_int_equal(fold(last, N(last)), 2); /* what is jumped to is not: another may have come */
	assert_int_equal(last[2].imm, 0x11);
	assert_int_equal(last[4].code, BPF_ALU | BPF_MOV | BPF_K);
	assert_int_equal(last[4].dst_reg, 3);
	assert_int_equal(last[4].imm, 0x22);
	assert_int_equal(BPF_CLASS(last[5].code), BPF_LDX);
	assert_int_equal(fold(saved, N(saved)), 1);
	assert_unchanged(joined, N(joined));
	assert_unchanged(lost, N(lost));
	assert_unchanged(moved, N(moved));
	assert_unchanged(another, N(another));
	assert_unchanged(fetched, N(fetched));
	assert_unchanged(beyond, N(beyond));
}

static void test_not_folded(void **state)
{
	struct bpf_insn other_map[] = { WIDE(3, BPF_PSEUDO_MAP_VALUE, FD + 1, 0), LOAD(BPF_W, 3, 3, 0),
					EXIT };
	struct bpf_insn map[] = { WIDE(3, BPF_PSEUDO_MAP_FD, FD, 0), LOAD(BPF_W, 3, 3, 0), EXIT };
	struct bpf_insn other_base[] = { WIDE(3, BPF_PSEUDO_MAP_VALUE, FD, 0), LOAD(BPF_W, 3, 4, 0), EXIT };
	struct bpf_insn behind[] = { WIDE(3, BPF_PSEUDO_MAP_VALUE, FD, 0), LOAD(BPF_W, 3, 3, 21), EXIT };
	struct bpf_insn before[] = { WIDE(3, BPF_PSEUDO_MAP_VALUE, FD, 0), LOAD(BPF_W, 3, 3, -1), EXIT };
	struct bpf_insn end[] = { WIDE(3, BPF_PSEUDO_MAP_VALUE, FD, 0) };
	struct bpf_insn store[] = { WIDE(3, BPF_PSEUDO_MAP_VALUE, FD, 0),
				    { .code = BPF_STX | BPF_MEM | BPF_W, .dst_reg = 4, .src_reg = 3 },
				    EXIT };
	/* Sign extension (Linux 6.6). */
	struct bpf_insn sign[] = { WIDE(3, BPF_PSEUDO_MAP_VALUE, FD, 0),
				   { .code = BPF_LDX | 0x80 | BPF_W, .dst_reg = 3, .src_reg = 3 },
				   EXIT };

	(void)state;
	assert_unchanged(other_map, N(other_map));
	assert_unchanged(map, N(map));
	assert_unchanged(other_base, N(other_base));
	assert_unchanged(behind, N(behind));
	assert_unchanged(before, N(before));
	assert_unchanged(end, N(end));
	assert_unchanged(store, N(store));
	assert_unchanged(sign, N(sign));
}

/* Who jumps to the load comes with another address. */
static void test_entered(void **state)
{
	struct bpf_insn forward[] = { JUMP(2), WIDE(3, BPF_PSEUDO_MAP_VALUE, FD, 0), LOAD(BPF_W, 3, 3, 0),
				      EXIT };
	struct bpf_insn backward[] = { WIDE(3, BPF_PSEUDO_MAP_VALUE, FD, 0), LOAD(BPF_W, 3, 3, 0), JUMP(-2),
				       EXIT };
	struct bpf_insn far[] = { LONG_JUMP(2), WIDE(3, BPF_PSEUDO_MAP_VALUE, FD, 0), LOAD(BPF_W, 3, 3, 0),
				  EXIT };
	struct bpf_insn to_address[] = { JUMP(0), WIDE(3, BPF_PSEUDO_MAP_VALUE, FD, 0), LOAD(BPF_W, 3, 3, 0),
					 EXIT };
	/* The offset of a call is no distance, and the second half of a number no jump. */
	struct bpf_insn call[] = { CALL(5), WIDE(2, 0, 1, 2), WIDE(3, BPF_PSEUDO_MAP_VALUE, FD, 0),
				   LOAD(BPF_W, 3, 3, 0), EXIT };

	(void)state;
	assert_unchanged(forward, N(forward));
	assert_unchanged(backward, N(backward));
	assert_unchanged(far, N(far));
	assert_int_equal(fold(to_address, N(to_address)), 1);
	assert_int_equal(fold(call, N(call)), 1);
}

static void test_take_value(void **state)
{
	struct bpf_insn insns[] = { WIDE(1, BPF_PSEUDO_MAP_FD, FD, 9), WIDE(2, BPF_PSEUDO_MAP_FD, FD + 1, 9),
				    WIDE(3, 0, FD, 9), WIDE(4, BPF_PSEUDO_MAP_FD, FD, 0), EXIT };

	(void)state;
	assert_int_equal(lb_insns_take_value(insns, N(insns), FD), 2);
	assert_int_equal(insns[0].src_reg, BPF_PSEUDO_MAP_VALUE);
	assert_int_equal(insns[0].imm, FD);
	assert_int_equal(insns[1].imm, 0);
	assert_int_equal(insns[2].src_reg, BPF_PSEUDO_MAP_FD);
	assert_int_equal(insns[3].imm, 9);
	assert_int_equal(insns[4].src_reg, 0);
	assert_int_equal(insns[5].imm, 9);
	assert_int_equal(insns[6].src_reg, BPF_PSEUDO_MAP_VALUE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fold_in_place), cmocka_unit_test(test_fold_beside),
		cmocka_unit_test(test_not_folded),    cmocka_unit_test(test_entered),
		cmocka_unit_test(test_take_value),    cmocka_unit_test(test_fold_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
