# SPDX-License-Identifier: GPL-2.0-only
# The property test (`make property STEPS=n SEED=s`), the flow table's stress under ThreadSanitizer, and what engine and
# flow table cost at scale (`make bench-engine`, `make bench-flowtable`). A slice of the first two is part of make check.
STEPS ?= 1000000
SEED ?= 1

TSAN := -fsanitize=thread
# Without what the stress test does not need and GCC's ThreadSanitizer cannot follow: fences.
TSAN_LIB_OBJ := $(patsubst %.c,$(B)/tsan/%.o,$(filter-out user/lib/carry/% user/lib/observe/%,$(LIB_SRC)))
PROPERTY_OBJ := $(B)/tests/property/property.o $(B)/tests/property/client.o \
	$(B)/tests/property/world.o
SAN_PROPERTY_OBJ := $(PROPERTY_OBJ:$(B)/%=$(B)/san/%)
PROPERTY_PROGRAMS := $(B)/tests/property/property $(B)/san/tests/property/property \
	$(B)/tests/property/test_stress_flowtable $(B)/tests/property/intent_model $(B)/san/tests/property/intent_model \
	$(B)/tests/property/schedule_model $(B)/san/tests/property/schedule_model

$(B)/tests/property/property: $(PROPERTY_OBJ) $(HOST_OBJ) $(B)/liblb.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS_LIB)

$(B)/san/tests/property/property: $(SAN_PROPERTY_OBJ) $(SAN_HOST_OBJ) $(B)/san/liblb.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(SAN) -o $@ $^ $(LDLIBS_LIB)

$(B)/tests/property/bench_%: $(B)/tests/property/bench_%.o $(B)/liblb.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS_LIB)

$(B)/tsan/%.o: %.c | $(SKEL) $(TEST_SKEL)
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(TSAN) -c $< -o $@

$(B)/tests/property/test_stress_flowtable: $(B)/tsan/tests/property/test_stress_flowtable.o $(TSAN_LIB_OBJ)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(TSAN) -o $@ $^ $(LDLIBS_LIB) -lpthread

# The intent layer against its model, records included.
INTENT_MODEL_OBJ := tests/property/intent_model.o user/lbd/state/words_json.o user/lbd/api/json.o user/lbd/events.o user/lbd/log.o
$(B)/tests/property/intent_model: $(addprefix $(B)/,$(INTENT_MODEL_OBJ)) $(B)/liblb.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS_LIB) -lsystemd

$(B)/san/tests/property/intent_model: $(addprefix $(B)/san/,$(INTENT_MODEL_OBJ)) $(B)/san/liblb.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(SAN) -o $@ $^ $(LDLIBS_LIB) -lsystemd

# When plans are made, under virtual time.
$(B)/tests/property/schedule_model: $(B)/tests/property/schedule_model.o $(B)/liblb.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS_LIB)

$(B)/san/tests/property/schedule_model: $(B)/san/tests/property/schedule_model.o $(B)/san/liblb.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(SAN) -o $@ $^ $(LDLIBS_LIB)

.PHONY: property bench-engine bench-flowtable
property: $(B)/tests/property/property $(B)/tests/property/intent_model $(B)/tests/property/schedule_model
	$(Q)$(B)/tests/property/property $(STEPS) $(SEED)
	$(Q)$(B)/tests/property/intent_model $(STEPS) $(SEED)
	$(Q)$(B)/tests/property/schedule_model $(STEPS) $(SEED)

bench-engine: $(B)/tests/property/bench_engine
	$(Q)$<

bench-flowtable: $(B)/tests/property/bench_flowtable
	$(Q)$<

CHECK_PROGRAMS += $(PROPERTY_PROGRAMS)
