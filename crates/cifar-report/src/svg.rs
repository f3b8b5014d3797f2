//! A drawing as an SVG document. Text stays text: it is set in whatever monospaced font the viewer
//! has and stretched to the width it has in the pixel picture, so that nothing moves.

use std::fmt::{self, Display};
use std::io::{self, Write};

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use image::codecs::png::CompressionType;
use image::{Rgb, RgbImage};

use crate::drawing::{DASHES, Drawing, Mark, Path, write_png};
use crate::text::TextLine;
use crate::theme::PAPER;

const FONTS: &str = "'Noto Sans Mono', 'DejaVu Sans Mono', Menlo, Consolas, monospace";

pub(crate) fn write(drawing: &Drawing, out: &mut impl Write) -> io::Result<()> {
    let Drawing { title, width, height, marks } = drawing;
    writeln!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-family="{FONTS}">"#
    )?;
    writeln!(out, "<title>{}</title>", Escaped(title))?;
    writeln!(out, r#"<rect width="{width}" height="{height}" fill="{}"/>"#, Hex(PAPER))?;
    for mark in marks {
        write_mark(mark, out)?;
    }
    writeln!(out, "</svg>")
}

fn write_mark(mark: &Mark, out: &mut impl Write) -> io::Result<()> {
    match mark {
        Mark::Fill { rect, colour } => writeln!(
            out,
            r#"<rect x="{}" y="{}" width="{}" height="{}" fill="{}" shape-rendering="crispEdges"/>"#,
            rect.x,
            rect.y,
            rect.width,
            rect.height,
            Hex(*colour)
        ),
        Mark::Path(path) => write_path(path, out),
        Mark::Dot { centre: (x, y), radius, colour } => {
            writeln!(
                out,
                r#"<circle cx="{x:.2}" cy="{y:.2}" r="{radius}" fill="{}"/>"#,
                Hex(*colour)
            )
        }
        Mark::Text(line) if line.text.is_empty() => Ok(()),
        Mark::Text(line) => write_text(line, out),
        Mark::Picture { x, y, scale, pixels } => write_picture(*x, *y, *scale, pixels, out),
    }
}

fn write_path(path: &Path, out: &mut impl Write) -> io::Result<()> {
    write!(out, r#"<polyline fill="none" stroke="{}" "#, Hex(path.stroke.colour))?;
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
    writeln!(out, r#""><title>{}</title></polyline>"#, Escaped(&path.name))
}

fn write_text(line: &TextLine, out: &mut impl Write) -> io::Result<()> {
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
        Hex(style.colour),
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

/// A colour as CSS writes it.
struct Hex(Rgb<u8>);

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
            // XML 1.0 has no way to write most control characters.
            c if c.is_control() => f.write_str(" "),
            c => write!(f, "{c}"),
        })
    }
}

#[cfg(test)]
mod tests;
