# SPDX-License-Identifier: GPL-2.0-only
# Byte-exact tests of the loaded packet path, one cmocka program per theme; each runs every packet through the
# host-compiled path as well. Root, at run time.
BPF_TESTS := $(patsubst tests/bpf/%.c,$(B)/tests/bpf/%,$(filter-out %.bpf.c,$(wildcard tests/bpf/test_*.c)))
RIG_OBJ := $(addprefix $(B)/san/,$(addprefix tests/lib/,rig.o rig_run.o rig_capture.o rig_explain.o frame.o packet_path.o) user/lbd/kernel/flat_tables.o)
CHECK_PROGRAMS += $(BPF_TESTS)

$(filter %/rig.o %/rig_run.o %/rig_capture.o %/rig_explain.o,$(RIG_OBJ)) $(BPF_TESTS:$(B)/%=$(B)/san/%.o): CPPFLAGS += -Itests/host

$(B)/tests/bpf/%: $(B)/san/tests/bpf/%.o $(RIG_OBJ) $(B)/san/host/host.o $(B)/san/liblb.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(SAN) -o $@ $^ -lcmocka -lbpf $(LDLIBS_LIB)

$(B)/tests/bpf/test_layout: $(B)/san/user/lbd/kernel/layout_btf.o

.PHONY: bpf-tests
bpf-tests: $(BPF_TESTS)
