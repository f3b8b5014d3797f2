//! Pictures of data and results, drawn without system fonts, and [event files](tensorboard) for
//! TensorBoard.
//!
//! Every drawing function returns an [`RgbImage`] of the size its content needs, in one look: the fonts,
//! colours and margins of one theme, a title at the top left, text that never overlaps and is
//! shortened with an ellipsis where it does not fit. [`save_png`] writes a picture so that a reader
//! never sees half a file.
//!
//! The font holds the printable ASCII characters and the ellipsis; any other character is drawn as
//! an empty box.
//!
//! ```
//! let names = ["cat", "dog"].map(String::from);
//! let picture = cifar_report::class_distribution("Training set", &names, &[300, 200]);
//! assert!(picture.width() > 0);
//! ```

mod canvas;
mod class_distribution;
mod confusion_matrix;
mod filters;
mod header;
mod picture_grid;
mod png;
mod rect;
pub mod tensorboard;
mod text;
mod theme;

#[cfg(test)]
mod probe;

pub use class_distribution::class_distribution;
pub use confusion_matrix::confusion_matrix;
pub use filters::first_layer_filters;
pub use image::RgbImage;
pub use picture_grid::{Picture, picture_grid};
pub use png::{ReportError, save_png};
