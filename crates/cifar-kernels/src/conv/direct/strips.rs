//! Pictures as strips: all that one column of a window sees, side by side.
//!
//! A row of a window over a picture of three channels is nine values, which make five pairs with one value to
//! spare, or six pixel by pixel. The columns of a window one behind the other are a single run, of as few
//! pairs as its values need.

#![expect(unsafe_code, reason = "whole vectors through pointers; see the SAFETY comments")]

use super::picture::Weight;
use crate::conv::Conv2d;
use crate::element::Element;
use crate::isa::Isa;
use crate::simd::{Simd, per_isa};

/// Values that are put together at a time; from so many rows, and from so many values of each.
const CHOSEN: usize = 32;
const ROWS: usize = 3;
const OF_ROW: usize = 16;

/// Values behind those of an image, and behind the strips, that are read and written with the last ones.
pub(super) const BEHIND: usize = CHOSEN;

/// Strips of pictures whose values come in pairs: one for each column of the image with the zeros around it,
/// in each row of the result.
#[derive(Debug, Clone)]
pub(super) struct Strips {
    /// The values of one: the row of the window, the column from that of the strip, and the channel.
    values: Vec<(usize, usize, usize)>,
    /// Columns of the image with the zeros around it, and values of one of its rows.
    width: usize,
    row_len: usize,
    channels: usize,
    /// Whether the number of values is odd. What is left over in each strip, the first channel of the last
    /// row, then shares a pair with that of the next one.
    linked: bool,
    choice: Option<Choice>,
}

/// How strips of a few columns are put together at once.
#[derive(Debug, Clone, Copy)]
struct Choice {
    columns: usize,
    which: [u16; CHOSEN],
}

impl Strips {
    /// `None` where a value would be left over. `channels`: of one group.
    pub(super) fn new(conv: &Conv2d, channels: usize) -> Option<Self> {
        let (rows, last) = (conv.kernel_height, conv.kernel_height - 1);
        let linked = !(rows * channels).is_multiple_of(2);
        if linked && conv.kernel_width == 1 {
            return None;
        }
        let all = (0..rows * channels).map(|at| (at / channels, 0, at % channels));
        let mut values: Vec<_> = all.filter(|at| !linked || *at != (last, 0, 0)).collect();
        if linked {
            values.extend([(last, 1, 0), (last, 0, 0)]);
        }
        let width = conv.width + 2 * conv.padding;
        let choice = Choice::new(&values, channels);
        Some(Self { values, width, row_len: width * channels, channels, linked, choice })
    }

    /// Values of one.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// Values of those of one row of the result.
    pub(super) fn row_len(&self) -> usize {
        self.width * self.len()
    }

    /// The weights that the values of a window meet.
    pub(super) fn weights(&self, kernel_width: usize) -> Vec<Weight> {
        let of_strip = |first: usize| {
            self.values.iter().enumerate().filter_map(move |(at, &(row, next, channel))| {
                let column = first + next;
                let link = self.linked && at + 2 >= self.len();
                // Links between two columns of the window have the value of each that is neither its first
                // nor its last one twice, for half of its weight.
                let halved = link && column > 0 && column + 1 < kernel_width;
                let spare = link && first + 1 == kernel_width;
                let tap = row * kernel_width + column;
                (!spare).then_some(Weight { channel, tap, halved })
            })
        };
        (0..kernel_width).flat_map(of_strip).collect()
    }

    /// The strips of `n_rows` rows of the result, whose windows begin `step` values after one another, of an
    /// image from the first row that they see; behind both are [`BEHIND`] values.
    pub(super) fn cut<E: Element>(
        &self,
        isa: Isa,
        image: &[E],
        (n_rows, step): (usize, usize),
        strips: &mut [E],
    ) {
        let seen = self.values.last().map_or(0, |(row, ..)| (row + 1) * self.row_len);
        assert_eq!(size_of::<E>(), size_of::<u16>(), "strips: values that make no pairs");
        let last = n_rows.saturating_sub(1) * step;
        assert!(image.len() >= last + seen + BEHIND, "strips: too few values");
        assert!(strips.len() >= n_rows * self.row_len() + BEHIND, "strips: no room");
        match &self.choice {
            // SAFETY: by the assertions, with what is behind.
            Some(choice) => unsafe {
                choose::<E>(isa, self, choice, (image, n_rows, step), strips);
            },
            None => self.cut_singly(image, (n_rows, step), strips),
        }
    }

    /// [`Strips::cut`], value by value.
    fn cut_singly<E: Element>(
        &self,
        image: &[E],
        (n_rows, step): (usize, usize),
        strips: &mut [E],
    ) {
        for (at, strip) in strips.chunks_exact_mut(self.len()).take(n_rows * self.width).enumerate()
        {
            let first = at / self.width * step + at % self.width * self.channels;
            for (to, (row, next, channel)) in strip.iter_mut().zip(&self.values) {
                *to = image[first + row * self.row_len + next * self.channels + channel];
            }
        }
    }
}

impl Choice {
    /// `None` where not even one strip fits.
    fn new(values: &[(usize, usize, usize)], channels: usize) -> Option<Self> {
        let place = |at: usize| {
            let (row, next, channel) = values[at % values.len()];
            (row, (at / values.len() + next) * channels + channel)
        };
        let fits = |columns: usize| {
            let mut places = (0..columns * values.len()).map(place);
            columns * values.len() <= CHOSEN && places.all(|(row, at)| row < ROWS && at < OF_ROW)
        };
        let columns = (1..=CHOSEN).take_while(|columns| fits(*columns)).last()?;
        let mut which = [0; CHOSEN];
        for (at, which) in which.iter_mut().enumerate().take(columns * values.len()) {
            let (row, value) = place(at);
            *which = (row * OF_ROW + value) as u16;
        }
        Some(Self { columns, which })
    }
}

per_isa! {
    unsafe fn choose<E: Element>(
        strips: &Strips, choice: &Choice, image: (&[E], usize, usize), out: &mut [E],
    ) = choose_body
}

/// # Safety
/// `E` is of two bytes, `choice` that of `strips`. From `image` the rows that the windows see, for `out` those
/// strips, and [`BEHIND`] values behind both.
#[inline(always)]
unsafe fn choose_body<S: Simd, E: Element, const M: usize>(
    s: S,
    strips: &Strips,
    choice: &Choice,
    (image, n_rows, step): (&[E], usize, usize),
    out: &mut [E],
) {
    let (image, out) = (image.as_ptr().cast::<u16>(), out.as_mut_ptr().cast::<u16>());
    let last = strips.values.last().map_or(0, |(row, ..)| *row);
    let rows: [usize; ROWS] = std::array::from_fn(|row| row.min(last) * strips.row_len);
    let steps = (choice.columns * strips.channels, choice.columns * strips.len());
    let n_choices = strips.width.div_ceil(choice.columns);
    for row in 0..n_rows {
        // SAFETY: 16 values of each row from a column of the image, 32 from that column's strip: they end at most
        // [`BEHIND`] values behind both. Later columns and rows write over what is too much.
        unsafe {
            let (mut from, mut to) = (image.add(row * step), out.add(row * strips.row_len()));
            for _ in 0..n_choices {
                s.choose(rows.map(|row| from.add(row)), &choice.which, to);
                from = from.wrapping_add(steps.0);
                to = to.wrapping_add(steps.1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::bf16;
    use crate::test_values::{narrow, noise};

    /// Of one to four channels and windows of one to six rows, some of which do not fit into a choice.
    #[test]
    fn strips_at_once_are_those_value_by_value() {
        let mut n_chosen = 0;
        for (channels, (kernel_height, kernel_width), stride, padding) in [
            (3, (3, 3), 1, 1),
            (3, (3, 3), 2, 0),
            (3, (2, 2), 1, 1),
            (3, (1, 3), 1, 1),
            (1, (3, 2), 1, 0),
            (1, (5, 5), 2, 1),
            (4, (3, 1), 1, 1),
            (2, (4, 3), 1, 2),
            (3, (6, 3), 1, 1),
        ] {
            let conv = Conv2d {
                in_channels: channels,
                out_channels: 8,
                height: 9,
                width: 13,
                kernel_height,
                kernel_width,
                stride,
                padding,
                groups: 1,
            };
            let strips = Strips::new(&conv, channels).unwrap();
            n_chosen += usize::from(strips.choice.is_some());
            let rows = (2, stride * strips.row_len);
            let n_values = rows.1 + kernel_height * strips.row_len + BEHIND;
            let image = narrow::<bf16>(&noise(n_values, 1));
            let cut = |cut: &dyn Fn(&mut [bf16])| {
                let mut out = vec![bf16::NAN; 2 * strips.row_len() + BEHIND];
                cut(&mut out);
                out[..2 * strips.row_len()].to_vec()
            };
            let want = cut(&|out| strips.cut_singly(&image, rows, out));
            for isa in Isa::available() {
                let got = cut(&|out| strips.cut(isa, &image, rows, out));
                assert_eq!(got, want, "{isa} {conv:?}");
            }
        }
        assert_eq!(n_chosen, 6);
    }
}
