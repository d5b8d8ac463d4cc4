# SPDX-License-Identifier: GPL-2.0-only
# make bench-rings: balance, movement and build time of every ring algorithm, to build/bench/rings.json and
# into the table of docs/rings.md. Not sanitised.
$(B)/tests/bench_rings: $(B)/tests/bench/bench_rings.o $(B)/liblb.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS_LIB)

.PHONY: bench-rings
bench-rings: $(B)/tests/bench_rings
	@mkdir -p $(B)/bench
	$(Q)$< $(B)/bench/rings.json docs/rings.md
