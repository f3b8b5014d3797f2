use proptest::prelude::*;

use super::*;
use crate::element::bf16;
use crate::test_values::{narrow, noise, widen};

/// Relative distance in the L2 norm.
fn distance(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len());
    let square = |v: f32| f64::from(v) * f64::from(v);
    let apart: f64 = got.iter().zip(want).map(|(a, b)| square(a - b)).sum();
    let norm: f64 = want.iter().copied().map(square).sum();
    (apart / norm.max(1e-30)).sqrt()
}

/// Relative distances (L2) that are allowed: of results and their gradients, of the weights'.
type Bounds = (f64, f64);

/// Every pass of one convolution under every instruction set against the specification.
fn check<E: Element>(
    conv: Conv2d,
    n: usize,
    algorithm: Algorithm,
    (bound, weight_bound): Bounds,
) -> Result<(), String> {
    let values = |len, seed| widen(&narrow::<E>(&noise(len, seed)));
    let (x, dy) = (values(n * conv.in_len(), 1), values(n * conv.out_len(), 2));
    let (weight, bias) = (values(conv.weight_len(), 3), noise(conv.out_channels, 4));
    let (old_y, old_dx) = (values(dy.len(), 5), values(x.len(), 6));
    let (x_stored, dy_stored) = (narrow::<E>(&x), narrow::<E>(&dy));
    for isa in Isa::available() {
        for (accumulate, relu) in [(false, false), (true, true)] {
            let epilogue = Epilogue { accumulate, bias: Some(&bias), relu };
            let (mut want, mut got) = (old_y.clone(), narrow(&old_y));
            reference::forward(&conv, &weight, &x, epilogue, &mut want);
            isa.force(|| {
                let mut filters = Filters::new(conv, Pass::Forward, algorithm);
                filters.pack(&weight);
                forward(&filters, &x_stored, epilogue, &mut got);
            });
            near(&widen(&got), &want, bound, (isa, "forward", conv))?;

            let (mut want, mut got) = (old_dx.clone(), narrow(&old_dx));
            reference::input_gradient(&conv, &weight, &dy, accumulate, &mut want);
            isa.force(|| {
                let mut filters = Filters::new(conv, Pass::InputGradient, algorithm);
                filters.pack(&weight);
                input_gradient(&filters, &dy_stored, accumulate, &mut got);
            });
            near(&widen(&got), &want, bound, (isa, "input gradient", conv))?;
        }
        let (mut want, mut got) = (vec![9.0; weight.len()], vec![9.0; weight.len()]);
        reference::weight_gradient(&conv, &x, &dy, &mut want);
        isa.force(|| {
            let sums = WeightSums::new(conv, algorithm);
            weight_gradient(&sums, &x_stored, &dy_stored, &mut got);
        });
        near(&got, &want, weight_bound, (isa, "weight gradient", conv))?;
    }
    Ok(())
}

fn near(got: &[f32], want: &[f32], bound: f64, what: impl std::fmt::Debug) -> Result<(), String> {
    let apart = distance(got, want);
    if apart <= bound { Ok(()) } else { Err(format!("{what:?}: {apart:e} > {bound:e}")) }
}

fn square(
    channels: (usize, usize),
    side: usize,
    k: usize,
    stride: usize,
    padding: usize,
) -> Conv2d {
    Conv2d {
        in_channels: channels.0,
        out_channels: channels.1,
        height: side,
        width: side,
        kernel_height: k,
        kernel_width: k,
        stride,
        padding,
        groups: 1,
    }
}

/// For f32 and for bf16, whose results are rounded to 8 bits, while products are exact.
const DIRECT: [Bounds; 2] = [(1e-6, 1e-6), (4e-3, 1e-6)];
const WINOGRAD: [Bounds; 2] = [(1e-5, 1e-5), (1e-2, 1e-2)];

/// [`check`] for both types.
fn check_both(
    conv: Conv2d,
    n: usize,
    algorithm: Algorithm,
    bounds: [Bounds; 2],
) -> Result<(), String> {
    check::<f32>(conv, n, algorithm, bounds[0])?;
    check::<bf16>(conv, n, algorithm, bounds[1])
}

/// [`check_both`] of three images, and of two with three groups of such channels.
fn check_alone_and_in_groups(conv: Conv2d) {
    check_both(conv, 3, Algorithm::Direct, DIRECT).unwrap();
    let (in_channels, out_channels) = (3 * conv.in_channels, 3 * conv.out_channels);
    let conv = Conv2d { in_channels, out_channels, groups: 3, ..conv };
    check_both(conv, 2, Algorithm::Direct, DIRECT).unwrap();
}

proptest! {
    // A fifth of the usual number, which PROPTEST_CASES sets.
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.div_ceil(5)))]

    #[test]
    fn any_shape_directly(
        channels in (1usize..40, 1usize..40), sides in (1usize..11, 1usize..11),
        kernel in (1usize..5, 1usize..5), stride in 1usize..4, padding in 0usize..3, n in 1usize..4,
    ) {
        let conv = Conv2d {
            in_channels: channels.0, out_channels: channels.1, height: sides.0, width: sides.1,
            kernel_height: kernel.0, kernel_width: kernel.1, stride, padding, groups: 1,
        };
        prop_assume!(conv.out_len() > 0);
        check_both(conv, n, Algorithm::Direct, DIRECT).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn any_shape_in_groups(
        groups in 2usize..5, channels in (1usize..20, 1usize..20),
        sides in (1usize..11, 1usize..11), kernel in (1usize..5, 1usize..5), stride in 1usize..4,
        padding in 0usize..3, n in 1usize..4,
    ) {
        let conv = Conv2d {
            in_channels: groups * channels.0, out_channels: groups * channels.1,
            height: sides.0, width: sides.1, kernel_height: kernel.0, kernel_width: kernel.1,
            stride, padding, groups,
        };
        prop_assume!(conv.out_len() > 0);
        check_both(conv, n, Algorithm::Winograd, DIRECT).map_err(TestCaseError::fail)?;
    }

    /// Windows of one row or one column, strides larger than the window, more zeros than it is large.
    #[test]
    fn any_pictures(
        groups in 1usize..3, channels in (1usize..3, 1usize..70), sides in (1usize..14, 1usize..14),
        kernel in (1usize..6, 1usize..6), stride in 1usize..4, padding in 0usize..4, n in 1usize..4,
    ) {
        let conv = Conv2d {
            in_channels: groups * channels.0, out_channels: groups * channels.1,
            height: sides.0, width: sides.1, kernel_height: kernel.0, kernel_width: kernel.1, stride,
            padding, groups,
        };
        prop_assume!(conv.out_len() > 0);
        check_both(conv, n, Algorithm::Direct, DIRECT).map_err(TestCaseError::fail)?;
        let conv = Conv2d { in_channels: 3, groups: 1, ..conv };
        check_both(conv, n, Algorithm::Direct, DIRECT).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn any_depthwise_shape(
        channels in 2usize..150, sides in (1usize..11, 1usize..11),
        kernel in (1usize..5, 1usize..5), stride in 1usize..4, padding in 0usize..3, n in 1usize..4,
    ) {
        let conv = Conv2d {
            in_channels: channels, out_channels: channels, height: sides.0, width: sides.1,
            kernel_height: kernel.0, kernel_width: kernel.1, stride, padding, groups: channels,
        };
        prop_assume!(conv.out_len() > 0);
        check_both(conv, n, Algorithm::Direct, DIRECT).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn any_shape_by_winograd(
        channels in (1usize..9, 1usize..9), sides in (1usize..14, 1usize..14),
        padding in 0usize..3, n in 1usize..9,
    ) {
        let conv = Conv2d {
            in_channels: 8 + 8 * channels.0, out_channels: 8 + 8 * channels.1, height: sides.0,
            width: sides.1, kernel_height: 3, kernel_width: 3, stride: 1, padding, groups: 1,
        };
        prop_assume!(conv.out_len() > 0);
        prop_assert!(conv.winograd_applies());
        check_both(conv, n, Algorithm::Winograd, WINOGRAD).map_err(TestCaseError::fail)?;
    }
}

#[test]
fn the_layers_of_the_networks() {
    for (channels, side, k, stride, padding) in [
        ((3, 64), 32, 3, 1, 1),
        ((64, 64), 32, 3, 1, 1),
        ((64, 128), 32, 3, 2, 1),
        ((64, 128), 32, 1, 2, 0),
        ((256, 256), 8, 3, 1, 1),
        ((2048, 10), 1, 1, 1, 0),
    ] {
        let conv = square(channels, side, k, stride, padding);
        check_both(conv, 2, Algorithm::Fastest, WINOGRAD).unwrap();
    }
}

/// Of one and a half vectors, from an even number of factors a pixel and from an odd one; and of a picture
/// with more zeros around it than its windows are large.
#[test]
fn results_of_24_channels() {
    for (channels, side, k, stride, padding) in [
        ((24, 64), 15, 3, 1, 1),
        ((64, 24), 15, 3, 1, 1),
        ((3, 24), 32, 2, 1, 0),
        ((3, 56), 9, 3, 1, 1),
        ((4, 24), 7, 1, 2, 2),
    ] {
        let conv = square(channels, side, k, stride, padding);
        check_both(conv, 3, Algorithm::Direct, DIRECT).unwrap();
    }
}

/// To and from one to four channels, which are multiplied one by one: with whole vectors of values and values
/// left over, in groups, forward with windows of the whole image, and with results that lie apart.
#[test]
fn results_of_few_channels() {
    for (channels, side, k, stride, padding) in [
        ((64, 3), 9, 3, 1, 1),
        ((3, 64), 9, 3, 1, 1),
        ((40, 4), 7, 3, 2, 1),
        ((4, 40), 8, 3, 2, 1),
        ((33, 2), 6, 5, 1, 2),
        ((17, 1), 11, 1, 1, 0),
        ((1, 17), 5, 3, 1, 1),
        ((2, 33), 6, 3, 1, 1),
        // Long sums, of the forward pass.
        ((512, 2), 7, 7, 1, 0),
        ((3, 3), 8, 3, 1, 1),
        ((50, 2), 3, 3, 1, 0),
    ] {
        check_alone_and_in_groups(square(channels, side, k, stride, padding));
    }
}

/// Four vectors of results at a time with a last tile of fewer rows and columns that are left over, gradients
/// of two images and of a single one, and images of several steps.
#[test]
fn pictures_of_many_results() {
    for (channels, side) in [((3, 64), 9), ((3, 88), 9)] {
        check_both(square(channels, side, 3, 1, 1), 3, Algorithm::Direct, DIRECT).unwrap();
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let conv = square((3, 24), 40, 3, 1, 1);
    pool.install(|| check_both(conv, 4, Algorithm::Direct, DIRECT)).unwrap();
}

/// Pixels that no tap reaches; the last image is one such pixel, and its windows see the zeros around it.
#[test]
fn strides_that_pass_over_pixels() {
    for (channels, side, k, stride, padding) in [
        ((24, 40), 9, 1, 2, 0),
        ((130, 70), 8, 1, 2, 0),
        ((3, 5), 10, 1, 3, 0),
        ((3, 16), 9, 1, 2, 1),
        ((20, 20), 11, 2, 4, 1),
        // Gradients of several panels that stay row by row, of two images and of one.
        ((16, 128), 18, 1, 2, 0),
        ((16, 128), 9, 1, 1, 0),
        ((16, 16), 1, 1, 2, 1),
    ] {
        check_alone_and_in_groups(square(channels, side, k, stride, padding));
    }
}

/// More images than one task has: whole tiles of them, and fewer at the end.
#[test]
fn many_small_images() {
    for conv in [square((16, 16), 4, 3, 1, 1), square((16, 16), 4, 1, 2, 0)] {
        check_both(conv, 30, Algorithm::Direct, DIRECT).unwrap();
    }
}

/// A window that is the whole image has a way of its own, which groups do not take.
#[test]
fn windows_as_large_as_the_image() {
    for groups in [1, 2] {
        let conv = Conv2d { groups, ..square((6, 10), 4, 4, 1, 0) };
        check_both(conv, 3, Algorithm::Direct, DIRECT).unwrap();
    }
}

#[test]
fn winograd_takes_its_place_only_where_it_applies() {
    assert!(square((24, 64), 32, 3, 1, 1).winograd_applies());
    for conv in [
        square((8, 64), 32, 3, 1, 1),
        square((64, 10), 32, 3, 1, 1),
        square((64, 64), 32, 3, 2, 1),
        square((64, 64), 32, 1, 1, 0),
        Conv2d { groups: 2, ..square((64, 64), 32, 3, 1, 1) },
    ] {
        assert!(!conv.winograd_applies());
        let filters = Filters::<f32>::new(conv, Pass::Forward, Algorithm::Winograd);
        assert_eq!(filters.algorithm(), Algorithm::Direct, "asked for in vain");
    }
}

#[test]
fn the_fastest_is_chosen_by_shape_and_type() {
    fn chosen<E: Element>(conv: Conv2d) -> Algorithm {
        let filters = |pass| Filters::<E>::new(conv, pass, Algorithm::Fastest).algorithm();
        let [forward, back] = [Pass::Forward, Pass::InputGradient].map(filters);
        assert_eq!(forward, back);
        forward
    }
    use Algorithm::{Direct, Winograd};
    // Pairs of few channels are multiplied sooner than transformed.
    assert_eq!(chosen::<bf16>(square((24, 64), 31, 3, 1, 1)), Direct);
    assert_eq!(chosen::<f32>(square((24, 64), 31, 3, 1, 1)), Winograd);
    // The direct algorithm leaves out the zeros around, more than half of what these windows see.
    assert_eq!(chosen::<f32>(square((64, 64), 2, 3, 1, 1)), Direct);
    assert_eq!(chosen::<bf16>(square((64, 64), 2, 3, 1, 1)), Direct);
    assert_eq!(chosen::<f32>(square((64, 64), 4, 3, 1, 1)), Winograd);
    assert_eq!(chosen::<bf16>(square((64, 64), 4, 3, 1, 1)), Winograd);
}

/// NaN and infinity reach what depends on them, and nothing else.
#[test]
fn a_nan_travels() {
    fn travels<E: Element>(channels: (usize, usize)) {
        let (conv, k) = (square(channels, 6, 3, 1, 1), channels.1);
        let mut x = narrow::<E>(&noise(2 * conv.in_len(), 1));
        x[conv.in_len()] = E::from_f32(f32::NAN);
        for isa in Isa::available() {
            let mut y = vec![E::default(); 2 * conv.out_len()];
            isa.force(|| {
                let mut filters = Filters::new(conv, Pass::Forward, Algorithm::Direct);
                filters.pack(&noise(conv.weight_len(), 2));
                forward(&filters, &x, Epilogue { relu: true, ..Epilogue::default() }, &mut y);
            });
            for (at, y) in y.iter().enumerate() {
                let (image, row, column) = (at / conv.out_len(), at / (6 * k) % 6, at / k % 6);
                let met = image == 1 && row < 2 && column < 2;
                assert_eq!(y.to_f32().is_nan(), met, "{isa} {channels:?} at {at}");
            }
        }
    }
    for channels in [(16, 16), (17, 3), (33, 2)] {
        travels::<f32>(channels);
        travels::<bf16>(channels);
    }
}

/// Also where a window has a value twice, for half of the weight each, or reads next to it.
#[test]
fn infinity_in_a_picture_travels() {
    fn travels<E: Element>(conv: Conv2d, at: usize) {
        let mut x = widen(&narrow::<E>(&noise(conv.in_len(), 1)));
        x[at] = f32::INFINITY;
        let weight = widen(&narrow::<E>(&noise(conv.weight_len(), 2)));
        let mut want = vec![0.0; conv.out_len()];
        reference::forward(&conv, &weight, &x, Epilogue::default(), &mut want);
        for isa in Isa::available() {
            let mut got = vec![E::default(); conv.out_len()];
            isa.force(|| {
                let mut filters = Filters::new(conv, Pass::Forward, Algorithm::Direct);
                filters.pack(&weight);
                forward(&filters, &narrow(&x), Epilogue::default(), &mut got);
            });
            for (got, want) in widen(&got).into_iter().zip(&want) {
                let same = if want.is_finite() { got.is_finite() } else { got == *want };
                assert!(same, "{isa} {conv:?} {at}: {got} for {want}");
            }
        }
    }
    let shapes =
        [square((3, 8), 6, 3, 1, 1), square((1, 8), 6, 3, 2, 1), square((3, 3), 6, 3, 1, 1)];
    for conv in shapes {
        for at in 0..conv.in_len() {
            travels::<f32>(conv, at);
            travels::<bf16>(conv, at);
        }
    }
}

#[test]
fn no_images_give_nothing_and_a_zero_gradient() {
    for algorithm in [Algorithm::Direct, Algorithm::Winograd] {
        for conv in [square((16, 16), 6, 3, 1, 1), square((3, 64), 6, 3, 1, 1)] {
            let filters = Filters::<f32>::new(conv, Pass::Forward, algorithm);
            forward(&filters, &[], Epilogue::default(), &mut []);
            let mut dweight = vec![9.0; conv.weight_len()];
            let sums = WeightSums::<f32>::new(conv, algorithm);
            weight_gradient(&sums, &[], &[], &mut dweight);
            assert!(dweight.iter().all(|&value| value == 0.0));
        }
    }
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    fn run<E: Element>(n_threads: usize) -> Vec<u32> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| {
            let mut bits = Vec::new();
            for conv in [
                square((16, 32), 12, 3, 1, 1),
                square((3, 24), 12, 3, 2, 1),
                square((3, 64), 12, 3, 1, 1),
                square((16, 64), 12, 1, 2, 0),
                Conv2d { groups: 2, ..square((16, 64), 12, 1, 2, 0) },
                Conv2d { groups: 4, ..square((16, 32), 12, 3, 1, 1) },
                Conv2d { groups: 24, ..square((24, 24), 12, 3, 1, 1) },
            ] {
                let x = narrow::<E>(&noise(20 * conv.in_len(), 1));
                let dy = narrow::<E>(&noise(20 * conv.out_len(), 2));
                let (mut y, mut dx) = (dy.clone(), x.clone());
                let mut dweight = vec![0.0; conv.weight_len()];
                let weight = noise(conv.weight_len(), 3);
                let [mut there, mut back] = [Pass::Forward, Pass::InputGradient]
                    .map(|pass| Filters::new(conv, pass, Algorithm::Fastest));
                there.pack(&weight);
                back.pack(&weight);
                forward(&there, &x, Epilogue::default(), &mut y);
                input_gradient(&back, &dy, false, &mut dx);
                let sums = WeightSums::new(conv, Algorithm::Fastest);
                weight_gradient(&sums, &x, &dy, &mut dweight);
                let all = widen(&y).into_iter().chain(widen(&dx)).chain(dweight);
                bits.extend(all.map(f32::to_bits));
            }
            bits
        })
    }
    fn same<E: Element>() {
        let one = run::<E>(1);
        assert!(one == run::<E>(2) && one == run::<E>(5), "{}", E::NAME);
    }
    same::<f32>();
    same::<bf16>();
}
