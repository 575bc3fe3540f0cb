#!/bin/bash
# Random tests in turn until one fails or you stop it: the simulation and the model test with new seeds,
# the crash test with a new seed, a minute of the next fuzz target. Usage: check-long.sh BUILD [FUZZ-BUILD]
# What failed, with its seed or input, is the last thing that is printed; exit status 1.
set -uo pipefail
cd "$(dirname "$0")/.."
build=${1:?usage: check-long.sh BUILD [FUZZ-BUILD]}
fuzz=${2:-build-fuzz}
seconds=${FUZZ_SECONDS:-60}
simulate_runs=${SIMULATE_RUNS:-100}
model_seeds=${MODEL_SEEDS:-2}
model_steps=${MODEL_STEPS:-20000}
crash_rounds=${CRASH_ROUNDS:-10}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'echo; echo "stopped after $turn turns, nothing has failed"; exit 0' INT TERM

# Quiet while all is well.
run() {
	if ! "$@" >"$log" 2>&1; then
		tail -n 60 "$log"
		echo "FAILED: $*"
		exit 1
	fi
}

fuzz_build() {
	if [ ! -f "$fuzz/build.ninja" ]; then
		CC=clang-14 run meson setup "$fuzz" --buildtype=debugoptimized -Dfuzz=true -Db_lundef=false \
		    -Db_sanitize=address,undefined -Dc_args=-fsanitize=fuzzer-no-link
	fi
	# Only the targets: the rest of the tree has its own builds.
	run ninja -C "$fuzz" $(ninja -C "$fuzz" -t targets all | sed -n 's/^\(test\/fuzz\/fuzz-[a-z]*\):.*/\1/p')
}

fuzz_run() { # the program of a target
	local name=${1##*/fuzz-}
	mkdir -p "$fuzz/found/$name"
	run "$1" -max_total_time="$seconds" -artifact_prefix="$fuzz/found/$name-" "$fuzz/found/$name" \
	    "test/fuzz/corpus/$name"
}

new_seed() { od -An -N4 -tu4 /dev/urandom | tr -d ' '; }

turn=0
fuzz_build
targets=()
for program in "$fuzz"/test/fuzz/fuzz-*; do
	if [ -f "$program" ] && [ -x "$program" ]; then targets+=("$program"); fi
done
if [ ! -x "$build/test/model/model" ] || [ ! -x "$build/test/simulate/simulate" ] || [ ${#targets[@]} -eq 0 ]; then
	echo "check-long: $build/test/model/model, simulate or the fuzz targets are not built" >&2
	exit 2
fi

while :; do
	run "$build/test/simulate/simulate" --runs "$simulate_runs" "$(new_seed)"
	run "$build/test/simulate/simulate" --sweep "$(new_seed)"
	for _ in $(seq "$model_seeds"); do
		run "$build/test/model/model" "$(new_seed)" "$model_steps"
	done
	run test/crash/crash.py "$build/src/main/zpin" --seed "$(new_seed)" --rounds "$crash_rounds"
	target=${targets[turn % ${#targets[@]}]}
	fuzz_run "$target"
	turn=$((turn + 1))
	echo "turn $turn: $simulate_runs simulations, $model_seeds seeds of the model, $crash_rounds crashes, ${target##*/}: all well"
done
