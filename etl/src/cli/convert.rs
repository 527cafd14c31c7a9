//! `iotlake convert`: one file of records to one Parquet file.
//!
//! In comes a file or an object, which is read twice, or a pipe, which can be read only once; out come a file of rows and,
//! if there are any, one of rejects. What must stay true: nothing that is read is written over, no Parquet goes to a
//! terminal, and a file has its name only once it is whole.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indicatif::ProgressBar;
use iotlake::convert::{self, Columns, ConvertError, ConvertOptions, Converted};
use iotlake::decode::OnDamage;
use iotlake::location::{LazyAws, Location};
use iotlake::plan::{self, Selection};
use iotlake::storage::Storage;
use iotlake_flatten::{Compression, Contract, Limits, Schema};
use serde_json::json;

use super::args::{ConvertArgs, OnDamageWord, ReportArgs};
use super::exit::{Exit, Failure, Outcome, print, reason, warn};
use super::whole::{WholeFile, cannot_write};
use super::{cores, progress, read_contract, report, units};

/// What is meant.
struct Conversion {
    input: Input,
    output: Place,
    rejects: PathBuf,
    schema: Schema,
    /// Whether the contract was asked for, and so is complete for what can be read only once.
    is_complete: bool,
    compression: Compression,
    threads: usize,
    known_as: Option<String>,
    on_damage: OnDamage,
    print: ReportArgs,
}

enum Input {
    Stdin,
    /// A pipe with a name.
    Pipe(PathBuf),
    File(PathBuf),
    Object(Arc<dyn Storage>, String),
}

enum Place {
    Stdout,
    File(PathBuf),
}

/// Runs the command.
pub fn run(arguments: ConvertArgs) -> Outcome {
    let settings = Conversion::of(arguments)?;
    cores::use_threads(settings.threads);
    let source_name = settings.source_name()?;
    let convert = ConvertOptions {
        source: &source_name,
        compression: settings.compression,
        threads: settings.threads,
        output_limit: u64::MAX,
        limits: Limits::default(),
    };
    let bar = progress::of_one_file(settings.input.bytes_to_read(), settings.print.quiet);
    let columns = match &settings.input {
        Input::Stdin | Input::Pipe(_) if settings.is_complete => Columns::declared(settings.schema.clone()),
        Input::Stdin | Input::Pipe(_) => Columns::of_first_part(settings.schema.clone()),
        input => settings.discover(input, &convert, &bar)?,
    };
    let source = bar.wrap_read(settings.input.open()?);
    let mut rejects = None;
    let open_rejects = || rejects.insert(WholeFile::begin(&settings.rejects)?).writer();
    let converted = match &settings.output {
        Place::Stdout => convert::convert(source, columns, &convert, io::stdout(), open_rejects),
        Place::File(path) => {
            let failed = |error: io::Error| cannot_write(path.display(), &error);
            let out = WholeFile::begin(path).map_err(failed)?;
            let writer = out.writer().map_err(failed)?;
            let converted = convert::convert(source, columns, &convert, writer, open_rejects);
            let converted = converted.map_err(failure)?;
            out.keep().map_err(failed)?;
            Ok(converted)
        }
    };
    let converted = converted.map_err(failure)?;
    let has_rejects = rejects.is_some();
    if let Some(rejects) = rejects {
        rejects.keep().map_err(|error| cannot_write(settings.rejects.display(), &error))?;
    }
    bar.finish_and_clear();
    settings.tell(&source_name, &converted)?;
    Ok(if has_rejects { Exit::Rejects } else { Exit::Done })
}

impl Conversion {
    fn of(arguments: ConvertArgs) -> Result<Conversion, Failure> {
        let ConvertArgs {
            input,
            output,
            contract,
            compression,
            threads,
            rejects,
            known_as,
            on_damage,
            force,
            print,
        } = arguments;
        let Location::Local(output) = output else {
            return Err(Failure::usage(format!("OUT {output}: only local files are written"))
                .with_hint("copy the file afterwards; `iotlake backfill` writes lakes on S3"));
        };
        let is_dash = |path: &Path| path.as_os_str() == "-";
        let rejects = match rejects {
            Some(path) if is_dash(&path) => {
                return Err(Failure::usage("--rejects -: rejected records cannot go to standard output")
                    .with_hint("name one, such as --rejects rejects.parquet"));
            }
            Some(path) => path,
            None if is_dash(&output) => {
                return Err(Failure::usage(
                    "OUT is standard output: rejected records need a file of their own",
                )
                .with_hint("name it with --rejects FILE"));
            }
            None => output.with_extension("rejects.parquet"),
        };
        let (_, threads) = cores::split_cores(Some(1), Some(threads), 1, cores::cores())?;
        let input = match input {
            Location::Local(path) if is_dash(&path) => Input::Stdin,
            Location::Local(path) if is_pipe(&path) => Input::Pipe(path),
            Location::Local(path) => Input::File(path),
            Location::S3(_) => Input::object(&input)?,
        };
        if on_damage == OnDamageWord::Reject && matches!(input, Input::Stdin | Input::Pipe(_)) {
            return Err(Failure::usage(
                "--on-damage reject: standard input and pipes can be read only once, and this reads twice",
            )
            .with_hint("save it to a file first"));
        }
        let output = if is_dash(&output) { Place::Stdout } else { Place::File(output) };
        if matches!(output, Place::Stdout) && io::stdout().is_terminal() {
            return Err(Failure::usage("OUT -: a terminal cannot show Parquet")
                .with_hint("name a file, or lead standard output to one"));
        }
        keep_apart(&input, contract.as_deref().map(Path::new), &output, &rejects)?;
        let outputs = [output.path(), &rejects];
        if let Some(there) = outputs.into_iter().find(|path| !force && !is_device(path) && path.exists()) {
            return Err(Failure::usage(format!("{}: already exists", there.display()))
                .with_hint("choose another name, or overwrite it with --force"));
        }
        Ok(Conversion {
            input,
            output,
            rejects,
            schema: Schema::new(match &contract {
                Some(name) => read_contract(name)?.contract,
                None => Contract::default(),
            }),
            is_complete: contract.is_some(),
            compression: compression.into(),
            threads,
            known_as,
            on_damage: on_damage.into(),
            print,
        })
    }

    /// The columns of what can be read twice. Of damage only this first reading tells.
    fn discover(
        &self,
        input: &Input,
        convert: &ConvertOptions<'_>,
        bar: &ProgressBar,
    ) -> Result<Columns, Failure> {
        let source = bar.wrap_read(input.open()?);
        let discovered = convert::discover(source, self.schema.clone(), None, convert);
        let damage = match discovered {
            Err(ConvertError::Damaged { damage, .. }) if self.on_damage == OnDamage::Reject => damage,
            columns => return columns.map_err(failure),
        };
        warn(&format!("{}: {damage}", convert.source), None);
        convert::discover(input.open()?, self.schema.clone(), Some(damage), convert).map_err(failure)
    }

    /// What `_source` says.
    fn source_name(&self) -> Result<String, Failure> {
        match (&self.known_as, &self.input) {
            (Some(uri), _) => Ok(uri.clone()),
            (None, Input::Stdin) => Ok("-".to_owned()),
            (None, Input::Object(storage, key)) => Ok(storage.uri(key)),
            (None, Input::Pipe(path)) => Ok(path.to_string_lossy().into_owned()),
            (None, Input::File(path)) => {
                let absolute = fs::canonicalize(path).map_err(|error| unreadable(path, &error))?;
                Ok(absolute.to_string_lossy().into_owned())
            }
        }
    }

    /// The accounts. Text goes to standard error, JSON too where standard output is the file.
    fn tell(&self, identity: &str, converted: &Converted) -> Result<(), Failure> {
        let Converted { counts, rejects_by_reason } = converted;
        if self.print.json {
            let report = json!({
                "source": identity,
                "counts": counts,
                "rejects_by_reason": rejects_by_reason,
                "rejects": (counts.rejected > 0).then(|| self.rejects.display().to_string()),
            });
            let text = format!("{report:#}\n");
            if matches!(self.output, Place::File(_)) {
                return print(&text);
            }
            let _ = io::stderr().write_all(text.as_bytes());
            return Ok(());
        }
        if self.print.quiet {
            return Ok(());
        }
        let mut text = format!("{}\n", report::balance(counts));
        if counts.rejected > 0 {
            let reasons = report::reasons(rejects_by_reason);
            text.push_str(&format!("rejected: {reasons}; they are in {}\n", self.rejects.display()));
        }
        if counts.ignored > 0 {
            text.push_str(&format!(
                "{} ignored, as the contract says\n",
                units::plural(counts.ignored, "value")
            ));
        }
        let _ = io::stderr().write_all(text.as_bytes());
        Ok(())
    }
}

impl Place {
    /// Where it can be looked at.
    fn path(&self) -> &Path {
        match self {
            Place::Stdout => Path::new(STDOUT),
            Place::File(path) => path,
        }
    }
}

const STDIN: &str = "/dev/stdin";
const STDOUT: &str = "/dev/stdout";

fn is_device(path: &Path) -> bool {
    path == Path::new(STDOUT)
}

/// Refuses to write over what is read, or the rows over the rejects, under whatever names.
fn keep_apart(input: &Input, contract: Option<&Path>, output: &Place, rejects: &Path) -> Result<(), Failure> {
    let read = match input {
        Input::Stdin => Some(Path::new(STDIN)),
        Input::File(path) => Some(path.as_path()),
        // Nothing is written where it lies.
        Input::Pipe(_) | Input::Object(..) => None,
    };
    let out = output.path();
    let read = read
        .into_iter()
        .flat_map(|read| [("IN", read, "OUT", out), ("IN", read, "the file of rejects", rejects)]);
    let declared = contract.into_iter().flat_map(|contract| {
        [("the contract", contract, "OUT", out), ("the contract", contract, "the file of rejects", rejects)]
    });
    let written = [("OUT", out, "the file of rejects", rejects)];
    match read.chain(declared).chain(written).find(|(_, path, _, other)| is_same_file(path, other)) {
        Some((name, _, other_name, other)) => {
            let message = format!("{}: {name} and {other_name} are one file", other.display());
            Err(Failure::usage(message).with_hint("choose another name; --force does not help here"))
        }
        None => Ok(()),
    }
}

/// Whether two names lead, or would lead, to one file: through links, through folders, or by another spelling.
fn is_same_file(a: &Path, b: &Path) -> bool {
    match (fs::metadata(a), fs::metadata(b)) {
        (Ok(of_a), Ok(of_b)) => of_a.is_file() && of_b.is_file() && is_same(a, b),
        (Err(_), Err(_)) => {
            let place = |path: &Path| {
                let folder = fs::canonicalize(super::folder_of(path)).ok()?;
                Some(folder.join(path.file_name()?))
            };
            place(a).is_some_and(|a| Some(a) == place(b))
        }
        // One is there, the other is not.
        _ => false,
    }
}

/// Whether two names of files that are there are of one: hard links too.
fn is_same(a: &Path, b: &Path) -> bool {
    #[cfg(unix)]
    let place = |path: &Path| {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino())).ok()
    };
    #[cfg(not(unix))]
    let place = |path: &Path| fs::canonicalize(path).ok();
    place(a).is_some_and(|a| Some(a) == place(b))
}

impl Input {
    /// The object that `location`, which is remote, names.
    fn object(location: &Location) -> Result<Input, Failure> {
        match plan::open(location, None, &LazyAws::default())? {
            (storage, Selection::Object(key)) => Ok(Input::Object(storage, key)),
            (_, Selection::Folder(_)) => Err(Failure::new(format!("{location}: no such object"))
                .with_hint("check bucket and key; a whole prefix is for `iotlake backfill`")),
        }
    }

    /// How many bytes are read of it in all, if that is known: a file is read twice.
    fn bytes_to_read(&self) -> Option<u64> {
        let size = match self {
            Input::Stdin | Input::Pipe(_) => return None,
            Input::File(path) => fs::metadata(path).ok()?.len(),
            Input::Object(storage, key) => storage.head(key).ok()??.size,
        };
        Some(2 * size)
    }

    /// Its bytes from the beginning.
    fn open(&self) -> Result<Box<dyn Read>, Failure> {
        Ok(match self {
            Input::Stdin => Box::new(io::stdin().lock()),
            Input::Pipe(path) => Box::new(File::open(path).map_err(|error| unreadable(path, &error))?),
            Input::File(path) => Box::new(open(path)?),
            Input::Object(storage, key) => storage.get(key)?.reader,
        })
    }
}

/// Whether a name leads to a pipe, as those that a shell makes of `<(...)` do.
fn is_pipe(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo())
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

fn open(path: &Path) -> Result<File, Failure> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
    if !is_file {
        return Err(Failure::new(format!("IN {}: is not a file", path.display()))
            .with_hint("`iotlake backfill` reads folders"));
    }
    Ok(file)
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let failure = Failure::new(format!("IN {}: {}", path.display(), reason(error)));
    match error.kind() {
        io::ErrorKind::NotFound => failure.with_hint("check the path; it is relative to the current folder"),
        io::ErrorKind::PermissionDenied => failure.with_hint("run as a user who may read it"),
        _ => failure,
    }
}

fn failure(error: convert::ConvertError) -> Failure {
    Failure::of(&error)
}
