#!/bin/sh
# Pin go.mod and go.sum to a version of Kubernetes: ./pin.sh 1.36.3
# k8s.io/kubernetes names its staging modules by folders of its own repository; here each gets the version
# that it was published as: v0.<minor>.<patch>. etcd is the one that Kubernetes asks for.
set -eu
cd "$(dirname "$0")"
kubernetes="k8s.io/kubernetes@v$1"
rm -f go.mod go.sum
go mod init example.invalid/pilotpy/tests/kube/apiserver
go mod edit -require="$kubernetes"
definition=$(go mod download -json "$kubernetes" | sed -n 's/^\t"GoMod": "\(.*\)",$/\1/p')
for module in $(awk '$2 == "=>" && $3 ~ /^\.\/staging\// { print $1 }' "$definition"); do
	go mod edit -replace="$module=$module@v0.${1#1.}"
done
go mod edit -go="$(sed -n "s/^go //p" "$definition")" # no newer Go than Kubernetes asks for
go mod tidy
