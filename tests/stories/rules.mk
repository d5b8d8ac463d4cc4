# SPDX-License-Identifier: GPL-2.0-only
# Stories: planned changes under real connections, none of which may break. `sudo make stories`; ONLY=REGEX tells some.
# A slice is part of make check (tests/e2e/test_stories.sh).
STORY_PROGRAMS := $(B)/tests/stories/serve $(B)/tests/stories/load $(B)/tests/stories/flood
STORY_OBJECTS := $(B)/bpf/flood_sink.bpf.o
LDLIBS_flood := -lbpf
CHECK_PROGRAMS += $(STORY_PROGRAMS) $(STORY_OBJECTS)

$(B)/tests/stories/%: $(B)/tests/stories/%.o
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS_$*)

# An agent of the next layout (include/lb/types.h), which story_layout has take over.
NEXT_LBD := $(B)/next/lbd
CHECK_PROGRAMS += $(NEXT_LBD)
$(NEXT_LBD): FORCE
	$(Q)$(MAKE) --no-print-directory B=$(B)/next LB_LAYOUT_NEXT=1 $@

.PHONY: stories
stories: setup
	$(Q)$(MAKE) --no-print-directory all $(STORY_PROGRAMS) $(STORY_OBJECTS) $(NEXT_LBD)
	$(Q)tests/stories/run.sh

.PHONY: soak
soak: setup
	$(Q)$(MAKE) --no-print-directory all $(STORY_PROGRAMS) $(STORY_OBJECTS)
	$(Q)MINUTES=$(or $(MINUTES),10) SEED=$(or $(SEED),1) tests/stories/soak.sh
