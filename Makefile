# What a developer types. `.ci/run` calls the same targets.

PYTHON ?= python3
CARGO ?= cargo
READERS := etl/tests/readers/requirements.txt
SERVERS := etl/tests/aws/requirements.txt

.PHONY: all test lint doc pure slow bench venv lambda lambda-test

all: test

## test: everything that has to hold before a change is handed in
test: venv lint pure doc
	$(CARGO) test --workspace --no-fail-fast

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

# With private items, for the readers of this documentation are those who change the code.
doc:
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" $(CARGO) doc --workspace --no-deps --lib --document-private-items

## pure: the core knows no I/O, and the library without features no SQL and no command line
pure:
	.ci/pure

## lambda: what is deployed, target/lambda/ingest-<architecture>.zip. The x86-64 one is linked against the glibc of Amazon
## Linux 2023, whatever this machine has; the arm64 one is made where the Rust toolchain has its target
lambda: .venv-aws/.complete
	PATH="$(CURDIR)/.venv-aws/bin:$$PATH" CARGO="$(CARGO)" .ci/lambda

## lambda-test: the zip for this machine, as a function in an account that is made of a stand-in for AWS. With the
## packages and features of the ordinary tests, so that nothing but the zip is compiled for it
lambda-test: lambda
	$(CARGO) test --workspace --test aws -- --ignored --nocapture the_zip_that_is_deployed an_object_of_128

## slow: proofs that need an optimised build and minutes. Without SQL, so that DataFusion is not compiled a second
## time; none of them asks a query
slow:
	$(CARGO) test --release -p iotlake --no-default-features --features cli --test memory -- --nocapture --test-threads 1

## bench: figures; see benches/README.md for how they were made
bench:
	$(CARGO) run --release -p iotlake-benches --bin approaches
	$(CARGO) run --release -p iotlake-benches --bin stages

## venv: what tests need in Python: readers of a lake, and the servers that stand in for AWS. Two environments, for they
## want different versions of PyArrow
venv: .venv/.complete .venv-aws/.complete

.venv/.complete: $(READERS)
.venv-aws/.complete: $(SERVERS)
.venv/.complete .venv-aws/.complete:
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	touch $@
