//! The ways through a convolution, in groups of any size, against its definition.

use cifar_kernels::conv::direct;
use proptest::prelude::*;

use super::*;
use crate::testing::{values, whole};

/// Images, filters and output gradient of small whole numbers, whose sums are exact.
#[derive(Debug)]
struct Problem {
    shape: ConvShape,
    n_filters: usize,
    x: Vec<f32>,
    weight: CpuStorage,
    dy: Vec<f32>,
}

impl Problem {
    fn new(shape: ConvShape, n_images: usize, n_filters: usize, seed: u32) -> Self {
        let whole = |len: usize, salt: u32| values(&whole(&[len], seed ^ salt));
        Self {
            shape,
            n_filters,
            x: whole(n_images * shape.image_len(), 0),
            weight: CpuStorage::F32(whole(n_filters * shape.patch_len(), 1)),
            dy: whole(n_images * n_filters * shape.out_len(), 2),
        }
    }

    fn weight(&self) -> &[f32] {
        self.weight.as_slice().unwrap()
    }

    fn filters(&self) -> Matrix<'_> {
        Matrix::new(&self.weight, 0, self.n_filters, self.shape.patch_len())
    }

    fn backward(&self) -> Backward<'_> {
        let (shape, x, dy) = (&self.shape, &self.x, &self.dy);
        Backward { shape, x, weight: self.weight(), filters: self.filters(), dy }
    }
}

fn problem(strides: std::ops::Range<usize>) -> impl Strategy<Value = Problem> {
    let shape = (1usize..4, [1usize..8, 1usize..8], [1usize..4, 1usize..4], strides, 0usize..3)
        .prop_map(|(channels, [height, width], [kernel_height, kernel_width], stride, padding)| {
            ConvShape { channels, height, width, kernel_height, kernel_width, stride, padding }
        })
        .prop_filter("no window fits", |shape| shape.out_len() > 0);
    (shape, 1usize..6, 1usize..4, any::<u32>()).prop_map(|(shape, n_images, n_filters, seed)| {
        Problem::new(shape, n_images, n_filters, seed)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn forward_in_groups_is_the_convolution(problem in problem(1..4), group in 1usize..6) {
        let y = forward::forward(&problem.x, problem.filters(), &problem.shape, group).unwrap();
        prop_assert_eq!(y, direct::forward(&problem.x, problem.weight(), &problem.shape));
    }

    #[test]
    fn both_ways_back_give_the_gradients(problem in problem(1..3), group in 1usize..6) {
        let dx = direct::backward_data(&problem.dy, problem.weight(), &problem.shape);
        let dweight = direct::backward_weight(&problem.x, &problem.dy, &problem.shape);
        let backward = problem.backward();
        for (wants_dx, wants_dweight) in [(true, true), (true, false), (false, true)] {
            let want = (wants_dx.then(|| dx.clone()), wants_dweight.then(|| dweight.clone()));
            let got = backward.by_patches_of_x(wants_dx, wants_dweight, group).unwrap();
            prop_assert_eq!(&got, &want);
            prop_assert_eq!(&backward.gradients(wants_dx, wants_dweight).unwrap(), &want);
            if let Some(back) = backward::transposed(&problem.shape, problem.n_filters)
                && wants_dx
            {
                let got = backward.by_patches_of_dy(&back, wants_dweight, group).unwrap();
                prop_assert_eq!(&got, &want);
            }
        }
    }
}

#[test]
fn a_convolution_of_stride_one_has_a_way_back_through_the_patches_of_dy() {
    let shape = |stride, padding| ConvShape {
        channels: 2,
        height: 5,
        width: 5,
        kernel_height: 3,
        kernel_width: 3,
        stride,
        padding,
    };
    assert_eq!(backward::transposed(&shape(1, 1), 3).map(|back| back.padding), Some(1));
    assert_eq!(backward::transposed(&shape(1, 0), 3).map(|back| back.padding), Some(2));
    assert_eq!(backward::transposed(&shape(1, 3), 3), None);
    assert_eq!(backward::transposed(&shape(2, 1), 3), None);
    assert_eq!(backward::transposed(&shape(1, 1), 5), None);
}

#[test]
fn an_input_that_is_no_variable_gets_no_gradient() {
    let weight = candle_core::Var::from_tensor(&whole(&[2, 3, 3, 3], 1)).unwrap();
    let x = whole(&[2, 3, 5, 5], 2);
    let op = Conv2d {
        shape: checked(&x, &weight, None, Conv2dParams { stride: 1, padding: 1 }).unwrap(),
    };
    let (dx, dweight) = op.gradients(&x, &weight, &whole(&[2, 2, 5, 5], 3)).unwrap();
    assert!(dx.is_none());
    assert_eq!(dweight.unwrap().dims(), weight.dims());
}

#[test]
fn a_pointwise_convolution_reads_operands_from_their_offsets() {
    let x = whole(&[4, 3, 5, 6], 1).narrow(0, 1, 2).unwrap();
    let weight = whole(&[7, 3, 1, 1], 2).narrow(0, 2, 4).unwrap();
    let params = Conv2dParams { stride: 1, padding: 0 };
    let y = conv2d(&x, &weight, None, params).unwrap();
    let shape = checked(&x, &weight, None, params).unwrap();
    assert!(is_pointwise(&shape));
    assert_eq!(y.dims(), [2, 4, 5, 6]);
    assert_eq!(values(&y), direct::forward(&values(&x), &values(&weight), &shape));
}
