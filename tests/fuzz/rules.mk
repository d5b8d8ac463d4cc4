# SPDX-License-Identifier: GPL-2.0-only
# Fuzz targets (fuzz.h). make check replays their corpora, built with gcc; make fuzz SECONDS=60 runs libFuzzer on each
# for so long together, and leaves what it finds in build/fuzz.
FUZZ_NAMES := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_REPLAYS := $(FUZZ_NAMES:%=$(B)/tests/fuzz/replay_%)
FUZZERS := $(FUZZ_NAMES:%=$(B)/fuzz/fuzz_%)
CHECK_PROGRAMS += $(FUZZ_REPLAYS)

$(FUZZ_NAMES:%=$(B)/san/tests/fuzz/fuzz_%.o): CPPFLAGS += -Itests/host

$(B)/tests/fuzz/replay_%: $(B)/san/tests/fuzz/fuzz_%.o $(B)/san/tests/fuzz/replay.o $(B)/san/host/host.o $(B)/san/liblb.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(SAN) -o $@ $^ $(LDLIBS_LIB)

# libFuzzer wants its own instrumentation in all that it looks at.
FUZZ_FLAGS = $(filter-out -MMD -MP,$(CPPFLAGS)) -std=gnu17 -O1 -g -fno-strict-aliasing \
	-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize=alignment -fno-sanitize-recover=undefined
FUZZ_OBJ := $(LIB_SRC:%.c=$(B)/fuzz/%.o)

$(B)/fuzz/host.o: tests/host/host.c $(wildcard bpf/*.h bpf/slow/*.h bpf/*.c include/lb/*.h tests/host/*.h tests/host/bpf/*.h)
	$(call say,FUZZ,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(HOST_INC) $(FUZZ_FLAGS) -c $< -o $@

$(B)/fuzz/%.o: %.c $(wildcard include/lb/*.h user/lib/*/*.h tests/fuzz/*.h tests/host/*.h) | $(SKEL)
	$(call say,FUZZ,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) -Itests/host $(FUZZ_FLAGS) -c $< -o $@

$(B)/fuzz/fuzz_%: $(B)/fuzz/tests/fuzz/fuzz_%.o $(B)/fuzz/host.o $(FUZZ_OBJ)
	$(call say,LD,$@)
	$(Q)$(CLANG) -fsanitize=fuzzer,address,undefined -o $@ $^ $(LDLIBS_LIB)

$(B)/tests/fuzz/make_corpus: $(B)/tests/fuzz/make_corpus.o $(B)/tests/lib/frame.o
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -o $@ $^

# The first corpus, again; what libFuzzer found besides stays.
.PHONY: fuzz-corpus fuzz
fuzz-corpus: $(B)/tests/fuzz/make_corpus
	$(Q)$< tests/fuzz/corpus/packet

fuzz: setup
	$(Q)$(MAKE) --no-print-directory $(FUZZERS)
	$(Q)tests/fuzz/run.sh $(or $(SECONDS),60) $(FUZZERS)
