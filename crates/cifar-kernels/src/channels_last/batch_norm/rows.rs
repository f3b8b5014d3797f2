//! The loops over rows, a few vectors of channels at a time.

use super::Affine;
use crate::activation::curve::Curve;
use crate::element::Element;
use crate::simd::{Simd, in_blocks, load, per_isa, store};

per_isa! {
    pub(super) unsafe fn moments<E: Element>(x: &[E], means: &mut [f32], squares: &mut [f32]) = moments_body
}

/// Mean and sum of squared deviations of each channel.
///
/// # Safety
/// `x`: whole rows of as many values as `means` and `squares` have.
#[inline(always)]
unsafe fn moments_body<S: Simd, E: Element, const M: usize>(
    s: S,
    x: &[E],
    means: &mut [f32],
    squares: &mut [f32],
) {
    in_blocks!(s, means.len(), moments_of(x, means, squares));
}

/// # Safety
/// As for [`moments_body`]; `B` vectors of channels from `channel`.
#[inline(always)]
unsafe fn moments_of<S: Simd, E: Element, const B: usize>(
    s: S,
    channel: usize,
    x: &[E],
    means: &mut [f32],
    squares: &mut [f32],
) {
    let (c, n_rows) = (means.len(), x.len() / means.len());
    let share = s.splat(1.0 / n_rows as f32);
    let mut total = [s.splat(0.0); B];
    for row in 0..n_rows {
        // SAFETY: a row of `x`.
        let v = unsafe { load::<S, _, B>(s, x, row * c + channel) };
        for b in 0..B {
            total[b] = s.add(total[b], v[b]);
        }
    }
    // The mean but for its rounding; what is left of it is taken off below.
    let mut mean = total;
    for mean in &mut mean {
        *mean = s.mul(*mean, share);
    }
    let (mut rest, mut square) = ([s.splat(0.0); B], [s.splat(0.0); B]);
    for row in 0..n_rows {
        // SAFETY: a row of `x`.
        let v = unsafe { load::<S, _, B>(s, x, row * c + channel) };
        for b in 0..B {
            let v = s.sub(v[b], mean[b]);
            rest[b] = s.add(rest[b], v);
            square[b] = s.mul_add(v, v, square[b]);
        }
    }
    for b in 0..B {
        let left = s.mul(rest[b], share);
        square[b] = s.sub(square[b], s.mul(rest[b], left));
        mean[b] = s.add(mean[b], left);
    }
    // SAFETY: the channels of both.
    unsafe {
        store::<S, _, B>(s, means, channel, mean);
        store::<S, _, B>(s, squares, channel, square);
    }
}

per_isa! {
    pub(super) unsafe fn apply_rows<E: Element, C: Curve>(
        x: &[E], affine: Affine<'_>, residual: Option<&[E]>, y: &mut [E],
    ) = apply_rows_body
}

/// # Safety
/// `x`, `residual` and `y`: whole rows of as many values as `affine` has, all of one length.
#[inline(always)]
unsafe fn apply_rows_body<S: Simd, E: Element, C: Curve, const M: usize>(
    s: S,
    x: &[E],
    affine: Affine<'_>,
    residual: Option<&[E]>,
    y: &mut [E],
) {
    let c = affine.mean.len();
    for row in (0..x.len()).step_by(c) {
        in_blocks!(s, c, apply_to::<C>(row, x, affine, residual, y));
    }
}

/// # Safety
/// As for [`apply_rows_body`]; `B` vectors of channels from `channel` of the row at `row`.
#[inline(always)]
unsafe fn apply_to<S: Simd, E: Element, C: Curve, const B: usize>(
    s: S,
    channel: usize,
    row: usize,
    x: &[E],
    affine: Affine<'_>,
    residual: Option<&[E]>,
    y: &mut [E],
) {
    // SAFETY: the channels of a row.
    unsafe {
        let mut v = summed::<S, _, B>(s, channel, row, x, affine, residual);
        for v in &mut v {
            *v = C::value(s, *v);
        }
        store::<S, _, B>(s, y, row + channel, v);
    }
}

/// What the activation is applied to.
///
/// # Safety
/// As for [`apply_to`].
#[inline(always)]
unsafe fn summed<S: Simd, E: Element, const B: usize>(
    s: S,
    channel: usize,
    row: usize,
    x: &[E],
    affine: Affine<'_>,
    residual: Option<&[E]>,
) -> [S::V; B] {
    let at = row + channel;
    // SAFETY: the channels of a row.
    let mut v = unsafe { mapped::<S, B>(s, channel, load::<S, _, B>(s, x, at), affine) };
    if let Some(residual) = residual {
        // SAFETY: the channels of a row.
        let residual = unsafe { load::<S, _, B>(s, residual, at) };
        for b in 0..B {
            v[b] = s.add(v[b], residual[b]);
        }
    }
    v
}

/// The affine map. Both passes call this, so that the activation has the same argument in
/// both.
///
/// # Safety
/// `B` vectors of channels from `channel`.
#[inline(always)]
unsafe fn mapped<S: Simd, const B: usize>(
    s: S,
    channel: usize,
    mut v: [S::V; B],
    affine: Affine<'_>,
) -> [S::V; B] {
    // SAFETY: the caller's.
    let (mean, scale, bias) = unsafe {
        (
            load::<S, _, B>(s, affine.mean, channel),
            load::<S, _, B>(s, affine.scale, channel),
            load::<S, _, B>(s, affine.bias, channel),
        )
    };
    for b in 0..B {
        v[b] = s.mul_add(s.sub(v[b], mean[b]), scale[b], bias[b]);
    }
    v
}

per_isa! {
    pub(super) unsafe fn gradient_sums<E: Element, C: Curve>(
        x: &[E], dy: &[E], affine: Affine<'_>, sums: &mut [f32],
    ) = gradient_sums_body
}

/// `Σ dz` of each channel, then `Σ dz·(x − mean)`.
///
/// # Safety
/// `x`, `dy`: whole rows of as many values as `affine` has, of one length; `sums`: twice as many.
#[inline(always)]
unsafe fn gradient_sums_body<S: Simd, E: Element, C: Curve, const M: usize>(
    s: S,
    x: &[E],
    dy: &[E],
    affine: Affine<'_>,
    sums: &mut [f32],
) {
    in_blocks!(s, affine.mean.len(), gradient_sums_of::<C>(x, dy, affine, sums));
}

/// # Safety
/// As for [`gradient_sums_body`]; `B` vectors of channels from `channel`.
#[inline(always)]
unsafe fn gradient_sums_of<S: Simd, E: Element, C: Curve, const B: usize>(
    s: S,
    channel: usize,
    x: &[E],
    dy: &[E],
    affine: Affine<'_>,
    sums: &mut [f32],
) {
    let c = affine.mean.len();
    // SAFETY: the channels.
    let mean = unsafe { load::<S, _, B>(s, affine.mean, channel) };
    let (mut total, mut product) = ([s.splat(0.0); B], [s.splat(0.0); B]);
    for row in (0..x.len()).step_by(c) {
        // SAFETY: the channels of a row.
        let (v, mut dz) = unsafe {
            (load::<S, _, B>(s, x, row + channel), load::<S, _, B>(s, dy, row + channel))
        };
        // SAFETY: the channels.
        let z = unsafe { mapped::<S, B>(s, channel, v, affine) };
        for b in 0..B {
            dz[b] = C::gradient(s, z[b], dz[b]);
            total[b] = s.add(total[b], dz[b]);
            product[b] = s.mul_add(s.sub(v[b], mean[b]), dz[b], product[b]);
        }
    }
    // SAFETY: the channels of both.
    unsafe {
        store::<S, _, B>(s, sums, channel, total);
        store::<S, _, B>(s, sums, c + channel, product);
    }
}

per_isa! {
    pub(super) unsafe fn input_gradient_rows<E: Element, C: Curve>(
        x: &[E], dy: Option<&[E]>, affine: Affine<'_>, mean_dz: &[f32], slope: &[f32],
        dx: &mut [E],
    ) = input_gradient_rows_body
}

/// # Safety
/// `x`, `dy`, `dx`: whole rows of as many values as `affine`, `mean_dz` and `slope` have, all of
/// one length.
#[inline(always)]
unsafe fn input_gradient_rows_body<S: Simd, E: Element, C: Curve, const M: usize>(
    s: S,
    x: &[E],
    dy: Option<&[E]>,
    affine: Affine<'_>,
    mean_dz: &[f32],
    slope: &[f32],
    dx: &mut [E],
) {
    let c = affine.mean.len();
    for row in (0..x.len()).step_by(c) {
        in_blocks!(s, c, input_gradient_to::<C>(row, x, dy, affine, mean_dz, slope, dx));
    }
}

/// # Safety
/// As for [`input_gradient_rows_body`]; `B` vectors of channels from `channel` of the row at `row`.
#[expect(clippy::too_many_arguments, reason = "those of `input_gradient`, and where")]
#[inline(always)]
unsafe fn input_gradient_to<S: Simd, E: Element, C: Curve, const B: usize>(
    s: S,
    channel: usize,
    row: usize,
    x: &[E],
    dy: Option<&[E]>,
    affine: Affine<'_>,
    mean_dz: &[f32],
    slope: &[f32],
    dx: &mut [E],
) {
    let at = row + channel;
    // SAFETY: the channels, and those of a row.
    unsafe {
        let v = load::<S, _, B>(s, x, at);
        let mut dz = load::<S, _, B>(s, dy.unwrap_or(dx), at);
        let z = mapped::<S, B>(s, channel, v, affine);
        let (mean, scale) =
            (load::<S, _, B>(s, affine.mean, channel), load::<S, _, B>(s, affine.scale, channel));
        let (mean_dz, slope) =
            (load::<S, _, B>(s, mean_dz, channel), load::<S, _, B>(s, slope, channel));
        for b in 0..B {
            let along = s.mul(s.sub(v[b], mean[b]), slope[b]);
            let dz_b = C::gradient(s, z[b], dz[b]);
            dz[b] = s.mul(scale[b], s.sub(s.sub(dz_b, mean_dz[b]), along));
        }
        store::<S, _, B>(s, dx, at, dz);
    }
}

per_isa! {
    pub(super) unsafe fn activation_gradient_rows<E: Element, C: Curve>(
        x: &[E], affine: Affine<'_>, residual: &[E], dy: &mut [E],
    ) = activation_gradient_rows_body
}

/// # Safety
/// `x`, `residual` and `dy`: whole rows of as many values as `affine` has, all of one length.
#[inline(always)]
unsafe fn activation_gradient_rows_body<S: Simd, E: Element, C: Curve, const M: usize>(
    s: S,
    x: &[E],
    affine: Affine<'_>,
    residual: &[E],
    dy: &mut [E],
) {
    let c = affine.mean.len();
    for row in (0..x.len()).step_by(c) {
        in_blocks!(s, c, activation_gradient_to::<C>(row, x, affine, residual, dy));
    }
}

/// # Safety
/// As for [`activation_gradient_rows_body`]; `B` vectors of channels from `channel` of the row at
/// `row`.
#[inline(always)]
unsafe fn activation_gradient_to<S: Simd, E: Element, C: Curve, const B: usize>(
    s: S,
    channel: usize,
    row: usize,
    x: &[E],
    affine: Affine<'_>,
    residual: &[E],
    dy: &mut [E],
) {
    // SAFETY: the channels of a row.
    unsafe {
        let z = summed::<S, _, B>(s, channel, row, x, affine, Some(residual));
        let mut dz = load::<S, _, B>(s, dy, row + channel);
        for b in 0..B {
            dz[b] = C::gradient(s, z[b], dz[b]);
        }
        store::<S, _, B>(s, dy, row + channel, dz);
    }
}
