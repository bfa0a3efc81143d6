# `just` is a convenience: each recipe is a thin name for a command or a script that CI runs too.

# List the recipes.
default:
    @just --list

# Start the server.
run *args:
    cargo run --release -- {{args}}

# Format, lints, documents: what must be clean before a commit.
check:
    .ci/check

# All tests; arguments go to `cargo test`.
test *args:
    .ci/test {{args}}

# Load and failure runs: `just bench --help` lists them.
bench *args:
    cargo run --release -p am-bench -- {{args}}

# Advisories, licences, bans and sources of every dependency.
audit:
    .ci/audit --advisories

# Do what the README says, as it stands there.
readme:
    .ci/readme

# Everything that CI runs.
ci:
    .ci/run
