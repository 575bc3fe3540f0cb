#!/bin/sh
# Runs every fuzz target for FUZZ_SECONDS from its kept corpus; new inputs go to build-fuzz/found/.
set -eu
folder=${1:-build-fuzz}
seconds=${FUZZ_SECONDS:-60}
if [ ! -f "$folder/build.ninja" ]; then
	# fuzzer-no-link: the libraries are instrumented too, not the target alone.
	CC=clang-14 meson setup "$folder" --buildtype=debugoptimized -Dfuzz=true -Db_lundef=false \
	    -Db_sanitize=address,undefined -Dc_args=-fsanitize=fuzzer-no-link
fi
ninja -C "$folder" --quiet
for program in "$folder"/test/fuzz/fuzz-*; do
	[ -x "$program" ] && [ ! -d "$program" ] || continue
	name=${program##*/fuzz-}
	mkdir -p "$folder/found/$name"
	echo "== $name"
	"$program" -max_total_time="$seconds" -print_final_stats=1 -artifact_prefix="$folder/found/$name-" \
	    "$folder/found/$name" "test/fuzz/corpus/$name" 2>&1 | tail -n 8
done
