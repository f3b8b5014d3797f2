//! Which pictures lie below a folder.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::ImageFolderError;

/// How the names of pictures end, in small letters.
pub const ENDINGS: [&str; 6] = ["png", "jpg", "jpeg", "webp", "bmp", "gif"];

/// What a folder and the folders in it hold.
#[derive(Debug, Default)]
pub struct Listing {
    /// The pictures by name: those of one folder together, folders and names in the order of their
    /// bytes.
    pub pictures: Vec<PathBuf>,
    /// Folders that were left out.
    pub problems: Vec<ImageFolderError>,
}

/// Lists the pictures below `folder`, without opening any. Links are followed; what begins with a
/// dot is left out.
pub fn list_pictures(folder: &Path) -> Listing {
    Walk::default().list(folder)
}

/// The folders directly in `folder`.
pub(super) fn folders_in(folder: &Path) -> Result<Vec<PathBuf>, ImageFolderError> {
    let visible = entries(folder)?.into_iter().filter(|path| !is_hidden(path));
    Ok(visible.filter(|path| path.is_dir()).collect())
}

pub(super) fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// Whether the name is that of a picture.
pub(super) fn is_picture(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known)))
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, ImageFolderError> {
    let unreadable = |source| ImageFolderError::Read { path: folder.to_owned(), source };
    fs::read_dir(folder)
        .map_err(unreadable)?
        .map(|entry| entry.map(|entry| entry.path()).map_err(unreadable))
        .collect()
}

/// A walk that enters no folder twice, so that links neither lead in circles nor multiply what they
/// lead to.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// The folders entered, without links, and the names they were entered by.
    entered: HashMap<PathBuf, PathBuf>,
}

impl Walk {
    /// What lies below `folder` and was not met before.
    pub(super) fn list(&mut self, folder: &Path) -> Listing {
        let mut listing = Listing::default();
        let mut waiting = vec![folder.to_owned()];
        while let Some(folder) = waiting.pop() {
            match self.enter(&folder) {
                Ok(found) => {
                    for path in found.into_iter().filter(|path| !is_hidden(path)) {
                        if path.is_dir() {
                            waiting.push(path);
                        } else if is_picture(&path) {
                            listing.pictures.push(path);
                        }
                    }
                }
                Err(problem) => listing.problems.push(problem),
            }
        }
        let bytes =
            |path: Option<&Path>| path.map(|path| path.as_os_str().as_encoded_bytes().to_vec());
        listing.pictures.sort_by_cached_key(|path| {
            (bytes(path.parent()), bytes(path.file_name().map(Path::new)))
        });
        listing.problems.sort_by_cached_key(ToString::to_string);
        listing
    }

    fn enter(&mut self, folder: &Path) -> Result<Vec<PathBuf>, ImageFolderError> {
        let unreadable = |source| ImageFolderError::Read { path: folder.to_owned(), source };
        let real = fs::canonicalize(folder).map_err(unreadable)?;
        if let Some(first) = self.entered.insert(real, folder.to_owned()) {
            return Err(ImageFolderError::Twice { path: folder.to_owned(), first });
        }
        entries(folder)
    }
}
