# Builds and installs xen-fence. On the Xen host: `make dom0`, then as root `make install-dom0`. In
# each node: `make node`, then as root `make install-node`. docs/install.md has the steps around it.
#
# DESTDIR   where to install below, for packages; default: the running system
# PROFILE   cargo's profile: release (default) or dev
# PLUGINS   node: cluster-glue's plugin directory. Debian and Ubuntu, default: /usr/lib/stonith/plugins; 64-bit
#           Fedora and SUSE: /usr/lib64/stonith/plugins
# SSHD      dom0: dedicated (default: an sshd for fencing alone), match (the host's own), or both
#
# The paths are fixed, because each program names the next by an absolute path that nobody can
# change. Installing again is harmless: the policy and what an administrator has changed stay.

DESTDIR ?=
PROFILE ?= release
SSHD ?= dedicated
PLUGINS ?= /usr/lib/stonith/plugins
CARGO ?= cargo
CARGO_TARGET_DIR ?= target
BUILT := $(CARGO_TARGET_DIR)/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))

# Without root, as when a package is built, the files belong to who builds it.
OWNER := $(if $(filter 0,$(shell id -u)),-o root -g root)
DIR := install -d $(OWNER)
FILE := install $(OWNER)
# Puts a program or the sudo rule in its place whole: a fence may be using it at this moment. sudo
# reads no file with a dot in its name.
define put
	$(FILE) -m $(1) $(2) $(DESTDIR)$(3).new
	mv -f $(DESTDIR)$(3).new $(DESTDIR)$(3)
endef
# The same for another name of a program.
define name
	ln -sfn $(1) $(DESTDIR)$(2).new
	mv -fT $(DESTDIR)$(2).new $(DESTDIR)$(2)
endef

.PHONY: all dom0 node install-dom0 install-node install-sshd-dedicated install-sshd-match \
	install-sshd-both

all: dom0 node

dom0:
	$(CARGO) build --locked --profile $(PROFILE) \
		-p xen-fence-broker -p xen-fence-admin -p xen-fence-launcher

node:
	$(CARGO) build --locked --profile $(PROFILE) -p xen-fence

install-dom0: install-sshd-$(SSHD)
	@test -x $(BUILT)/xen-fence-broker || \
		{ echo "$(BUILT)/xen-fence-broker is missing: run make dom0 PROFILE=$(PROFILE) first" >&2; exit 1; }
	@if command -v visudo >/dev/null; then visudo -cqf sudoers.d/xen-fence; fi
	$(DIR) -m 0755 $(DESTDIR)/usr/sbin $(DESTDIR)/usr/lib/xen-fence $(DESTDIR)/etc/xen-fence \
		$(DESTDIR)/etc/xen-fence/keys
	$(DIR) -m 0750 $(DESTDIR)/etc/xen-fence/clusters.d
	$(DIR) -m 0700 $(DESTDIR)/var/lib/xen-fence $(DESTDIR)/var/lib/xen-fence/journal \
		$(DESTDIR)/var/lib/xen-fence/holds
	$(call put,0755,$(BUILT)/xen-fence-broker,/usr/sbin/xen-fence-broker)
	$(call put,0755,$(BUILT)/xen-fence-admin,/usr/sbin/xen-fence-admin)
	$(call put,0755,$(BUILT)/xen-fence-launcher,/usr/lib/xen-fence/xen-fence-launcher)
	$(call put,0755,$(BUILT)/xen-fence-keys,/usr/lib/xen-fence/xen-fence-keys)
	test -d $(DESTDIR)/etc/sudoers.d || $(DIR) -m 0750 $(DESTDIR)/etc/sudoers.d
	$(call put,0440,sudoers.d/xen-fence,/etc/sudoers.d/xen-fence)
	$(DIR) -m 0755 $(DESTDIR)/usr/share/doc/xen-fence/examples
	$(FILE) -m 0644 broker/host/examples/alpha.toml broker/host/examples/broker.toml \
		$(DESTDIR)/usr/share/doc/xen-fence/examples/
	$(FILE) -m 0644 sudoers.d/xen-fence $(DESTDIR)/usr/share/doc/xen-fence/examples/sudoers

# An sshd_config that was changed stays; the new one is put beside it.
install-sshd-dedicated:
	$(DIR) -m 0755 $(DESTDIR)/etc/xen-fence $(DESTDIR)/etc/xen-fence/sshd_config.d \
		$(DESTDIR)/usr/lib/systemd/system $(DESTDIR)/etc/systemd/system/ssh.service.d
	$(DIR) -m 0750 $(DESTDIR)/var/log/xen-fence
	@new=$(DESTDIR)/etc/xen-fence/sshd_config; \
	if test -e $$new && ! cmp -s broker/host/sshd_config $$new; then \
		echo "$$new is another one and stays; that of this version is $$new.new"; \
		echo "compare them, and run: systemctl reload xen-fence-sshd"; \
		new=$$new.new; \
	fi; \
	$(FILE) -m 0644 broker/host/sshd_config $$new
	$(FILE) -m 0644 broker/host/xen-fence-sshd.service broker/host/xen-fence-log.service \
		broker/host/xen-fence-log.timer $(DESTDIR)/usr/lib/systemd/system/
	$(DIR) -m 0755 $(DESTDIR)/etc/logrotate.d
	$(FILE) -m 0644 broker/host/logrotate $(DESTDIR)/etc/logrotate.d/xen-fence
	$(FILE) -m 0644 broker/host/ssh_keep_directory.conf \
		$(DESTDIR)/etc/systemd/system/ssh.service.d/xen-fence.conf
	@if test -z "$(DESTDIR)" && test -d /run/systemd/system && \
		systemctl is-active --quiet xen-fence-sshd; then \
		echo "xen-fence-sshd runs with its units of before; no fence notices when you run:"; \
		echo "systemctl daemon-reload && systemctl restart xen-fence-sshd"; \
	fi

install-sshd-match:
	test -d $(DESTDIR)/etc/ssh/sshd_config.d || $(DIR) -m 0755 $(DESTDIR)/etc/ssh/sshd_config.d
	$(FILE) -m 0644 broker/host/sshd_match.conf $(DESTDIR)/etc/ssh/sshd_config.d/xen-fence.conf

install-sshd-both: install-sshd-dedicated install-sshd-match

install-node:
	@test -x $(BUILT)/xen-fence || \
		{ echo "$(BUILT)/xen-fence is missing: run make node PROFILE=$(PROFILE) first" >&2; exit 1; }
	@case $(PLUGINS) in /*/stonith/plugins) ;; *) \
		echo "PLUGINS=$(PLUGINS) is no plugin directory of cluster-glue: it has to end in /stonith/plugins," >&2; \
		echo "because the plugin knows by it that Heartbeat calls; stonith -L names what it finds there" >&2; \
		exit 1;; esac
	$(DIR) -m 0755 $(DESTDIR)/usr/sbin $(DESTDIR)/etc/xen-fence $(DESTDIR)$(PLUGINS)/external \
		$(DESTDIR)/usr/share/man/man8
	$(call put,0755,$(BUILT)/xen-fence,/usr/sbin/xen-fence)
	$(call name,xen-fence,/usr/sbin/fence_xen)
	$(call name,/usr/sbin/xen-fence,$(PLUGINS)/external/xen-fence)
	$(FILE) -m 0644 agent/fence_xen.8 $(DESTDIR)/usr/share/man/man8/fence_xen.8
