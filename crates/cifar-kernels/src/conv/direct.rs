//! Convolution as a product of what each pixel's window sees and the weights; what it sees is read
//! where it lies, run by run.

use rayon::prelude::*;

use super::{Conv2d, Epilogue, Pass};
use crate::buffer::with_scratch;
use crate::element::Element;
use crate::gemm::tile_rows;
use crate::isa::Isa;
use crate::layout::{channels_last, transpose};

mod filters;
mod part;
mod picture;
mod strips;
mod window;

use part::{PASS_PIXELS, Part};
use picture::Picture;
use window::Window;

/// Tasks for each thread that a batch is cut into at least.
const TASKS_OF_THREAD: usize = 4;

/// Pixels of a task, unless one image has more: those of several images' edges fill whole tiles.
const TASK_PIXELS: usize = 1024;

/// How a pass goes over images of one size: found once, for all batches.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pass: Pass,
    /// The convolution, or that which has the same input gradient.
    conv: Conv2d,
    product: Product,
    /// Channels of one group's result.
    columns: usize,
    /// Whether phases of the stride have no tap of the kernel: their pixels are set to 0, the others are multiplied.
    gaps: bool,
    /// Rows of the grid, and pixels that one image counts for in a task.
    rows: usize,
    pixels: usize,
    /// Values of the result for one row of the grid, and for an image.
    row_len: usize,
    out_len: usize,
    /// Values of an image.
    in_len: usize,
}

#[derive(Debug, Clone)]
enum Product {
    Picture(Box<Picture>),
    /// The phases of the stride, each a product of its own; one in the forward pass.
    Parts(Vec<Part>),
}

impl Plan {
    pub(super) fn new<E: Element>(isa: Isa, conv: &Conv2d, pass: Pass) -> Self {
        match pass {
            Pass::Forward => Self::forward::<E>(isa, *conv),
            Pass::InputGradient => Self::input_gradient::<E>(isa, of_input_gradient(conv)),
        }
    }

    fn forward<E: Element>(isa: Isa, conv: Conv2d) -> Self {
        let (rows, row_len) = (conv.out_height(), conv.out_width() * conv.out_channels);
        let columns = conv.of_one_group().out_channels;
        let target = |row: usize, column: usize| row * row_len + column * conv.out_channels;
        let pixels = rows * conv.out_width();
        let product = match Picture::new::<E>(isa, &conv) {
            Some(picture) => Product::Picture(Box::new(picture)),
            None => {
                let window = (Window::forward(&conv), images_of(TASK_PIXELS, pixels));
                let result = (columns, conv.out_len());
                Product::Parts(vec![Part::new::<E>(isa, &conv, window, result, target)])
            }
        };
        Self {
            pass: Pass::Forward,
            conv,
            product,
            columns,
            gaps: false,
            rows,
            pixels,
            row_len,
            out_len: conv.out_len(),
            in_len: conv.in_len(),
        }
    }

    fn input_gradient<E: Element>(isa: Isa, conv: Conv2d) -> Self {
        let Conv2d { in_channels: c, width, stride: s, .. } = conv;
        let columns = conv.of_one_group().in_channels;
        let rows = conv.height.div_ceil(s);
        let phases = (0..s * s).map(|phase| (phase / s, phase % s));
        // At least one of them has a tap, so there are weights to be packed.
        let windows: Vec<_> = phases
            .map(|phase| (phase, Window::input_gradient(&conv, phase)))
            .filter(|(_, window)| window.depth::<E>() > 0)
            .collect();
        let gaps = windows.len() < s * s;
        // All of an image is near by when its gaps have been written.
        let pixels = if gaps { conv.height * width } else { rows * width.div_ceil(s) };
        let images = images_of(TASK_PIXELS, pixels);
        let part = |((y0, x0), window)| {
            let target = |row: usize, column: usize| ((y0 + row * s) * width + x0 + column * s) * c;
            Part::new::<E>(isa, &conv, (window, images), (columns, conv.in_len()), target)
        };
        let parts = windows.into_iter().map(part).collect();
        Self {
            pass: Pass::InputGradient,
            conv,
            product: Product::Parts(parts),
            columns,
            gaps,
            rows,
            pixels,
            row_len: s * width * c,
            out_len: conv.in_len(),
            in_len: conv.out_len(),
        }
    }

    /// Factors of the packed weights.
    pub(super) fn packed_len(&self, isa: Isa) -> usize {
        let of_group = match &self.product {
            Product::Picture(picture) => picture.packed_len(isa),
            Product::Parts(parts) => parts.iter().map(|part| part.packed_len(isa)).sum(),
        };
        self.conv.groups * of_group
    }

    /// Packs the weights of each group as one matrix for each part: `(taps·C, K)`, for the gradient
    /// `(taps·K, C)`, with the first of both in whole factors; or as the windows of a picture want them.
    pub(super) fn pack<E: Element>(
        &self,
        isa: Isa,
        conv: &Conv2d,
        weight: &[f32],
        packed: &mut [E::Factor],
    ) {
        let (one, n_taps) = (conv.of_one_group(), self.conv.n_taps());
        let groups = packed.chunks_exact_mut(packed.len() / conv.groups);
        for (weight, packed) in weight.chunks_exact(one.weight_len()).zip(groups) {
            with_scratch(weight.len(), |rows: &mut [E]| {
                let (c, taps) = (one.in_channels, one.n_taps());
                match self.pass {
                    Pass::Forward => transpose(weight, (one.out_channels, c * taps), rows),
                    Pass::InputGradient => channels_last(weight, c, taps, rows),
                }
                let parts = match &self.product {
                    Product::Picture(picture) => return picture.pack(isa, rows, packed),
                    Product::Parts(parts) => parts,
                };
                let mut rest = packed;
                for part in parts {
                    let (packed, after) = rest.split_at_mut(part.packed_len(isa));
                    part.pack(isa, n_taps, rows, packed);
                    rest = after;
                }
            });
        }
    }

    /// `x`, `(N, H, W, C)`, to `y`, `(N, OH, OW, K)`; for the gradient `dy` to `dx`.
    pub(super) fn run<E: Element>(
        &self,
        isa: Isa,
        packed: &[E::Factor],
        images: &[E],
        epilogue: Epilogue<'_>,
        out: &mut [E],
    ) {
        let n_images = out.len() / self.out_len;
        let fit = |pixels: usize| images_of(pixels, self.pixels);
        let n_tasks = TASKS_OF_THREAD * rayon::current_num_threads();
        let at_a_time = n_images.div_ceil(n_tasks).clamp(fit(PASS_PIXELS), fit(TASK_PIXELS));
        // Pixels at a corner of an image are multiplied together, as many as there are images: whole tiles.
        let tile = tile_rows(isa);
        let at_a_time = if at_a_time < tile { at_a_time } else { at_a_time / tile * tile };
        // Bands of rows where there are few images.
        let bands = if at_a_time == 1 { n_tasks.div_ceil(n_images).min(self.rows) } else { 1 };
        let band = self.rows.div_ceil(bands);
        let tasks = out.par_chunks_mut(at_a_time * self.out_len);
        // Each by itself, so that no thread waits long for the last ones of another.
        let tasks = tasks.zip(images.par_chunks(at_a_time * self.in_len)).with_max_len(1);
        tasks.for_each(|(out, images)| {
            let len = if bands > 1 { band * self.row_len } else { out.len() };
            out.par_chunks_mut(len).enumerate().for_each(|(at, out)| {
                // Nothing else is done to them: an input gradient has no bias and no ReLU.
                if self.gaps && !epilogue.accumulate {
                    out.fill(E::default());
                }
                let rows = at * band..(at + 1) * band;
                let groups = packed.chunks_exact(packed.len() / self.conv.groups);
                for (group, packed) in groups.enumerate() {
                    let first = group * self.columns;
                    let bias = epilogue.bias.map(|bias| &bias[first..][..self.columns]);
                    let epilogue = Epilogue { bias, ..epilogue };
                    let (out, images) = (&mut out[first..], (images, group));
                    let parts = match &self.product {
                        Product::Picture(picture) => {
                            let out = (out, at * len);
                            picture.multiply(isa, images, &rows, packed, epilogue, out);
                            continue;
                        }
                        Product::Parts(parts) => parts,
                    };
                    let mut rest = packed;
                    for part in parts {
                        let (packed, after) = rest.split_at(part.packed_len(isa));
                        let out = (&mut *out, at * len);
                        part.multiply(isa, images, &rows, packed, epilogue, out);
                        rest = after;
                    }
                }
            });
        });
    }
}

/// Images that have so many pixels together, each `of_one`; at least one.
fn images_of(pixels: usize, of_one: usize) -> usize {
    (pixels / of_one.max(1)).max(1)
}

/// The convolution whose input gradient it has: where the window is the whole image, that of one
/// pixel with as many channels as the image has values.
fn of_input_gradient(conv: &Conv2d) -> Conv2d {
    let whole = (conv.kernel_height, conv.kernel_width) == (conv.height, conv.width);
    if !whole || conv.padding > 0 || conv.groups > 1 {
        return *conv;
    }
    Conv2d {
        in_channels: conv.in_len(),
        height: 1,
        width: 1,
        kernel_height: 1,
        kernel_width: 1,
        stride: 1,
        ..*conv
    }
}
