# SPDX-License-Identifier: GPL-2.0-only
# make route-walk: lbd against the kernel's own routing, a random walk of STEPS steps from SEED on (make check walks for
# some seconds).
.PHONY: route-walk
route-walk: all $(B)/bpf/lb_pass.bpf.o
	$(Q)STEPS=$(or $(STEPS),2000) SEED=$(or $(SEED),1) bash tests/e2e/test_lbd_route_walk.sh
