//! Pictures of data and results, drawn without system fonts, [web pages](html) of runs, and
//! [event files](tensorboard) for TensorBoard.
//!
//! Every drawing function returns a [`Drawing`] of the size its content needs, in one look: the fonts,
//! colours and margins of one theme, a title at the top left, text that never overlaps and is
//! shortened with an ellipsis where it does not fit. A drawing becomes a PNG or an SVG with the same
//! shapes at the same places; [`Drawing::save`] writes it so that a reader never sees half a file.
//!
//! In a PNG the font holds the printable ASCII characters and the ellipsis; any other character is drawn as
//! an empty box.
//!
//! ```
//! let names = ["cat", "dog"].map(String::from);
//! let picture = cifar_report::class_distribution("Training set", &names, &[300, 200]);
//! let mut svg = Vec::new();
//! picture.write(cifar_report::Format::Svg, &mut svg)?;
//! assert!(svg.starts_with(b"<svg"));
//! # Ok::<(), std::io::Error>(())
//! ```

mod axis;
mod canvas;
mod chart;
mod class_bars;
mod class_distribution;
mod confusion_matrix;
mod curves;
mod drawing;
mod filters;
mod frame;
mod header;
pub mod html;
mod legend;
mod overlay;
mod picture_grid;
mod raster;
mod rect;
mod reliability;
mod save;
mod series;
mod svg;
pub mod tensorboard;
mod text;
mod theme;

#[cfg(test)]
mod probe;

pub use class_bars::class_bars;
pub use class_distribution::class_distribution;
pub use confusion_matrix::{CellText, confusion_matrix};
pub use curves::{EpochPoint, StepPoint, gradient_norm, learning_rate, training_history};
pub use drawing::{Drawing, Format};
pub use filters::first_layer_filters;
pub use image::RgbImage;
pub use overlay::RunCurves;
pub use picture_grid::{Picture, Prediction, picture_grid, prediction_grid};
pub use reliability::reliability_diagram;
pub use save::ReportError;
