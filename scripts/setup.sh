#!/bin/sh
# Installs the Debian packages that are missing. Usage: setup.sh build|check
set -eu

build="gcc libc6-dev make meson ninja-build pkg-config libssl-dev libcurl4-openssl-dev libxxhash-dev libzstd-dev
 zlib1g-dev libyaml-dev libsodium-dev scdoc"
check="$build libcmocka-dev python3 curl clang-14 libclang-rt-14-dev man-db zsh fish"

case "${1:-build}" in
build) wanted=$build ;;
check) wanted=$check ;;
*) echo "usage: $0 build|check" >&2; exit 2 ;;
esac

missing=""
for package in $wanted; do
	state=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)
	case "$state" in ii*) ;; *) missing="$missing $package" ;; esac
done
[ -n "$missing" ] || exit 0

sudo=""
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null || {
		echo "These packages are missing; install them as root: apt-get install$missing" >&2
		exit 1
	}
	sudo=sudo
fi
echo "Installing:$missing"
log=$(mktemp)
if ! { $sudo apt-get update && DEBIAN_FRONTEND=noninteractive \
	$sudo apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
	tail -n 20 "$log" >&2
	exit 1
fi
rm -f "$log"
