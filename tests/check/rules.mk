# SPDX-License-Identifier: GPL-2.0-only
# make check-built: builds what the tests need and runs them all (scripts/run-tests.sh; ONLY=REGEX runs a part). A
# folder of tests adds what it needs built to CHECK_PROGRAMS in its own rules.mk.
CHECK_PROGRAMS += all unit $(foreach p,$(PROGRAMS),$(if $(call prog_src,$(p)),$(B)/san/$(p)))

.PHONY: check-built
check-built:
	+$(Q)$(MAKE) --no-print-directory $(if $(V),,-s) $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc)) $(CHECK_PROGRAMS)
	$(Q)scripts/run-tests.sh

# How C is compiled, for the static checks.
.PHONY: print-cflags
print-cflags:
	@echo $(filter-out -MMD -MP,$(CPPFLAGS)) $(CFLAGS)

# The packet path as arm64 gets it (include/lb/access.h), for the verifier of any machine: test_arm64.sh.
ARM64_OBJ := $(patsubst bpf/%.bpf.c,$(B)/arm64/%.bpf.o,$(wildcard bpf/lb_ingress.bpf.c bpf/lb_capture.bpf.c))
CHECK_PROGRAMS += $(ARM64_OBJ) $(B)/tests/vm/verify

$(ARM64_OBJ): $(B)/arm64/%.bpf.o: bpf/%.bpf.c
	$(call say,BPF,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS:-D__TARGET_ARCH_%=-D__TARGET_ARCH_arm64) -MF $(@:.o=.d) -c $< -o $@
