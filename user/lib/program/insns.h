/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Small changes to the instructions of a program that libbpf has relocated and is about to load: the number
 * of instructions stays, so that line information and jumps stay right.
 */
#pragma once

#include <linux/bpf.h>
#include <stddef.h>

/*
 * References to the map fd become the address of its value (BPF_PSEUDO_MAP_VALUE; an array with one entry).
 * Returns how many there were.
 */
size_t lb_insns_take_value(struct bpf_insn *insns, size_t n, int fd);

/*
 * Loads from the value of the map fd, whose size bytes are constant (frozen), become the numbers themselves,
 * where the address is formed before in the same straight line: nobody jumps to anything in between, and the
 * register still holds it. Returns how many; -ENOMEM.
 */
long lb_insns_fold(struct bpf_insn *insns, size_t n, int fd, const void *value, size_t size);
