/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is said of a Service in Events: reason, type, and when. The list makes the enumeration, the texts and
 * the table in docs/kubernetes.md.
 */
#pragma once

/* reason, type, what it means */
#define LB_KUBE_REASONS(X)                                                                                   \
	X(BadAnnotation, Warning, "an annotation, or a field, has a value that is not known: left as it is") \
	X(NoSourceOfFamily, Warning,                                                                         \
	  "loadBalancerSourceRanges has no range of a family of the Service: nobody of it is let in")        \
	X(ProtocolNotBalanced, Warning,                                                                      \
	  "a port has a protocol other than TCP and UDP: that port is not served")                           \
	X(SessionTimeoutIgnored, Normal, "ClientIP affinity is by hash of the source, and has no timeout")   \
	X(ForwardByTunnel, Normal, "l2 was asked for, but a backend balances itself: reached by tunnel")     \
	X(NoNodeAddress, Warning, "no node with endpoints has an address of the family")                     \
	X(NoProof, Warning, "no node has shown that its service proxy knows the address: none gets flows")   \
	X(WitnessClosed, Warning, "the witness of proofs was left at Cluster, and is opened again")          \
	X(AddressAllocated, Normal, "addresses were given to the Service")                                   \
	X(AddressesExhausted, Warning, "no pool that the Service may use has an address left")               \
	X(AddressNotAllowed, Warning, "the address asked for is in no pool that the Service may use")        \
	X(AddressInUse, Warning, "the address asked for is another Service's")                               \
	X(AddressLeftPool, Warning, "the Service's address is in no pool any more: it keeps it")             \
	X(NoPool, Warning, "no pool may be used by the Service")                                             \
	X(RefusedByAgent, Warning, "lbd refuses the service")                                                \
	X(LossHeld, Warning, "what would be lost follows from no object: the service stays as it was")

enum lb_kube_reason {
#define LB_KUBE_REASON_ENUM(name, type, help) LB_KUBE_REASON_##name,
	LB_KUBE_REASONS(LB_KUBE_REASON_ENUM)
#undef LB_KUBE_REASON_ENUM
		LB_KUBE_REASON_COUNT
};

const char *lb_kube_reason_name(enum lb_kube_reason reason);
const char *lb_kube_reason_type(enum lb_kube_reason reason); /* "Normal" or "Warning" */

/* Something to say of a Service. */
struct lb_kube_note {
	enum lb_kube_reason reason;
	char text[400];
};

#define LB_KUBE_NOTES_MAX 8
struct lb_kube_notes {
	struct lb_kube_note all[LB_KUBE_NOTES_MAX];
	unsigned int n;
};

/* One note a reason: the first. */
void lb_kube_note(struct lb_kube_notes *notes, enum lb_kube_reason reason, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
