//! Whether something shall be removed: said on the command line, or asked on a terminal.

use std::io::{self, IsTerminal, Write};

use super::args::ConsentArgs;
use super::exit::Failure;

impl ConsentArgs {
    /// Whether to go on; asks `question` below `list`, what would be removed, if nobody has said so.
    pub fn is_given(&self, list: &str, question: &str) -> Result<bool, Failure> {
        if self.dry_run || self.yes {
            return Ok(self.yes);
        }
        if !io::stdin().is_terminal() {
            return Err(Failure::usage("nothing was removed: it was not confirmed")
                .with_hint("look at what would go with --dry-run, then add --yes"));
        }
        let _ = write!(io::stderr(), "{list}{question} [y/N] ");
        let mut answer = String::new();
        let read = io::stdin().read_line(&mut answer);
        read.map_err(|error| Failure::new(format!("the answer cannot be read: {error}")))?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }
}
