# SPDX-License-Identifier: GPL-2.0-only
# make check-kube: against a real Kubernetes (tests/kube/real), built from its Go modules the first time; skipped with the reason where that
# cannot be. make kube-tools builds it without haste.
.PHONY: check-kube kube-tools
check-kube: setup
	+$(Q)$(MAKE) --no-print-directory $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc)) all
	+$(Q)$(MAKE) --no-print-directory image
	$(Q)tests/kube/real/check.py

kube-tools:
	$(Q)KUBE_BUILD_SECONDS=14400 tests/kube/real/build.sh

# lb-kubed with 5,000 Services and 100,000 endpoints, between our API server for tests and a real lbd; writes build/bench/kube.json.
.PHONY: bench-kube
bench-kube: setup
	$(Q)$(MAKE) --no-print-directory all
	$(Q)tests/bench/kube.py
