# SPDX-License-Identifier: GPL-2.0-only
# What is generated from the configuration's schema table and committed: `make config-docs` after a change
# of the table. The unit test test_config_docs fails when this was forgotten.
CONFIG_DOC := $(B)/gen/config-doc

$(CONFIG_DOC): $(B)/user/gen/config-doc.o $(B)/liblb.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS_LIB)

.PHONY: config-docs
config-docs: $(CONFIG_DOC)
	$(call say,GEN,configs/schema.json)
	$(Q)$(CONFIG_DOC) schema > $(B)/gen/schema.json && cp $(B)/gen/schema.json configs/schema.json
	$(call say,GEN,docs/weir.json.5)
	$(Q)$(CONFIG_DOC) man > $(B)/gen/weir.json.5 && cp $(B)/gen/weir.json.5 docs/weir.json.5
