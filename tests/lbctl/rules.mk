# SPDX-License-Identifier: GPL-2.0-only
# lbctl alone, against canned answers; the program is the one built with ASan and UBSan.
.PHONY: lbctl-test
lbctl-test: $(B)/san/lbctl
	$(Q)LBCTL=$(B)/san/lbctl tests/lbctl/test_lbctl.py
