//! The command line of iotlake: what was typed goes in, work of the library and one exit code come out.
//!
//! Reads like a table of contents: each command is a file under `cli/` with its arguments turned into validated
//! settings at the door. Errors and hints are printed in one place, [`cli::exit`].

#![allow(unreachable_pub, reason = "a program offers nothing: `pub` is for its other modules")]

mod cli;

use std::process::ExitCode;

use clap::Parser;

use cli::args::{self, Arguments, CatalogCommand, Command};
use cli::exit::{self, Outcome};

fn main() -> ExitCode {
    exit::report_panics_as_bugs();
    let arguments = Arguments::parse_from(args::with_comments(std::env::args_os()));
    exit::guard(|| run(arguments.command))
}

fn run(command: Command) -> Outcome {
    match command {
        Command::Backfill(arguments) => cli::backfill::run(arguments),
        Command::Watch(arguments) => cli::watch::run(arguments),
        #[cfg(feature = "query")]
        Command::Query(arguments) => cli::query::run(arguments),
        #[cfg(feature = "query")]
        Command::Tables(arguments) => cli::tables::run(arguments),
        #[cfg(feature = "query")]
        Command::Files(arguments) => cli::files::run(arguments),
        #[cfg(feature = "query")]
        Command::Report(arguments) => cli::page::run(arguments),
        #[cfg(not(feature = "query"))]
        Command::Query(_) | Command::Tables(_) | Command::Files(_) | Command::Report(_) => cli::without_sql(),
        Command::Schema(arguments) => cli::schema::run(arguments),
        Command::Convert(arguments) => cli::convert::run(arguments),
        Command::Audit(arguments) => cli::audit::run(arguments),
        Command::Remove(arguments) => cli::remove::run(arguments),
        Command::Drop(arguments) => cli::remove::drop(arguments),
        Command::Clean(arguments) => cli::clean::run(arguments),
        Command::Compact(arguments) => cli::compact::run(arguments),
        Command::Catalog(CatalogCommand::Rebuild(arguments)) => cli::catalog::rebuild(arguments),
        Command::Completions(arguments) => cli::complete::completions(arguments),
        Command::Man(arguments) => cli::complete::man(arguments),
    }
}
