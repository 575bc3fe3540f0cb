#!/bin/sh
# zpin beside the real programs of IPFS Cluster: test/interop/run.sh build/zpin [--report]
set -eu

[ $# -ge 1 ] || { echo "usage: $0 ZPIN [--report]" >&2; exit 2; }
PYTHONDONTWRITEBYTECODE=1 exec python3 "$(dirname "$0")/interop.py" "$@"
