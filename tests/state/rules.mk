# SPDX-License-Identifier: GPL-2.0-only
# The state directory against a model of it: test_model.c runs some hundred rounds of changes, crashes and damage in make
# check; `sudo make state-model ROUNDS=10000 SEED=1` runs more.
STATE_OBJ := $(addprefix $(B)/san/,user/lbd/state/store.o user/lbd/state/store_file.o user/lbd/state/store_kernel.o \
	user/lbd/state/store_record.o user/lbd/state/store_recover.o user/lbd/state/words_json.o user/lbd/events.o user/lbd/log.o user/lbd/api/json.o tests/state/damage.o)
STATE_TESTS := $(patsubst tests/state/%.c,$(B)/tests/state/%,$(wildcard tests/state/test_*.c))
CHECK_PROGRAMS += $(STATE_TESTS)

$(STATE_TESTS): $(B)/tests/state/%: $(B)/san/tests/state/%.o $(STATE_OBJ) $(B)/san/liblb.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(SAN) -o $@ $^ -lcmocka -lbpf -lsystemd $(LDLIBS_LIB)

.PHONY: state-model
state-model: $(B)/tests/state/test_model
	$(Q)$< $(or $(ROUNDS),10000) $(or $(SEED),1)
