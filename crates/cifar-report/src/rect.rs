/// A rectangle of pixels: `x..x + width` times `y..y + height`, from the top left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rect {
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl Rect {
    pub(crate) fn new(x: u32, y: u32, width: u32, height: u32) -> Self {
        Self { x, y, width, height }
    }

    /// The first column to the right of it.
    pub(crate) fn right(self) -> u32 {
        self.x + self.width
    }

    /// The first row below it.
    pub(crate) fn bottom(self) -> u32 {
        self.y + self.height
    }
}
