# SPDX-License-Identifier: GPL-2.0-only
# Unit tests: each test_*.c is a cmocka program, built with ASan and UBSan against the sanitised library.
UNIT_TESTS := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(wildcard tests/unit/test_*.c))

$(B)/tests/unit/%: $(B)/san/tests/unit/%.o $(B)/san/liblb.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(SAN) -o $@ $^ -lcmocka $(LDLIBS_LIB)

.PHONY: unit
unit: $(UNIT_TESTS)
