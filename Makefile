# The one door for people; meson does the work. `make help` lists everything.

.PHONY: help run build test check check-long check-mutants check-planted check-syncs check-threads check-interop fuzz fuzz-coverage bench-node bench-engine install format clean setup setup-check setup-fuzz setup-bench

BUILD ?= build
ASAN ?= build-asan
TSAN ?= build-tsan
BENCH ?= build-bench
DATA ?= zpin-data

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

run: build ## install what is missing, build, and start a node on ./zpin-data
	@[ -e $(DATA)/zpin.yaml ] || $(BUILD)/zpin init --quiet $(DATA)
	@exec $(BUILD)/zpin serve --config $(DATA)/zpin.yaml

build: setup $(BUILD)/build.ninja ## build/zpin
	@ninja -C $(BUILD) -n src/main/zpin | grep -q 'no work to do' || \
	    { echo "building $(BUILD)/zpin"; ninja -C $(BUILD) --quiet src/main/zpin; }
	@ln -sf src/main/zpin $(BUILD)/zpin

test: setup-check $(BUILD)/build.ninja ## the quick tests
	@ninja -C $(BUILD) --quiet
	@scripts/check.py $(BUILD):unit,corpus,rules

check: setup-check $(BUILD)/build.ninja $(ASAN)/build.ninja ## all tests, also under the sanitizers
	@ninja -C $(BUILD) --quiet
	@ninja -C $(ASAN) --quiet
	@scripts/check.py $(BUILD) $(ASAN)

check-long: setup-check $(BUILD)/build.ninja ## random tests until one fails or you stop it
	@ninja -C $(BUILD) --quiet
	@scripts/check-long.sh $(BUILD)

check-mutants: setup-check ## make the code wrong in one place at a time, and see a test notice
	@test/mutants.py build-syncs

check-planted: setup-check ## plant a bug of each kind, and see the simulation find it
	@test/planted.py build-syncs

check-threads: setup-check $(TSAN)/build.ninja ## the tests with several threads, under ThreadSanitizer
	@ninja -C $(TSAN) --quiet
	@scripts/check.py $(TSAN):threads

check-syncs: setup-check ## take each sync away in a copy, and see its test fail (five minutes)
	@test/syncs.py --prove build-syncs

check-interop: build ## against the real ipfs-cluster-ctl and -service, which must be on PATH
	@test/interop/run.sh $(BUILD)/zpin

bench-node: build ## what a node costs, beside IPFS Cluster where it is on PATH
	@bench/node.py $(BUILD)/zpin

bench-engine: setup-bench ## what the engine costs, beside RocksDB and LMDB
	@[ -e $(BENCH)/build.ninja ] || meson setup $(BENCH) --buildtype=debugoptimized -Dtests=false -Dbench=true >/dev/null
	@ninja -C $(BENCH) --quiet bench/engine/bench-engine bench/engine/bench-days
	@bench/engine.py $(BENCH)/bench/engine/bench-engine

fuzz: setup-fuzz ## every decoder, FUZZ_SECONDS (60) each; keeps account of the CPU time
	@scripts/fuzz.py run build-fuzz

fuzz-coverage: setup-fuzz ## which lines of the decoders the fuzz targets' inputs reach
	@scripts/fuzz.py coverage build-coverage

install: build ## to DESTDIR and /usr, with man pages, completions and the systemd unit
	@ninja -C $(BUILD) --quiet installed >/dev/null || ninja -C $(BUILD) installed
	@meson install -C $(BUILD) --no-rebuild

setup:
	@scripts/setup.sh build

setup-check:
	@scripts/setup.sh check

setup-bench:
	@scripts/setup.sh bench

setup-fuzz:
	@scripts/setup.sh fuzz

$(BUILD)/build.ninja:
	@meson setup $(BUILD) --prefix=/usr --sysconfdir=/etc --localstatedir=/var --buildtype=debugoptimized >$(BUILD).log 2>&1 \
	    || { cat $(BUILD).log; exit 1; }
	@rm -f $(BUILD).log

$(ASAN)/build.ninja:
	@meson setup $(ASAN) --buildtype=debugoptimized -Db_sanitize=address,undefined >$(ASAN).log 2>&1 \
	    || { cat $(ASAN).log; exit 1; }
	@rm -f $(ASAN).log

$(TSAN)/build.ninja:
	@meson setup $(TSAN) --buildtype=debugoptimized -Db_sanitize=thread >$(TSAN).log 2>&1 \
	    || { cat $(TSAN).log; exit 1; }
	@rm -f $(TSAN).log

clean: ## remove what was built
	rm -rf $(BUILD) $(ASAN) $(TSAN) build-fuzz build-coverage build-syncs $(BENCH)
