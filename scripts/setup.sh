#!/bin/sh
# Installs what is missing: Debian packages, and for the tests IPFS Cluster's JavaScript client.
# Usage: setup.sh build|check|fuzz|bench
set -eu
what=${1:-build}

packages="gcc libc6-dev make meson ninja-build pkg-config libssl-dev libcurl4-openssl-dev libxxhash-dev libzstd-dev
 liburing-dev zlib1g-dev libyaml-dev libsodium-dev scdoc"
case "$what" in
build) ;;
check) packages="$packages clang-format-14 libcmocka-dev python3 curl openssl zstd man-db zsh fish"
	command -v npm >/dev/null || packages="$packages nodejs npm" # any Node.js will do
	# Not on anybody's own machine, where its tools would stand in the way of OpenZFS's.
	[ -z "${CI:-}" ] || command -v zpool >/dev/null || packages="$packages zfs-fuse" ;;
bench) packages="$packages python3 librocksdb-dev liblmdb-dev" ;;
fuzz) packages="$packages clang-14 libclang-rt-14-dev llvm-14" ;;
*) echo "usage: $0 build|check|fuzz|bench" >&2; exit 2 ;;
esac

packages_missing() {
	for package in $packages; do
		state=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)
		case "$state" in ii*) ;; *) printf ' %s' "$package" ;; esac
	done
}

packages_install() {
	sudo=""
	if [ "$(id -u)" -ne 0 ]; then
		command -v sudo >/dev/null || {
			echo "These packages are missing; install them as root: apt-get install$1" >&2
			exit 1
		}
		sudo=sudo
	fi
	echo "Installing:$1"
	log=$(mktemp)
	# shellcheck disable=SC2086 # a list of names
	if ! { $sudo apt-get update && $sudo env DEBIAN_FRONTEND=noninteractive \
	    apt-get install -y --no-install-recommends $1; } >"$log" 2>&1; then
		tail -n 20 "$log" >&2
		exit 1
	fi
	rm -f "$log"
}

missing=$(packages_missing)
[ -z "$missing" ] || packages_install "$missing"
if [ "$what" = check ] && [ ! -d test/api/node_modules ]; then
	npm ci --prefix test/api --ignore-scripts --no-audit --no-fund --silent
fi
