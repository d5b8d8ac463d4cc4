#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Takes Weir off a cluster, and leaves nothing: edge nodes leave their fleet one after the other (no connection breaks while another is
# there), addresses and finalizers come back from Services, packet paths, pins and files go.
#
#   uninstall.sh [--limit SECONDS] [--force]
#
#   --limit SECONDS   for an edge node to leave (900)
#   --force           go on where that is not enough: what breaks has been said
#
# It needs kubectl (KUBECTL), and rights to delete what was applied. What was said last says what is left, if it fails; it can be run again.
set -u
kubectl=${KUBECTL:-kubectl}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
limit=900 force=

fail()
{
	echo "uninstall: $*" >&2
	exit 1
}

# job FILE NAME NUMBER NODE SECONDS: runs it to its end, shows what it says. Status: its.
job()
{
	local left=$(($5 * 2)) ended=
	$kubectl -n weir delete job "$2" --ignore-not-found >/dev/null || fail "cannot delete Jobs"
	sed -e "s/NUMBER/$3/" -e "s/NODE\$/$4/" -e "s/\"LIMIT\"/\"$limit\"/" "$here/$1" | $kubectl apply -f - >/dev/null || fail "cannot make Job $2"
	while ((left-- > 0)); do
		ended=$($kubectl -n weir get job "$2" -o 'jsonpath={.status.succeeded}/{.status.failed}')
		[[ $ended =~ ^0?/0?$ ]] || break
		sleep 0.5
	done
	$kubectl -n weir logs "job/$2" 2>/dev/null
	[[ $ended == 1/* ]]
}

# each FILE PREFIX SECONDS NODE...
each()
{
	local file=$1 prefix=$2 seconds=$3 number=0 node
	shift 3
	for node in "$@"; do
		echo "$prefix: $node"
		job "$file" "$prefix-$((++number))" "$number" "$node" "$seconds" || [[ $force ]] || fail "$prefix did not succeed on $node (--force goes on)"
	done
}

while (($#)); do
	case $1 in
	--limit) limit=${2:?--limit SECONDS}; shift ;;
	--force) force=1 ;;
	*) fail "what is $1? usage: uninstall.sh [--limit SECONDS] [--force]" ;;
	esac
	shift
done
[[ $limit =~ ^[1-9][0-9]*$ ]] || fail "--limit $limit: seconds"
nodes=$($kubectl get nodes -l weir.dev/edge -o 'jsonpath={.items[*].metadata.name}') || fail "cannot list nodes"
read -ra edges <<<"$nodes"
nodes=$($kubectl get nodes -l '!weir.dev/edge' -o 'jsonpath={.items[*].metadata.name}') || fail "cannot list nodes"
read -ra others <<<"$nodes"

if $kubectl -n weir get daemonset weir >/dev/null 2>&1; then
	each leave.yaml weir-leave $((limit + 60)) "${edges[@]}"
	$kubectl -n weir delete daemonset weir --ignore-not-found --wait || fail "DaemonSet weir is still there"
	# Until its pods have ended they would give addresses again.
	$kubectl -n weir wait --for=delete pod -l app.kubernetes.io/name=weir,app.kubernetes.io/component=edge --timeout=120s || fail "pods of Weir still run"
fi
echo "weir-give-back"
job give-back.yaml weir-give-back 0 none 600 || fail "Services still have what Weir gave them"
each purge.yaml weir-purge 120 "${edges[@]}"
$kubectl -n weir delete daemonset weir-node weir-bird weir-metrics --ignore-not-found --wait || fail "DaemonSets are still there"
$kubectl -n weir wait --for=delete pod -l app.kubernetes.io/name=weir,app.kubernetes.io/component=node --timeout=120s || fail "pods of weir-node still run"
each down.yaml weir-down 120 "${others[@]}"
$kubectl delete clusterrolebinding,clusterrole weir weir-metrics weir-metrics-reader --ignore-not-found >/dev/null
$kubectl delete namespace weir --ignore-not-found || fail "the namespace is still there"
echo "nothing is left"
