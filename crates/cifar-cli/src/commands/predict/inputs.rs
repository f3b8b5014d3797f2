//! Which files there are to predict, and what is known about them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::bail;
use cifar_data::ImageFolderError;
use cifar_data::image_folder::{Listing, list_pictures};

/// What standard input is called.
pub(super) const STANDARD_INPUT: &str = "standard input";

/// A picture to predict.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) path: PathBuf,
    pub(super) is_standard_input: bool,
    /// Its class, where it lies in a folder that is called like one.
    pub(super) truth: Option<u32>,
}

/// What the user named, with folders replaced by the pictures in them.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    pub(super) files: Vec<Input>,
    /// Folders that could not be looked into.
    pub(super) problems: Vec<(PathBuf, ImageFolderError)>,
    /// What the user should know about the folders.
    pub(super) notes: Vec<String>,
}

impl Inputs {
    /// Looks into the folders among `named`; the order stays.
    pub(super) fn find(named: &[PathBuf], class_names: &[String]) -> anyhow::Result<Self> {
        let mut inputs = Self::default();
        let is_dash = |path: &&PathBuf| path.as_os_str() == "-";
        if named.iter().filter(is_dash).count() > 1 {
            bail!("- is given more than once; standard input holds one picture");
        }
        for path in named {
            if path.is_dir() {
                inputs.add_folder(path, class_names);
            } else {
                let is_standard_input = is_dash(&path);
                let path =
                    if is_standard_input { PathBuf::from(STANDARD_INPUT) } else { path.clone() };
                inputs.files.push(Input { path, is_standard_input, truth: None });
            }
        }
        if inputs.files.is_empty() && inputs.problems.is_empty() {
            let named: Vec<String> = named.iter().map(|path| path.display().to_string()).collect();
            bail!(
                "no picture in {}; put PNG, JPEG, WebP, BMP or GIF files there, or name another folder",
                named.join(", ")
            );
        }
        Ok(inputs)
    }

    fn add_folder(&mut self, root: &Path, class_names: &[String]) {
        let Listing { pictures, problems } = list_pictures(root);
        // Pictures of one folder stand together, so that of the last one is mostly asked for.
        let class_of = |folder: &str| class_names.iter().position(|name| name == folder);
        let mut others = BTreeSet::new();
        let mut n_known = 0;
        for path in pictures {
            let truth = folder_below(root, &path).and_then(|folder| {
                let class = class_of(&folder);
                if class.is_none() {
                    others.insert(folder);
                }
                class.map(|class| class as u32)
            });
            n_known += usize::from(truth.is_some());
            self.files.push(Input { path, is_standard_input: false, truth });
        }
        self.notes.extend(note(root, &others, n_known > 0));
        self.problems.extend(problems.into_iter().map(|problem| (root.to_owned(), problem)));
    }
}

/// The folder directly in `root` through which `picture` is reached.
fn folder_below(root: &Path, picture: &Path) -> Option<String> {
    let mut parts = picture.strip_prefix(root).ok()?.iter();
    let (folder, _) = (parts.next()?, parts.next()?);
    Some(folder.to_string_lossy().into_owned())
}

/// What to say about folders that are called like no class.
fn note(root: &Path, others: &BTreeSet<String>, some_are_classes: bool) -> Option<String> {
    let (root, first) = (root.display(), others.first()?);
    Some(match (some_are_classes, others.len() - 1) {
        (true, 0) => format!("{root}: `{first}` is no class of the network; it has no accuracy"),
        (true, n) => {
            format!(
                "{root}: `{first}` and {n} more are no classes of the network; they have no accuracy"
            )
        }
        (false, _) => format!(
            "{root}: no folder is called like a class of the network, `{first}` for example; so there \
             is no accuracy"
        ),
    })
}
