//! `iotlake completions` and `iotlake man`: made from the definition of the command line, so that they cannot lag.

use std::fs;

use clap::CommandFactory;
use clap_mangen::Man;

use super::args::{Arguments, CompletionsArgs, ManArgs};
use super::exit::{Exit, Outcome, output_failed, print};
use super::whole::cannot_write;

/// Prints completions.
pub fn completions(arguments: CompletionsArgs) -> Outcome {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "iotlake", &mut text);
    print(&String::from_utf8_lossy(&text))?;
    Ok(Exit::Done)
}

/// Prints the page of the whole program, or writes that and one page for each command to a folder.
pub fn man(arguments: ManArgs) -> Outcome {
    let command = Arguments::command();
    let Some(folder) = arguments.folder else {
        let mut page = Vec::new();
        Man::new(command).render(&mut page).map_err(output_failed)?;
        print(&String::from_utf8_lossy(&page))?;
        return Ok(Exit::Done);
    };
    let failed = |error| cannot_write(format!("man {}", folder.display()), &error);
    fs::create_dir_all(&folder).map_err(failed)?;
    clap_mangen::generate_to(command, &folder).map_err(failed)?;
    Ok(Exit::Done)
}
