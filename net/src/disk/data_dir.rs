//! The data directory: made if missing, and locked so that no second process touches it.
//!
//! The lock belongs to an open file, so it goes with the process however that ends.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Name of the lock file; a dot file, which the instance never sees.
const LOCK: &str = ".lock";

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
        fs::create_dir_all(path).map_err(failed)?;
        let path = path.canonicalize().map_err(failed)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
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

#[cfg(test)]
mod tests {
    use super::*;

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
