# Thin: the logic is in xtask.
.PHONY: run release test test-long test-api bench bench-mixed bench-consistent bench-scale bench-speed instructions bench-api fuzz test-faults lint bless

run: ## the whole system on this machine, with a demo schema
	@xtask/install.sh run
	cargo run --quiet --release --bin ddm -- up --demo $(ARGS)

release: ## the fastest program, in target/optimised/release: built, set to work, and built again by what it did
	@xtask/install.sh bench
	cargo run --quiet -p xtask -- release

test: ## every test
	@xtask/install.sh test
	cargo run --quiet -p xtask -- test $(ARGS)

test-long: ## the tests that take longer than a change should wait
	@xtask/install.sh test
	cargo run --quiet -p xtask -- test-long $(ARGS)

test-api: ## the suite of the REST API alone; ARGS=long makes its 20,000 random requests
	@xtask/install.sh test
	cargo run --quiet -p xtask -- test-api $(ARGS)

test-faults: ## nodes and data nodes killed and stopped, connections cut, under five loads; ARGS="MINUTES report" writes docs/reliability.md, ARGS=500x goes on until there were 500 of each kind
	@xtask/install.sh test
	cargo run --quiet -p xtask -- test-faults $(ARGS)

bench: ## ratios against direct access and a TCP relay; DDM_BENCH_RELEASE=1 measures what make release built
	@xtask/install.sh bench
	cargo run --quiet -p xtask -- bench $(ARGS)

bench-mixed: ## the part of bench about short statements among long ones alone
	@xtask/install.sh bench
	cargo run --quiet -p xtask -- bench-mixed $(ARGS)

bench-consistent: ## the part of bench about transactions and consistent reads over data nodes alone
	@xtask/install.sh bench
	cargo run --quiet -p xtask -- bench-consistent $(ARGS)

bench-scale: ## the part of bench about many connections alone
	@xtask/install.sh bench
	cargo run --quiet -p xtask -- bench-scale $(ARGS)

bench-speed: ## the part of bench on many shards alone
	@xtask/install.sh bench
	cargo run --quiet -p xtask -- bench-speed $(ARGS)

instructions: ## instruction counts of the hot steps against their baseline; UPDATE=1 writes it anew
	@xtask/install.sh test
	cargo run --quiet -p xtask -- instructions

bench-api: ## speed of the REST API, with its targets
	@xtask/install.sh run
	cargo run --quiet -p xtask -- bench-api $(ARGS)

fuzz: ## search for bytes that break what reads them; ARGS="TARGET RUNS", KEEP=1 writes the corpus anew
	@xtask/install.sh build
	cargo run --quiet -p xtask -- fuzz $(ARGS)

lint: ## formatting, clippy, dependency edges, purity, tidiness
	@xtask/install.sh build
	cargo run --quiet -p xtask -- lint $(ARGS)

bless: ## rewrite the expectations of planner cases and generated files
	@xtask/install.sh build
	cargo run --quiet -p xtask -- bless $(ARGS)
