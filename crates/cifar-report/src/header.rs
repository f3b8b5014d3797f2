use crate::canvas::Canvas;
use crate::rect::Rect;
use crate::text::Align;
use crate::theme::{MARGIN, ROW, SPACE, SUBTITLE, TITLE};

/// Height of the title's row.
const TITLE_ROW: u32 = 32;
/// A title may widen its picture up to here; beyond, it is shortened.
const MAX_WIDTH: u32 = 960;

/// The title block at the top left of every picture.
#[derive(Debug)]
pub(crate) struct Header<'a> {
    pub(crate) title: &'a str,
    /// A line of figures under the title; empty for none.
    pub(crate) subtitle: String,
}

impl Header<'_> {
    /// The least width of the content below that leaves the title whole, unless it is very long.
    pub(crate) fn width(&self) -> u32 {
        TITLE.width_of(self.title).max(SUBTITLE.width_of(&self.subtitle)).min(MAX_WIDTH)
    }

    /// The first row below the header and the space that follows it.
    pub(crate) fn bottom(&self) -> u32 {
        MARGIN + TITLE_ROW + if self.subtitle.is_empty() { 0 } else { ROW } + SPACE
    }

    /// A sheet of that size with the header on it.
    pub(crate) fn sheet(&self, width: u32, height: u32) -> Canvas {
        let mut canvas = Canvas::new(self.title, width, height);
        let title = Rect::new(MARGIN, MARGIN, width - 2 * MARGIN, TITLE_ROW);
        canvas.text(title, self.title, Align::Start, TITLE);
        let subtitle = Rect { y: title.bottom(), height: ROW, ..title };
        canvas.text(subtitle, &self.subtitle, Align::Start, SUBTITLE);
        let top = self.bottom().min(height - MARGIN);
        canvas.begin_body(Rect { y: top, height: height - MARGIN - top, ..title });
        canvas
    }
}
