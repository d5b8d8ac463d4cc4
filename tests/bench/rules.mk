# SPDX-License-Identifier: GPL-2.0-only
# Benches: what the packet path costs, next to its floors.
$(B)/tests/bench_packet_path: $(patsubst %.c,$(B)/%.o,tests/bench/bench_packet_path.c tests/lib/packet_path.c)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ -lbpf $(LDLIBS_LIB)
