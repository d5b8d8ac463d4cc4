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

.PHONY: stories
stories: setup
	$(Q)$(MAKE) --no-print-directory all $(STORY_PROGRAMS) $(STORY_OBJECTS)
	$(Q)tests/stories/run.sh
