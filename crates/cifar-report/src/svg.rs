//! A drawing as an SVG document. Text stays text: it is set in whatever monospaced font the viewer
//! has and stretched to the width it has in the pixel picture, so that nothing moves.

use std::fmt::{self, Display};
use std::io::{self, Write};

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use image::codecs::png::CompressionType;
use image::{Rgb, RgbImage};

use crate::drawing::{DASHES, Drawing, Mark, Path, Readings, write_png};
use crate::text::TextLine;
use crate::theme::{MARGIN, PAPER, css_variable};

const FONTS: &str = "'Noto Sans Mono', 'DejaVu Sans Mono', Menlo, Consolas, monospace";

/// How colours are written.
#[derive(Debug, Clone, Copy)]
enum Colours {
    /// As they are.
    Fixed,
    /// As variables of the page around, which knows whether it is light or dark.
    Themed,
}

pub(crate) fn write(drawing: &Drawing, out: &mut impl Write) -> io::Result<()> {
    let Drawing { title, width, height, marks, .. } = drawing;
    writeln!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-family="{FONTS}">"#
    )?;
    writeln!(out, "<title>{}</title>", Escaped(title))?;
    writeln!(out, r#"<rect width="{width}" height="{height}" fill="{}"/>"#, Hex(PAPER))?;
    for mark in marks {
        write_mark(mark, Colours::Fixed, out)?;
    }
    writeln!(out, "</svg>")
}

/// The body of the drawing as an element of a web page, which has its own words for the header. The
/// page sets size and font, and defines the variables of [`css_variable`]. Curves carry their
/// readings as `data-name`, `data-axes` and `data-values`, for the page's script.
pub(crate) fn write_inline(drawing: &Drawing, class: &str, out: &mut impl Write) -> io::Result<()> {
    let body = drawing.body;
    // Round ends and dots may reach a little over the edge.
    let (x, y) = (body.x - EDGE, body.y - EDGE);
    let (width, height) = (body.width + 2 * EDGE, body.height + 2 * EDGE);
    writeln!(
        out,
        r#"<svg class="{class}" viewBox="{x} {y} {width} {height}" role="img" aria-label="{}">"#,
        Escaped(&drawing.title)
    )?;
    for mark in &drawing.marks[drawing.n_header_marks..] {
        write_mark(mark, Colours::Themed, out)?;
    }
    writeln!(out, "</svg>")
}

/// How far over the body's edge an inline drawing is shown.
const EDGE: u32 = MARGIN / 16;

fn write_mark(mark: &Mark, colours: Colours, out: &mut impl Write) -> io::Result<()> {
    match mark {
        Mark::Fill { rect, colour } => writeln!(
            out,
            r#"<rect x="{}" y="{}" width="{}" height="{}" fill="{}" shape-rendering="crispEdges"/>"#,
            rect.x,
            rect.y,
            rect.width,
            rect.height,
            Paint(*colour, colours)
        ),
        Mark::Path(path) => write_path(path, colours, out),
        Mark::Dot { centre: (x, y), radius, colour } => {
            writeln!(
                out,
                r#"<circle cx="{x:.2}" cy="{y:.2}" r="{radius}" fill="{}"/>"#,
                Paint(*colour, colours)
            )
        }
        Mark::Text(line) if line.text.is_empty() => Ok(()),
        Mark::Text(line) => write_text(line, colours, out),
        Mark::Picture { x, y, scale, pixels } => write_picture(*x, *y, *scale, pixels, out),
    }
}

fn write_path(path: &Path, colours: Colours, out: &mut impl Write) -> io::Result<()> {
    write!(out, r#"<polyline fill="none" stroke="{}" "#, Paint(path.stroke.colour, colours))?;
    write!(
        out,
        r#"stroke-width="{}" stroke-linejoin="round" stroke-linecap="round""#,
        path.stroke.width
    )?;
    if path.stroke.dashed {
        write!(out, r#" stroke-dasharray="{} {}""#, DASHES[0], DASHES[1])?;
    }
    write!(out, r#" points=""#)?;
    for (index, (x, y)) in path.points.iter().enumerate() {
        let space = if index == 0 { "" } else { " " };
        write!(out, "{space}{x:.1},{y:.1}")?;
    }
    match (colours, &path.readings) {
        (Colours::Fixed, _) => {
            writeln!(out, r#""><title>{}</title></polyline>"#, Escaped(&path.name))
        }
        (Colours::Themed, None) => writeln!(out, r#""/>"#),
        (Colours::Themed, Some(readings)) => write_readings(&path.name, readings, out),
    }
}

/// Ends the attribute before and the element.
fn write_readings(name: &str, readings: &Readings, out: &mut impl Write) -> io::Result<()> {
    let [x, y] = readings.axes;
    write!(
        out,
        r#"" data-name="{}" data-axes="{}|{}" data-values=""#,
        Escaped(name),
        Escaped(x),
        Escaped(y)
    )?;
    for (index, (x, y)) in readings.values.iter().enumerate() {
        let space = if index == 0 { "" } else { " " };
        write!(out, "{space}{x}:{}", five_digits(*y))?;
    }
    writeln!(out, r#""/>"#)
}

/// `value` rounded to five significant digits.
fn five_digits(value: f64) -> f64 {
    format!("{value:.4e}").parse().unwrap_or(value)
}

fn write_text(line: &TextLine, colours: Colours, out: &mut impl Write) -> io::Result<()> {
    let (x, y) = line.pixel(line.start, line.baseline());
    match line.upward {
        true => write!(out, r#"<text transform="translate({x} {y}) rotate(-90)""#)?,
        false => write!(out, r#"<text x="{x}" y="{y}""#)?,
    }
    let style = line.style;
    writeln!(
        out,
        r#" font-size="{:.1}" font-weight="{}" fill="{}" textLength="{}" lengthAdjust="spacingAndGlyphs">{}</text>"#,
        style.font_size(),
        style.css_weight(),
        Paint(style.colour, colours),
        style.width_of(&line.text),
        Escaped(&line.text)
    )
}

fn write_picture(
    x: u32,
    y: u32,
    scale: u32,
    pixels: &RgbImage,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut png = Vec::new();
    write_png(pixels, &mut png, CompressionType::Default)?;
    writeln!(
        out,
        r#"<image x="{x}" y="{y}" width="{}" height="{}" style="image-rendering:pixelated" href="data:image/png;base64,{}"/>"#,
        pixels.width() * scale,
        pixels.height() * scale,
        Base64Display::new(&png, &STANDARD)
    )
}

/// A colour as an attribute holds it.
struct Paint(Rgb<u8>, Colours);

impl Display for Paint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.1, css_variable(self.0)) {
            (Colours::Themed, Some(variable)) => write!(f, "var({variable})"),
            _ => write!(f, "{}", Hex(self.0)),
        }
    }
}

/// A colour as CSS writes it.
pub(crate) struct Hex(pub(crate) Rgb<u8>);

impl Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [r, g, b] = self.0.0;
        write!(f, "#{r:02x}{g:02x}{b:02x}")
    }
}

/// Text as XML holds it.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            // XML 1.0 has no way to write most control characters.
            c if c.is_control() => f.write_str(" "),
            c => write!(f, "{c}"),
        })
    }
}

#[cfg(test)]
mod tests;
