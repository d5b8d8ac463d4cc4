#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The packet path as it is compiled for arm64, where loads that must keep their order need more instructions: the
# verifier takes it, on whatever machine this is.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
exec build/tests/vm/verify build/arm64/*.bpf.o
