# SPDX-License-Identifier: GPL-2.0-only
# make simulate-health: the shipped state machines of health under virtual time, to build/bench/health-sim.json and
# into the table of docs/health.md. Not sanitised. test_simulate.py runs a short version in make check.
SIMULATE := $(B)/tests/simulate_health
CHECK_PROGRAMS += $(SIMULATE)

$(SIMULATE): $(patsubst %.c,$(B)/%.o,$(wildcard tests/simulate/*.c)) $(B)/liblb.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS_LIB)

.PHONY: simulate-health
simulate-health: $(SIMULATE)
	@mkdir -p $(B)/bench
	$(Q)$< --json $(B)/bench/health-sim.json --page docs/health.md
