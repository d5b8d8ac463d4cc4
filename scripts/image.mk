# SPDX-License-Identifier: GPL-2.0-only
# make image: what configs/kubernetes runs, as OCI images from scratch: build/image/weir.tar (our programs), and
# build/image/bird.tar (BIRD as this host has it) where it is installed.
IMAGE_EPOCH := $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
IMAGE_VERSION ?= $(VERSION)
IMAGE_PROGRAMS = $(foreach p,$(INSTALL_PROGRAMS),$(B)/$(p)=/usr/local/sbin/$(p))
BIRD := $(firstword $(wildcard /usr/sbin/bird))

.PHONY: image
image: all
	$(Q)scripts/image.py --output $(B)/image/weir.tar --name weir --version $(IMAGE_VERSION) --epoch $(IMAGE_EPOCH) \
		$(IMAGE_PROGRAMS) $(DISPATCHER)=/usr/local/lib/weir/xdp-dispatcher.o
	$(if $(BIRD),$(Q)scripts/image.py --output $(B)/image/bird.tar --name weir-bird --version $(IMAGE_VERSION) \
		--epoch $(IMAGE_EPOCH) $(BIRD)=/usr/sbin/bird /usr/sbin/birdc=/usr/sbin/birdc)
