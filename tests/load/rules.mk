# SPDX-License-Identifier: GPL-2.0-only
# Speed and scale beyond the packet path alone (tests/bench/rules.mk). Each is one command, done in under 90 s:
#   sudo make bench-control   the agent with thousands of services: changes, reloads, restarts, memory
CONTROL_ENV = LAB_BUILD=$(abspath $(B))

.PHONY: bench-control
bench-control: setup
	$(Q)$(MAKE) --no-print-directory all
	$(Q)$(CONTROL_ENV) tests/bench/control.py
