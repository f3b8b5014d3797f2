use std::io::{self, Write};

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ImageError, Rgb, RgbImage};

use crate::rect::Rect;
use crate::text::TextLine;
use crate::{raster, svg};

/// A finished picture as a list of marks, from which every format is made: the same shapes at the
/// same places in all of them.
#[derive(Debug, Clone)]
pub struct Drawing {
    pub(crate) title: String,
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// What lies below the header, without the margins.
    pub(crate) body: Rect,
    /// From the back to the front.
    pub(crate) marks: Vec<Mark>,
    /// How many of the marks, the first ones, are the header.
    pub(crate) n_header_marks: usize,
}

/// A file format of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Pixels; the text is drawn with a font of this crate.
    Png,
    /// Shapes; the text is text, in the viewer's monospaced font.
    Svg,
}

/// One thing drawn. Coordinates are in pixels from the top left; pixel `x` reaches from `x` to
/// `x + 1`.
#[derive(Debug, Clone)]
pub(crate) enum Mark {
    Fill {
        rect: Rect,
        colour: Rgb<u8>,
    },
    Path(Path),
    Dot {
        centre: Point,
        radius: f64,
        colour: Rgb<u8>,
    },
    Text(TextLine),
    /// A picture with its top left corner at `(x, y)`, every pixel as a square of `scale`.
    Picture {
        x: u32,
        y: u32,
        scale: u32,
        pixels: RgbImage,
    },
}

/// `(x, y)`.
pub(crate) type Point = (f64, f64);

/// Straight lines from point to point.
#[derive(Debug, Clone)]
pub(crate) struct Path {
    /// What it shows; an SVG viewer tells it under the pointer.
    pub(crate) name: String,
    pub(crate) points: Vec<Point>,
    pub(crate) stroke: Stroke,
    /// The figures behind the points; none where a path shows no data.
    pub(crate) readings: Option<Readings>,
}

/// What the points of a path stand for, one pair for each.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Readings {
    /// Titles of the two axes.
    pub(crate) axes: [&'static str; 2],
    pub(crate) values: Vec<Point>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Stroke {
    pub(crate) colour: Rgb<u8>,
    pub(crate) width: f64,
    pub(crate) dashed: bool,
}

/// Length of a dash and of the gap after it.
pub(crate) const DASHES: [f64; 2] = [6.0, 5.0];

impl Format {
    /// The usual ending of a file's name.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Svg => "svg",
        }
    }
}

impl Drawing {
    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The drawing as pixels.
    pub fn to_image(&self) -> RgbImage {
        raster::draw(self)
    }

    /// Writes the drawing as a file of `format`.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, format: Format, out: &mut impl Write) -> io::Result<()> {
        match format {
            Format::Png => write_png(&self.to_image(), out, CompressionType::Default),
            Format::Svg => svg::write(self, out),
        }
    }
}

pub(crate) fn write_png(
    image: &RgbImage,
    out: &mut impl Write,
    compression: CompressionType,
) -> io::Result<()> {
    let encoder = PngEncoder::new_with_quality(out, compression, FilterType::Adaptive);
    image.write_with_encoder(encoder).map_err(|error| match error {
        ImageError::IoError(error) => error,
        other => io::Error::other(other),
    })
}
