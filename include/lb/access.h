/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Access to words that another CPU, or the other side of a shared map, may change at the same time. In the
 * kernel a volatile access is one instruction; user space says acquire and release, so that the compiler and
 * ThreadSanitizer know.
 *
 * LB_AFTER(p, value) is p, to be loaded from not before value was loaded. User space's loads acquire and x86
 * keeps loads in order anyway; arm64 does for an address that depends on the value (Arm ARM, B2.3), and BPF
 * has no load-acquire before Linux 6.14.
 */
#pragma once

/* Hides from the compiler how a value came about: it would compute it anew wherever it is used. */
#define LB_HIDE(value) asm volatile("" : "+r"(value))

/* The same for a pointer that is not NULL, which stays known. */
#define LB_HIDE_POINTER(pointer)                                                                             \
	do {                                                                                                 \
		LB_HIDE(pointer);                                                                            \
		if (!(pointer))                                                                              \
			__builtin_unreachable();                                                             \
	} while (0)

#ifdef __bpf__
#define LB_LOAD(p)        (*(volatile __typeof__(*(p)) *)(p))
#define LB_STORE(p, v)    (*(volatile __typeof__(*(p)) *)(p) = (v))
#define LB_EXCHANGE(p, v) __sync_lock_test_and_set((p), (v))
#define LB_UNROLL         _Pragma("clang loop unroll(full)")
#ifdef __TARGET_ARCH_arm64
#define LB_AFTER(p, value)                                                                                   \
	({                                                                                                   \
		__u64 lb_nothing = (value);                                                                  \
		asm volatile("%0 &= 0" : "+r"(lb_nothing));                                                  \
		(__typeof__(p))((void *)(p) + lb_nothing);                                                   \
	})
#else
#define LB_AFTER(p, value) (p)
#endif
#else
#define LB_LOAD(p)        __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define LB_STORE(p, v)    __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define LB_EXCHANGE(p, v) __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
#define LB_UNROLL
#define LB_AFTER(p, value) (p)
#endif
