//! Pictures of data and results, drawn without system fonts, [web pages](html) of runs, [what speaks
//! for a prediction](explain), [event files](tensorboard) for TensorBoard, and [traces](trace) for
//! Perfetto.
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
pub mod explain;
mod explanation_page;
mod feature_map_page;
mod filters;
mod frame;
mod header;
pub mod html;
mod legend;
mod lr_range;
mod overlay;
mod picture_grid;
mod raster;
mod rect;
mod reliability;
mod run_curves;
mod save;
mod series;
mod svg;
pub mod tensorboard;
mod text;
mod theme;
pub mod trace;

#[cfg(test)]
mod probe;

pub use class_bars::class_bars;
pub use class_distribution::class_distribution;
pub use confusion_matrix::{CellText, confusion_matrix};
pub use curves::{EpochPoint, StepPoint, gradient_norm, learning_rate, training_history};
pub use drawing::{Drawing, Format};
pub use explanation_page::{ExplainedPicture, explanation_page};
pub use feature_map_page::feature_map_page;
pub use filters::first_layer_filters;
pub use image::RgbImage;
pub use lr_range::{LrMark, LrRangePoint, lr_range};
pub use overlay::{overlay, rgb_image};
pub use picture_grid::{Picture, Prediction, picture_grid, prediction_grid};
pub use reliability::reliability_diagram;
pub use run_curves::RunCurves;
pub use save::ReportError;
