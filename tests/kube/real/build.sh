#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Builds the real etcd, kube-apiserver, kube-controller-manager and kube-proxy from their published Go modules (kubernetes/go.mod,
# etcd/go.mod; sums are checked) into build/kube, unless they are there. 1.5 GB of modules and 3 GB of build cache the first time, some
# minutes on two processors; then a second.
#
#   KUBE_BUILD_SECONDS=N   gives up after so long (600)
#
# Exit status 75: it cannot be built here, and the last line says why.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1
out=$(cd ../../.. && pwd)/build/kube
seconds=${KUBE_BUILD_SECONDS:-600}
log=$out/build.log
mkdir -p "$out"

cannot()
{
	echo "$*"
	exit 75
}

# build MODULE PACKAGE...: a stamp of go.sum says what was built.
build()
{
	local module=$1 stamp=$out/$1.built
	shift
	cmp -s "$module/go.sum" "$stamp" && return
	(cd "$module" && CGO_ENABLED=0 nice -n 19 timeout "$seconds" go build -buildvcs=false -trimpath -ldflags='-s -w' -o "$out/" "$@") >>"$log" 2>&1 || {
		status=$?
		((status == 124)) && cannot "go build of $module did not end within $seconds s: run make kube-tools once, without haste"
		cannot "go build of $module failed: $(tail -n 1 "$log" | cut -c1-300)"
	}
	cp "$module/go.sum" "$stamp"
}

type go >/dev/null 2>&1 || cannot "there is no go"
wanted=$(sed -n 's/^go //p' kubernetes/go.mod)
have=$(GOTOOLCHAIN=local go env GOVERSION)
[[ $(printf '%s\n' "${have#go}" "$wanted" | sort -V | head -n 1) == "$wanted" ]] || cannot "go is ${have#go}, and Kubernetes needs $wanted"
((seconds > 0)) || cannot "KUBE_BUILD_SECONDS is 0"
: >"$log"
build etcd go.etcd.io/etcd/server/v3
[[ ! -e $out/v3 ]] || mv "$out/v3" "$out/etcd"
[[ ! -e $out/server ]] || mv "$out/server" "$out/etcd"
build kubernetes k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kube-controller-manager k8s.io/kubernetes/cmd/kube-proxy
