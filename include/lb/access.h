/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Access to words that another CPU, or the other side of a shared map, may change at the same time. In the
 * kernel a volatile access is one instruction; user space says acquire and release, so that the compiler and
 * ThreadSanitizer know.
 */
#pragma once

#ifdef __bpf__
#define LB_LOAD(p)        (*(volatile __typeof__(*(p)) *)(p))
#define LB_STORE(p, v)    (*(volatile __typeof__(*(p)) *)(p) = (v))
#define LB_EXCHANGE(p, v) __sync_lock_test_and_set((p), (v))
#define LB_UNROLL         _Pragma("clang loop unroll(full)")
#else
#define LB_LOAD(p)        __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define LB_STORE(p, v)    __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define LB_EXCHANGE(p, v) __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
#define LB_UNROLL
#endif
