//! A file that has its name only once it is whole, and goes away otherwise.
//!
//! In comes the name that a file shall have; out comes one beside it to write to, which takes the name when it is kept
//! and is removed when it is not. What must stay true: whoever opens the name finds what was there before, or all of the
//! new file.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::exit::{Failure, reason};
use super::folder_of;

/// A file that is being written beside where it shall be.
#[derive(Debug)]
pub struct WholeFile {
    temporary: NamedTempFile,
    name: PathBuf,
}

impl WholeFile {
    /// Begins the file that shall be called `name`.
    pub fn begin(name: &Path) -> io::Result<WholeFile> {
        let prefix = format!(".{}.", name.file_name().unwrap_or_default().to_string_lossy());
        // The error itself: a name that nobody has typed, and that is another the next time, explains nothing.
        let mut cause = None;
        // It is no secret: as readable as any other file that is made.
        let make = |path: &Path| {
            let made = File::options().read(true).write(true).create_new(true).open(path);
            made.inspect_err(|error| cause = error.raw_os_error())
        };
        let made = tempfile::Builder::new().prefix(&prefix).suffix(".tmp").make_in(folder_of(name), make);
        let temporary = made.map_err(|error| cause.map_or(error, io::Error::from_raw_os_error))?;
        Ok(WholeFile { temporary, name: name.to_owned() })
    }

    /// Where its bytes go; to be flushed before it is kept.
    pub fn writer(&self) -> io::Result<BufWriter<File>> {
        Ok(BufWriter::new(self.temporary.as_file().try_clone()?))
    }

    /// Gives the file its name, in place of what may be there.
    pub fn keep(self) -> io::Result<()> {
        self.temporary.persist(&self.name).map(drop).map_err(|error| error.error)
    }
}

/// `place`, a path or a flag with one, could not be written.
pub fn cannot_write(place: impl Display, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::NotFound => {
            Failure::new(format!("{place}: its folder does not exist")).with_hint("make the folder first")
        }
        _ => Failure::new(format!("{place}: cannot be written: {}", reason(error))),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_has_its_name_once_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("out");
        fs::write(&name, "old").unwrap();
        let file = WholeFile::begin(&name).unwrap();
        let mut writer = file.writer().unwrap();
        writer.write_all(b"new").unwrap();
        writer.flush().unwrap();
        assert_eq!(fs::read(&name).unwrap(), b"old");
        file.keep().unwrap();
        assert_eq!(fs::read(&name).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_not_kept_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let file = WholeFile::begin(&folder.path().join("out")).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        drop(file);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn others_may_read_it_as_they_may_any_other_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (name, other) = (folder.path().join("out"), folder.path().join("other"));
        fs::write(&other, "").unwrap();
        WholeFile::begin(&name).unwrap().keep().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&name), mode(&other));
    }

    #[test]
    fn an_error_does_not_speak_of_the_temporary_name() {
        let folder = tempfile::tempdir().unwrap();
        let error = WholeFile::begin(&folder.path().join("none/out")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert_eq!(
            cannot_write("--output none/out", &error).as_json()["message"],
            "--output none/out: its folder does not exist"
        );
    }
}
