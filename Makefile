# What a developer types. `.ci/run` calls the same targets.

PYTHON ?= python3
CARGO ?= cargo
READERS := etl/tests/readers/requirements.txt

.PHONY: all test lint doc pure slow bench venv

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

## slow: proofs that need an optimised build and minutes. Without SQL, so that DataFusion is not compiled a second
## time; none of them asks a query
slow:
	$(CARGO) test --release -p iotlake --no-default-features --features cli --test memory -- --nocapture --test-threads 1

## bench: figures; see benches/README.md for how they were made
bench:
	$(CARGO) run --release -p iotlake-benches --bin approaches
	$(CARGO) run --release -p iotlake-benches --bin stages

## venv: the Python readers that the lake is read back with
venv: .venv/.complete

.venv/.complete: $(READERS)
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement $(READERS)
	touch $@
