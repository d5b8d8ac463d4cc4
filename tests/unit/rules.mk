# SPDX-License-Identifier: GPL-2.0-only
# Unit tests: each test_*.c is a cmocka program, built with ASan and UBSan against the sanitised library.
UNIT_TESTS := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(wildcard tests/unit/test_*.c))

$(B)/tests/unit/%: $(B)/san/tests/unit/%.o $(B)/san/liblb.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(SAN) $(LDFLAGS_UNIT) -o $@ $^ -lcmocka $(LDLIBS_LIB)

# What is the agent's own.
$(B)/tests/unit/test_events: $(patsubst %,$(B)/san/user/lbd/%.o,events log api/json)
$(B)/tests/unit/test_events: LDLIBS_LIB += -lsystemd

# Memory runs out when the test says so.
$(B)/tests/unit/test_engine_memory: LDFLAGS_UNIT := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc

# Of the agent itself.
$(B)/tests/unit/test_task: $(B)/san/user/lbd/task.o
$(B)/tests/unit/test_task: LDLIBS_LIB += -lsystemd -lpthread

# Of lb-neighbor.
$(B)/tests/unit/test_lead_file: $(B)/san/user/lb-neighbor/lead_file.o
$(B)/tests/unit/test_lead_file: LDLIBS_LIB += $(B)/san/liblb.a

# The same under ThreadSanitizer: part of make check.
$(B)/tests/unit/tsan_task: $(B)/tsan/tests/unit/test_task.o $(B)/tsan/user/lbd/task.o
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(TSAN) -o $@ $^ -lcmocka -lsystemd -lpthread

.PHONY: unit
unit: $(UNIT_TESTS) $(B)/tests/unit/tsan_task
