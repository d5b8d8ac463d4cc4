# SPDX-License-Identifier: GPL-2.0-only
# make check-vm: what depends on the kernel, under stock Debian kernels in an emulator (docs/kernels.md). Built here,
# run there. KERNELS="6.1" or ONLY=REGEX runs a part.
VM_BPF_OBJ := $(BPF_OBJ) $(foreach s,$(TEST_BPF_SRC),$(B)/bpf/$(notdir $(s:.bpf.c=.bpf.o)))
# The tests of tests/bpf once more without sanitisers, which an emulated processor has no time for.
VM_BPF_TESTS := $(patsubst tests/bpf/%.c,$(B)/tests/vm/%,$(filter-out %.bpf.c,$(wildcard tests/bpf/test_*.c)))
VM_RIG_OBJ := $(RIG_OBJ:$(B)/san/%=$(B)/%)
VM_PROGRAMS := $(addprefix $(B)/tests/vm/,verify second)

$(VM_RIG_OBJ) $(VM_BPF_TESTS:$(B)/tests/vm/%=$(B)/tests/bpf/%.o): CPPFLAGS += -Itests/host

$(VM_BPF_TESTS): $(B)/tests/vm/%: $(B)/tests/bpf/%.o $(VM_RIG_OBJ) $(HOST_OBJ) $(B)/liblb.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ -lcmocka -lbpf $(LDLIBS_LIB)

$(B)/tests/vm/test_layout: $(B)/user/lbd/kernel/layout_btf.o

$(VM_PROGRAMS): $(B)/tests/vm/%: $(B)/tests/vm/%.o
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lxdp -lbpf

.PHONY: check-vm check-vm-built route-walk-vm
check-vm: setup
	+$(Q)$(MAKE) --no-print-directory $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc)) check-vm-built
	$(Q)tests/vm/check.sh

check-vm-built: all $(VM_PROGRAMS) $(VM_BPF_TESTS) $(VM_BPF_OBJ)

# The walk with VLANs, bonds and tunnels, in full: STEPS (200) from SEED (1) on under KERNEL (6.1).
route-walk-vm: setup
	+$(Q)$(MAKE) --no-print-directory $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc)) check-vm-built
	$(Q)scripts/vm.sh run --kernel $(or $(KERNEL),6.1) --out $(B)/vm/route-walk --timeout 4000 \
		env STEPS=$(or $(STEPS),200) SEED=$(or $(SEED),1) WALK_SECONDS=3500 tests/vm/story_route_walk.sh
