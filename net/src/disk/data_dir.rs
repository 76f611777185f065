//! The data directory: made if missing, and locked so that no second process touches it.
//!
//! The lock belongs to an open file, so it goes with the process however that ends.
//!
//! The directory holds every row and every user's verifier: others may not look into it. One that exists
//! keeps the permissions its owner gave it.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Name of the lock file; a dot file, which the instance never sees.
const LOCK: &str = ".lock";
/// Permissions of the directories and files made: its owner's alone.
pub(super) const DIRECTORY_MODE: u32 = 0o700;
pub(super) const FILE_MODE: u32 = 0o600;

/// A data directory that this process owns.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    #[error("data directory {} is in use by another process", .0.display())]
    InUse(PathBuf),
    #[error("cannot use data directory {}: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl DataDir {
    /// Makes the directory if it is missing and locks it.
    pub fn lock(path: &Path) -> Result<DataDir, DataDirError> {
        let failed = |source| DataDirError::Io { path: path.to_owned(), source };
        make(path).map_err(failed)?;
        let path = path.canonicalize().map_err(failed)?;
        warn_if_open_to_others(&path);
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(FILE_MODE)
            .open(path.join(LOCK))
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(DataDir { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse(path)),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// The absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Makes the directory if it is missing. Those above it are not its own.
fn make(path: &Path) -> io::Result<()> {
    if let Some(above) = path.parent() {
        fs::create_dir_all(above)?;
    }
    match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        outcome => outcome,
    }
}

fn warn_if_open_to_others(path: &Path) {
    let Ok(metadata) = path.metadata() else { return };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & !DIRECTORY_MODE != 0 {
        let (directory, mode) = (path.display(), format!("{mode:o}"));
        tracing::warn!(%directory, mode, "others may look into the data directory; chmod it to 700");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_and_its_lock_are_its_owners_alone() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("deep/data");
        let _held = DataDir::lock(&path).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&path.join(LOCK)), 0o600);
    }

    #[test]
    fn a_directory_has_one_owner_at_a_time() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("deep/data");
        let first = DataDir::lock(&path).unwrap();
        assert!(matches!(DataDir::lock(&path), Err(DataDirError::InUse(_))));
        drop(first);
        assert!(DataDir::lock(&path).is_ok());
    }

    #[test]
    fn a_path_under_a_file_is_an_error_that_names_it() {
        let temporary = tempfile::NamedTempFile::new().unwrap();
        let error = DataDir::lock(&temporary.path().join("data")).unwrap_err();
        assert!(error.to_string().contains("/data: "), "{error}");
    }
}
