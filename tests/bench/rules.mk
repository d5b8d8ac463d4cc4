# SPDX-License-Identifier: GPL-2.0-only
# Benches: what the packet path costs, next to its floors. `sudo make bench`; QUICK=1 is done in 45 s.
$(B)/tests/bench_packet_path: $(patsubst %.c,$(B)/%.o,tests/bench/bench_packet_path.c tests/bench/bench_run.c tests/bench/bench_against.c tests/bench/bench_observed.c tests/bench/bench_tables.c \
		tests/lib/packet_path.c user/lbd/kernel/flat_tables.c) $(B)/liblb.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ -lbpf $(LDLIBS_LIB)

.PHONY: bench-many
bench-many: setup
	$(Q)$(MAKE) --no-print-directory $(B)/tests/bench_packet_path
	$(Q)python3 tests/bench/many.py docs/scaling.md

.PHONY: bench
bench: setup
	$(Q)$(MAKE) --no-print-directory $(B)/tests/bench_packet_path
	$(Q)$(B)/tests/bench_packet_path

.PHONY: path-length
path-length: $(B)/bpf/lb_ingress.bpf.o
	$(Q)python3 tests/bench/path_length.py $<
