# SPDX-License-Identifier: GPL-2.0-only
# Weir. `sudo make demo` shows it, `sudo make check` tests it; both install what they need (Debian 12).
# V=1 shows the commands. Everything that is made goes to build/.

CC ?= gcc
CLANG ?= $(firstword $(foreach c,clang clang-19 clang-16 clang-14,$(shell command -v $(c) 2>/dev/null)) clang)
BPFTOOL ?= $(firstword $(shell command -v bpftool 2>/dev/null) /usr/sbin/bpftool)
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
B := build
PREFIX ?= /usr/local

ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @printf '  %-7s %s\n' $(1) $(2)
endif

.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL := all

PKGS := libbpf libxdp libnl-3.0 libnl-route-3.0 libcjson libsystemd libmicrohttpd libcurl zlib
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Wno-unused-parameter -Wno-missing-field-initializers
CPPFLAGS += -D_GNU_SOURCE -Iinclude -Iuser -Iuser/lib -Itests/lib -I$(B)/gen $(PKG_CFLAGS) -MMD -MP
CFLAGS ?= -O2 -g
CFLAGS += -std=gnu17 -fno-strict-aliasing $(WARN)
SAN := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
LDLIBS_LIB := -lcjson -lxxhash -lm
LDLIBS_lbd := -lpthread -lxdp -lbpf -lnl-route-3 -lnl-3 -lsystemd -lmicrohttpd -lz
LDLIBS_lbctl := -lcurl -lncursesw -lbpf -lnl-route-3 -lnl-3
LDLIBS_lb-checkd := -lcurl
LDLIBS_lb-kubed := -lcurl -lmicrohttpd
LDLIBS_lb-neighbor := -lbpf -lsystemd
LDLIBS_lb-backend := -lxdp -lbpf -lnl-route-3 -lnl-3 -lsystemd

BPF_ARCH := $(shell uname -m | sed 's/x86_64/x86/;s/aarch64/arm64/')
BPF_SYSINC := -idirafter /usr/include/$(shell uname -m)-linux-gnu
BPF_CFLAGS := -O2 -g -target bpf -mcpu=v3 -D__TARGET_ARCH_$(BPF_ARCH) -D__bpf__ -Wall -Wextra -Werror -Wno-unused-parameter \
	-Iinclude -Ibpf $(BPF_SYSINC) -ffile-prefix-map=$(CURDIR)=. -MMD -MP

# Another layout of the maps, for a test (include/lb/types.h): with a B of its own.
ifdef LB_LAYOUT_NEXT
CPPFLAGS += -DLB_LAYOUT_NEXT=1
BPF_CFLAGS += -DLB_LAYOUT_NEXT=1
endif

# --- kernel side: one object and one skeleton per entry program -------------------------------------------

BPF_SRC := $(wildcard bpf/*.bpf.c)
BPF_OBJ := $(BPF_SRC:bpf/%.bpf.c=$(B)/bpf/%.bpf.o)
# The dispatcher is libxdp's to load, from its file.
SKEL := $(patsubst bpf/%.bpf.c,$(B)/gen/%.skel.h,$(filter-out bpf/lb_dispatcher.bpf.c,$(BPF_SRC)))
TEST_BPF_SRC := $(wildcard tests/*/*.bpf.c)
TEST_SKEL := $(foreach s,$(TEST_BPF_SRC),$(B)/gen/$(notdir $(s:.bpf.c=.skel.h)))

$(B)/bpf/%.bpf.o: bpf/%.bpf.c
	$(call say,BPF,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MF $(@:.o=.d) -c $< -o $@

define test_bpf_rule
$(B)/bpf/$(notdir $(1:.bpf.c=.bpf.o)): $(1)
	$$(call say,BPF,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CLANG) $$(BPF_CFLAGS) -MF $$(@:.o=.d) -c $$< -o $$@
endef
$(foreach s,$(TEST_BPF_SRC),$(eval $(call test_bpf_rule,$(s))))

$(B)/gen/%.skel.h: $(B)/bpf/%.bpf.o
	$(call say,SKEL,$@)
	@mkdir -p $(@D)
	$(Q)$(BPFTOOL) gen skeleton $< name $(subst -,_,$*)_bpf > $@

# --- user side: liblb and the programs --------------------------------------------------------------------

PROGRAMS := lbd lbctl lb-backend lb-checkd lb-execd lb-kubed lb-neighbor
LIB_SRC := $(wildcard user/lib/*/*.c)
LIB_OBJ := $(LIB_SRC:%.c=$(B)/%.o)
SAN_LIB_OBJ := $(LIB_SRC:%.c=$(B)/san/%.o)
prog_src = $(wildcard user/$(1)/*.c user/$(1)/*/*.c)

# What --version says: written anew only when the tree has another version, so that what is built follows it.
VERSION_H := $(B)/gen/version.h
$(VERSION_H): FORCE
	@mkdir -p $(@D)
	@printf '#define LB_VERSION "%s"\n' '$(VERSION)' | cmp -s - $@ || printf '#define LB_VERSION "%s"\n' '$(VERSION)' > $@

.PHONY: FORCE
FORCE:

$(B)/%.o: %.c | $(SKEL) $(TEST_SKEL) $(VERSION_H)
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -c $< -o $@

$(B)/san/%.o: %.c | $(SKEL) $(TEST_SKEL) $(VERSION_H)
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(SAN) -c $< -o $@

$(B)/liblb.a: $(LIB_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(B)/san/liblb.a: $(SAN_LIB_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

define program_rule
$(B)/$(1): $$(patsubst %.c,$(B)/%.o,$$(call prog_src,$(1))) $(B)/liblb.a
	$$(call say,LD,$$@)
	$$(Q)$$(CC) $$(CFLAGS) $$(LDFLAGS) -o $$@ $$^ $$(LDLIBS_$(1)) $$(LDLIBS_LIB)
$(B)/san/$(1): $$(patsubst %.c,$(B)/san/%.o,$$(call prog_src,$(1))) $(B)/san/liblb.a
	$$(call say,LD,$$@)
	$$(Q)$$(CC) $$(CFLAGS) $$(SAN) $$(LDFLAGS) -o $$@ $$^ $$(LDLIBS_$(1)) $$(LDLIBS_LIB)
endef
$(foreach p,$(PROGRAMS),$(eval $(call program_rule,$(p))))

# A dispatcher for an older libxdp on a newer kernel (docs/kernels.md), under the name that libxdp looks for.
DISPATCHER := $(B)/libxdp/xdp-dispatcher.o
$(DISPATCHER): $(B)/bpf/lb_dispatcher.bpf.o
	@mkdir -p $(@D)
	$(Q)cp $< $@

.PHONY: all
all: $(foreach p,$(PROGRAMS),$(if $(call prog_src,$(p)),$(B)/$(p))) $(DISPATCHER)

include $(wildcard tests/*/rules.mk)
include $(wildcard user/*/rules.mk)

-include $(shell find $(B) -path $(B)/deb -prune -o -name '*.d' -type f -print 2>/dev/null)

# --- what people type -------------------------------------------------------------------------------------

.PHONY: setup demo check clean format install uninstall
setup:
	$(Q)scripts/setup.sh

# The tools that the rules above look for may only now be there: hence the second make.
demo: setup
	$(Q)$(MAKE) --no-print-directory all
	$(Q)scripts/demo.sh

check: setup
	$(Q)$(MAKE) --no-print-directory check-built

clean:
	$(Q)rm -rf $(B)

# DESTDIR and PREFIX as usual. /etc/weir/weir.json is yours to write (configs/minimal.json is a start).
include scripts/install.mk
include scripts/image.mk

.PHONY: deb
deb:
	$(Q)scripts/deb.sh

format:
	$(Q)git ls-files '*.c' '*.h' | xargs clang-format-14 -i
