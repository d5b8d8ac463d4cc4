# SPDX-License-Identifier: GPL-2.0-only
# The reference balancer (docs/reference-balancer.md): `sudo make reference N=packets SEED=s`, or
# `sudo make reference REPLAY=build/reference/FILE` for one disagreement of an earlier run.
$(B)/tests/reference_run: $(patsubst %.c,$(B)/%.o,tests/reference/runner.c tests/reference/runner_tables.c \
		tests/lib/packet_path.c user/lbd/kernel/flat_tables.c) $(B)/liblb.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ -lbpf $(LDLIBS_LIB)

CHECK_PROGRAMS += $(B)/tests/reference_run

.PHONY: reference
reference: setup
	$(Q)$(MAKE) --no-print-directory $(B)/tests/reference_run
	$(Q)tests/reference/reference.py $(if $(REPLAY),--replay $(REPLAY),--packets $(or $(N),1000000) \
		--seed $(or $(SEED),1))
