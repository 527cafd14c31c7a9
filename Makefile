# What a developer types. `.ci/run` calls the same targets.

PYTHON ?= python3
CARGO ?= cargo
READERS := etl/tests/readers/requirements.txt
SERVERS := etl/tests/aws/requirements.txt
RIVALS := benches/rivals/requirements.txt
FUZZER := onboarding/tests/requirements.txt
CLIENT := onboarding/tests/api

# The functions that `make deployed` deploys: as the tests have compiled them, or ZIPS=target/lambda for those of a release.
ZIPS ?= target/test-lambda

.PHONY: all test format compile lint doc run-tests test-aws test-other pure package infra slow night simulate bench rivals growth slowest venv debian lambda lambda-test deployed command

all: test

## test: everything that has to hold before a change is handed in
test: venv debian format pure package compile lint doc run-tests

format:
	$(CARGO) fmt --all --check

## compile: all that is tested. The three below take it as it is, so that no dependency is compiled twice
compile:
	$(CARGO) test --workspace --no-run

# What `cargo clippy --workspace --all-targets -- -D warnings` says; see .ci/clippy.
lint:
	RUSTC_WORKSPACE_WRAPPER="$(CURDIR)/.ci/clippy" $(CARGO) test --workspace --no-run

# With private items, for the readers of this documentation are those who change the code; see .ci/rustdoc.
doc:
	RUSTDOC="$(CURDIR)/.ci/rustdoc" $(CARGO) test --workspace --doc

## run-tests: the tests alone; those that wait for servers beside those that compute
run-tests:
	$(MAKE) --jobs=2 --keep-going --output-sync=target test-aws test-other

test-aws: venv
	$(CARGO) test --workspace --no-fail-fast --test aws

test-other: venv debian
	$(CARGO) test --workspace --no-fail-fast --lib --bins --test it --test faults --test allocations --test simulate

## pure: the core knows no I/O, and the library without features no SQL and no command line
pure:
	.ci/pure

## package: the two libraries can be packaged. Nothing is compiled: that what is packaged builds is only tried by
## `cargo package`, which compiles every dependency for it
package:
	$(CARGO) package --quiet --allow-dirty --no-verify --package iotlake-flatten --package iotlake

## infra: what deploys everything else: types, format, and the tests of templates and commands
infra: .venv-aws/.complete .venv-infra/.complete
	cd infra && npm ci --no-audit --no-fund --loglevel=error && npm run lint && npm test

## lambda: what is deployed, target/lambda/{ingest,onboarding}-<architecture>.zip. Those for x86-64 are linked against the
## glibc of Amazon Linux 2023, whatever this machine has; those for arm64 are made where the Rust toolchain has the target
lambda: .venv-aws/.complete
	PATH="$(CURDIR)/.venv-aws/bin:$$PATH" CARGO="$(CARGO)" .ci/lambda

## lambda-test: the zips for this machine, as functions in an account that is made of a stand-in for AWS. With the
## packages and features of the ordinary tests, so that nothing but the zips is compiled for it
lambda-test: lambda venv debian
	$(CARGO) test --workspace --test aws -- --ignored --nocapture the_zip_that_is_deployed an_object_of_128
	cd target/lambda && $(CURDIR)/.venv/bin/python -m zipfile -e onboarding-$$(uname -m | sed s/aarch64/arm64/).zip onboarding && chmod +x onboarding/bootstrap
	BINARY_UNDER_TEST=$(CURDIR)/target/lambda/onboarding/bootstrap $(CARGO) test --workspace --test it -- --nocapture the_quickstarts_end_to_end calls_and_time_per_post

## deployed: the release's template and the functions, deployed to a stand-in for AWS: objects become rows, a device is
## onboarded and heard over mutual TLS, all of it is uninstalled and deployed again
deployed: venv debian
	test $(ZIPS) != target/test-lambda || { $(CARGO) test --workspace --no-run && .ci/zips $(ZIPS); }
	cd infra && npm ci --no-audit --no-fund --loglevel=error && IOTLAKE_ZIPS=$(abspath $(ZIPS)) npx jest test/local

## command: the command line as users install it, with the binary that the tests compiled: a wheel by pip and by uv, an
## archive by the installer script, each into an empty place and tried on the sample; PROFILE=release for what is released
PROFILE ?= dev
command: .venv-release/.complete
	.ci/command $(PROFILE)

## slow: proofs that need an optimised build and minutes. Without SQL, so that DataFusion is not compiled a second
## time; none of them asks a query
slow:
	$(CARGO) test --release -p iotlake --no-default-features --features cli --test memory -- --nocapture --test-threads 1

## simulate: schedules of writers, sweepers and readers of one lake; `make simulate SEEDS=1000000` for a night, and
## `make simulate SEED=17` for one, line by line
simulate:
	$(if $(SEED),SEED=$(SEED),SEEDS=$(or $(SEEDS),10000)) $(CARGO) test --workspace --test simulate -- --nocapture whatever

## night: what takes too long for every change: every call to the operating system and every request to S3 that a small run
## makes goes wrong once, in every way; the zips of a release, what is deployed made of them, and the proofs that need an
## optimised build
night: lambda-test
	$(CARGO) test --workspace --test faults -- --ignored --nocapture
	$(CARGO) test --workspace --test aws -- --ignored --nocapture every_request
	$(MAKE) deployed ZIPS=target/lambda
	$(MAKE) slow

## bench: figures; see benches/README.md for how they were made
bench:
	$(CARGO) run --profile figures -p iotlake-benches --bin approaches
	$(CARGO) run --profile figures -p iotlake-benches --bin stages

## rivals: iotlake beside DuckDB, Polars, Spark and arrow-json on the same work; ARGUMENTS="--bytes 500MB --rounds 3"
rivals: .venv-rivals/.complete
	$(CARGO) build --release -p iotlake --no-default-features --features cli
	$(CARGO) build --profile figures -p iotlake-fixtures -p iotlake-benches
	.venv-rivals/bin/python benches/rivals/rivals.py $(ARGUMENTS)

## growth: how cost grows with bytes, columns, objects, files, partitions and outputs; writes the charts of
## benches/README.md. ARGUMENTS="--only files --files 100000"
growth:
	$(CARGO) build --release -p iotlake --no-default-features --features cli,query
	$(CARGO) build --release -p iotlake-benches
	target/release/growth $(ARGUMENTS)

## slowest: a search for sources that cost more than their bytes, of so many seconds; fails if one costs ten times what the
## bytes of `ragged` do. Counts instructions with valgrind. BUDGET=3600
slowest:
	$(CARGO) build --profile figures -p iotlake-benches --bin slowest
	target/figures/slowest search $(or $(BUDGET),600) $(ARGUMENTS)

## venv: what tests need of Python and Node: readers of a lake, servers that stand in for AWS, and clients of the
## onboarding API. Environments of their own, for they want different versions of the same packages
venv: .venv/.complete .venv-aws/.complete .venv-api/.complete $(CLIENT)/node_modules/.complete

.venv/.complete: $(READERS)
.venv-aws/.complete: $(SERVERS)
.venv-api/.complete: $(FUZZER)
.venv-rivals/.complete: $(RIVALS)
.venv-infra/.complete: infra/requirements.txt
.venv-release/.complete: etl/release/requirements.txt
.venv/.complete .venv-aws/.complete .venv-api/.complete .venv-rivals/.complete .venv-infra/.complete .venv-release/.complete:
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

$(CLIENT)/node_modules/.complete: $(CLIENT)/package-lock.json
	cd $(CLIENT) && npm ci --no-audit --no-fund --silent
	touch $@

## debian: an MQTT broker and its client, where the machine has none and lets us install them
debian:
	command -v mosquitto && command -v mosquitto_pub || (apt-get update && apt-get install --yes mosquitto mosquitto-clients)
