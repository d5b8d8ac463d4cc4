# SPDX-License-Identifier: GPL-2.0-only
# make install, make uninstall: DESTDIR and PREFIX as usual. /etc/weir/weir.json is yours to write
# (share/doc/weir/examples/minimal.json is a start).
SBIN := $(DESTDIR)$(PREFIX)/sbin
MAN := $(DESTDIR)$(PREFIX)/share/man
DOC := $(DESTDIR)$(PREFIX)/share/doc/weir
SHARE := $(DESTDIR)$(PREFIX)/share/weir
COMPLETIONS := $(DESTDIR)$(PREFIX)/share/bash-completion/completions
# systemd reads its own folders only below /usr and /usr/local.
UNITS := $(DESTDIR)$(PREFIX)/lib/systemd/system
OBJECTS := $(DESTDIR)$(PREFIX)/lib/weir

INSTALL_PROGRAMS := $(foreach p,$(PROGRAMS),$(if $(call prog_src,$(p)),$(p)))
INSTALL_MAN8 := $(wildcard docs/*.8)
INSTALL_MAN5 := $(wildcard docs/*.5)
INSTALL_UNITS := $(wildcard configs/systemd/*.service)
INSTALL_DOCS := README.md CHANGELOG.md $(wildcard docs/*.md)
INSTALL_GRAFANA := $(wildcard configs/grafana/*.json)
INSTALL_PROMETHEUS := $(wildcard configs/prometheus/*.yml)
INSTALL_EXAMPLES := configs/minimal.json configs/weir.json $(wildcard configs/backend.json)
# FOLDER/weir.conf as FOLDER.conf
INSTALL_SPEAKERS := bird frr keepalived

.PHONY: install uninstall
install: all
	install -d $(SBIN) $(MAN)/man8 $(MAN)/man5 $(DOC)/examples $(SHARE) $(COMPLETIONS) $(UNITS) $(OBJECTS) \
		$(DESTDIR)$(PREFIX)/lib/sysusers.d $(DESTDIR)$(PREFIX)/lib/tmpfiles.d $(DESTDIR)/etc/weir
	install -m 755 $(INSTALL_PROGRAMS:%=$(B)/%) $(SBIN)
	install -m 644 $(DISPATCHER) $(OBJECTS)
	install -m 644 $(INSTALL_MAN8) $(MAN)/man8
	install -m 644 $(INSTALL_MAN5) $(MAN)/man5
	install -m 644 configs/completion/lbctl.bash $(COMPLETIONS)/lbctl
	install -m 644 configs/schema.json $(SHARE)
	install -d $(SHARE)/grafana $(SHARE)/prometheus
	install -m 644 $(INSTALL_GRAFANA) $(SHARE)/grafana
	install -m 644 $(INSTALL_PROMETHEUS) $(SHARE)/prometheus
	install -m 644 $(INSTALL_DOCS) $(DOC)
	install -m 644 $(INSTALL_EXAMPLES) $(DOC)/examples
	$(Q)for speaker in $(INSTALL_SPEAKERS); do \
		install -m 644 configs/$$speaker/weir.conf $(DOC)/examples/$$speaker.conf || exit 1; \
	done
	$(Q)for unit in $(INSTALL_UNITS); do \
		sed 's|/usr/local/|$(PREFIX)/|g' $$unit > $(UNITS)/$${unit##*/} || exit 1; \
	done
	$(Q)for kind in sysusers tmpfiles; do \
		[ ! -e configs/systemd/weir.$$kind.conf ] || \
		install -m 644 configs/systemd/weir.$$kind.conf $(DESTDIR)$(PREFIX)/lib/$$kind.d/weir.conf || exit 1; \
	done

uninstall:
	rm -f $(INSTALL_PROGRAMS:%=$(SBIN)/%) $(INSTALL_MAN8:docs/%=$(MAN)/man8/%) $(INSTALL_MAN5:docs/%=$(MAN)/man5/%) \
		$(COMPLETIONS)/lbctl $(INSTALL_UNITS:configs/systemd/%=$(UNITS)/%) $(OBJECTS)/xdp-dispatcher.o $(SHARE)/schema.json \
		$(INSTALL_GRAFANA:configs/%=$(SHARE)/%) $(INSTALL_PROMETHEUS:configs/%=$(SHARE)/%) \
		$(DESTDIR)$(PREFIX)/lib/sysusers.d/weir.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/weir.conf \
		$(foreach f,$(INSTALL_DOCS),$(DOC)/$(notdir $(f))) \
		$(INSTALL_SPEAKERS:%=$(DOC)/examples/%.conf) \
		$(foreach f,$(INSTALL_EXAMPLES),$(DOC)/examples/$(notdir $(f)))
	-rmdir $(SHARE)/grafana $(SHARE)/prometheus $(DOC)/examples $(DOC) $(SHARE) $(OBJECTS)
