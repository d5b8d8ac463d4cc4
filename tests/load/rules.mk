# SPDX-License-Identifier: GPL-2.0-only
# Speed and scale beyond the packet path alone (tests/bench/rules.mk). Each is one command, done in under 90 s:
#   sudo make bench-control   the agent with thousands of services: changes, reloads, restarts, memory
#   sudo make bench-agent     the agent beside hostile clients: how late it answers, and what that costs
#   sudo make bench-scrapes   scrapes of 5,000 services of 20 backends: series, time, how late the loop is meanwhile
BENCH_ENV = LAB_BUILD="$(CURDIR)/$(B)"

.PHONY: bench-control
bench-control: setup
	$(Q)$(MAKE) --no-print-directory all
	$(Q)$(BENCH_ENV) tests/bench/control.py

# Health with real processes: from a fault to the ring and back, and what checks cost.
.PHONY: bench-health
bench-health: setup
	$(Q)$(MAKE) --no-print-directory all
	$(Q)$(BENCH_ENV) tests/bench/health.py

# How soon the network follows what lbd says of VIPs, with the real BIRD and keepalived.
.PHONY: bench-announce
bench-announce: setup
	$(Q)$(MAKE) --no-print-directory all $(B)/bpf/lb_pass.bpf.o
	$(Q)$(BENCH_ENV) tests/bench/announce.py

.PHONY: bench-scrapes
bench-scrapes: setup
	$(Q)$(MAKE) --no-print-directory all
	$(Q)$(BENCH_ENV) tests/bench/scrapes.py

.PHONY: bench-agent
bench-agent: setup
	$(Q)$(MAKE) --no-print-directory all
	$(Q)$(BENCH_ENV) tests/bench/agent.py

# The record: docs/performance.md from all results; ratios of the packet path against the recorded ones.
.PHONY: bench-check bench-baseline bench-page
bench-check: setup
	$(Q)$(MAKE) --no-print-directory $(B)/tests/bench_packet_path
	$(Q)$(BENCH_ENV) tests/bench/report.py check

bench-baseline: setup
	$(Q)$(MAKE) --no-print-directory $(B)/tests/bench_packet_path
	$(Q)$(BENCH_ENV) tests/bench/report.py baseline

bench-page:
	$(Q)$(BENCH_ENV) tests/bench/report.py page

# The whole path under load. PROFILE=name, or all of them; SECONDS and RATE (packets/s).
$(B)/tests/bench/load: $(B)/tests/bench/load.o
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lbpf

.PHONY: bench-load
bench-load: setup
	$(Q)$(MAKE) --no-print-directory all $(B)/tests/bench/load
	$(Q)$(BENCH_ENV) tests/bench/load.py

# nftables, HAProxy and nginx stream beside Weir in the same lab. Installs them.
PEERS_PROGRAMS := $(B)/tests/bench/peers_client $(B)/tests/bench/peers_server
$(PEERS_PROGRAMS): %: %.o
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^

.PHONY: bench-peers
bench-peers: setup
	$(Q)tests/bench/peers_setup.sh
	$(Q)$(MAKE) --no-print-directory all $(PEERS_PROGRAMS) $(B)/tests/bench/load
	$(Q)$(BENCH_ENV) tests/bench/peers.py

# The settled path on two CPUs: test_lines.c (no line written by both; part of make check) and what two are worth.
PATH_OBJ := $(patsubst %.c,$(B)/%.o,tests/load/path.c tests/bench/bench_tables.c tests/lib/packet_path.c \
		user/lbd/kernel/flat_tables.c)
PATH_PROGRAMS := $(B)/tests/load/test_lines $(B)/tests/load/bench_scaling
CHECK_PROGRAMS += $(B)/tests/load/test_lines

$(B)/tests/load/path.o $(PATH_PROGRAMS:%=%.o): CPPFLAGS += -Itests/bench

$(PATH_PROGRAMS): %: %.o $(PATH_OBJ) $(B)/liblb.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ -lbpf $(LDLIBS_LIB) -lpthread

.PHONY: bench-scaling
bench-scaling: setup
	$(Q)$(MAKE) --no-print-directory all $(B)/tests/load/bench_scaling $(B)/tests/bench/load
	$(Q)$(BENCH_ENV) tests/bench/scaling.py
