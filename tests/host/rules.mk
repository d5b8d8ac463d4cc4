# SPDX-License-Identifier: GPL-2.0-only
# The packet path compiled for the host (host.h), plain and with ASan and UBSan. The path reads words at any
# offset, as both architectures do: hence no alignment check.
HOST_INC := -Itests/host -Ibpf
HOST_OBJ := $(B)/host/host.o
SAN_HOST_OBJ := $(B)/san/host/host.o

$(HOST_OBJ): tests/host/host.c
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(HOST_INC) $(CPPFLAGS) $(CFLAGS) -c $< -o $@

$(SAN_HOST_OBJ): tests/host/host.c
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(HOST_INC) $(CPPFLAGS) $(CFLAGS) $(SAN) -fno-sanitize=alignment -c $< -o $@
