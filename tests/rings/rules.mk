# SPDX-License-Identifier: GPL-2.0-only
# make bench-rings: balance, movement and build time of every ring algorithm, to build/bench/rings.json and
# into the table of docs/rings.md. Not sanitised; needs the ring sources alone.
BENCH_RINGS_OBJ := $(B)/tests/bench/bench_rings.o $(patsubst %.c,$(B)/%.o,$(wildcard user/lib/ring*.c))

$(B)/tests/bench_rings: $(BENCH_RINGS_OBJ)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^

.PHONY: bench-rings
bench-rings: $(B)/tests/bench_rings
	@mkdir -p $(B)/bench
	$(Q)$< $(B)/bench/rings.json docs/rings.md
