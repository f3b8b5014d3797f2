//! Pictures of a batch mixed with one another.

use rand_distr::{Beta, Distribution};

use crate::batch::Mixed;
use crate::dataset::{IMAGE_LEN, PLANE_LEN, SIDE};
use crate::seed::DrawStream;
use crate::transform::Augmentation;

/// A way to mix two pictures, and how.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mix {
    /// `λ` times a picture and `1 − λ` times its partner.
    Up { own_share: f64 },
    /// Rows and columns of the partner in the place of the picture's.
    Cut { top: usize, bottom: usize, left: usize, right: usize },
}

impl Mix {
    /// What chance decides for a batch; `None` where nothing is mixed. Of two ways that are asked
    /// for, each has the same chance.
    fn draw(augmentation: &Augmentation, draws: &mut DrawStream) -> Option<Self> {
        let (cuts, alpha) = match (augmentation.mixup, augmentation.cutmix) {
            (None, None) => return None,
            (Some(alpha), None) => (false, alpha),
            (None, Some(alpha)) => (true, alpha),
            (Some(up), Some(cut)) => match draws.below(2) {
                0 => (false, up),
                _ => (true, cut),
            },
        };
        let beta = Beta::new(alpha, alpha).expect("the recipe's alpha was found to be positive");
        let own_share = beta.sample(draws);
        Some(if cuts { Self::cut(own_share, draws) } else { Self::Up { own_share } })
    }

    /// A box of the share `1 − λ` of the picture about any of its pixels, cut off at the edges.
    fn cut(own_share: f64, draws: &mut DrawStream) -> Self {
        let half = (0.5 * (1.0 - own_share).sqrt() * SIDE as f64) as usize;
        let mut span = || {
            let middle = draws.below(SIDE);
            (middle.saturating_sub(half), SIDE.min(middle + half))
        };
        let ((top, bottom), (left, right)) = (span(), span());
        Self::Cut { top, bottom, left, right }
    }

    /// How much of a picture is its own.
    fn own_share(self) -> f64 {
        match self {
            Self::Up { own_share } => own_share,
            Self::Cut { top, bottom, left, right } => {
                1.0 - ((bottom - top) * (right - left)) as f64 / PLANE_LEN as f64
            }
        }
    }

    /// Mixes `partner` into `picture`, `3 × 32 × 32` each.
    fn apply(self, picture: &mut [f32], partner: &[f32]) {
        match self {
            Self::Up { own_share } => {
                let (own, other) = (own_share as f32, (1.0 - own_share) as f32);
                picture.iter_mut().zip(partner).for_each(|(v, p)| *v = *v * own + p * other);
            }
            Self::Cut { top, bottom, left, right } => {
                let planes = picture.chunks_exact_mut(PLANE_LEN);
                for (plane, partner) in planes.zip(partner.chunks_exact(PLANE_LEN)) {
                    for row in top..bottom {
                        let part = row * SIDE + left..row * SIDE + right;
                        plane[part.clone()].copy_from_slice(&partner[part]);
                    }
                }
            }
        }
    }
}

/// Mixes each picture of a batch, `N × 3 × 32 × 32`, with the one before it, the first with the
/// last, all in the same way; `None` where the augmentation mixes nothing.
///
/// As `torchvision.transforms.v2.MixUp` and `CutMix` do.
pub(crate) fn mix(
    augmentation: &Augmentation,
    mut draws: DrawStream,
    images: &mut [f32],
    labels: &[u32],
) -> Option<Mixed> {
    let mix = Mix::draw(augmentation, &mut draws)?;
    let last = images.len().checked_sub(IMAGE_LEN)?;
    let partner_of_first = images[last..].to_vec();
    // From the last on, so that each partner is still as it was.
    for start in (IMAGE_LEN..images.len()).step_by(IMAGE_LEN).rev() {
        let (before, from) = images.split_at_mut(start);
        mix.apply(&mut from[..IMAGE_LEN], &before[start - IMAGE_LEN..]);
    }
    mix.apply(&mut images[..IMAGE_LEN], &partner_of_first);
    let mut partners = labels.to_vec();
    partners.rotate_right(1);
    Some(Mixed { labels: partners, own_share: mix.own_share() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Purpose;
    use crate::transform::HorizontalFlip;

    const NONE: Augmentation = Augmentation {
        crop: None,
        horizontal_flip: HorizontalFlip::Never,
        cutout: None,
        mixup: None,
        cutmix: None,
    };

    /// Three pictures of one value each, mixed by the `index`-th draws.
    fn mixed(augmentation: &Augmentation, index: u64) -> (Vec<f32>, Option<Mixed>) {
        let mut images: Vec<f32> =
            [1.0, 2.0, 4.0].iter().flat_map(|&value| vec![value; IMAGE_LEN]).collect();
        let draws = DrawStream::new(3, Purpose::Mix, index);
        let mixed = mix(augmentation, draws, &mut images, &[5, 6, 7]);
        (images, mixed)
    }

    #[test]
    fn nothing_is_mixed_unasked() {
        let (images, mixed) = mixed(&NONE, 0);
        assert!(mixed.is_none() && images[..IMAGE_LEN] == [1.0; IMAGE_LEN]);
    }

    #[test]
    fn mixup_is_the_weighted_mean_with_the_picture_before() {
        for index in 0..20 {
            let (images, mixed) = mixed(&Augmentation { mixup: Some(0.4), ..NONE }, index);
            let Mixed { labels, own_share } = mixed.unwrap();
            assert_eq!(labels, [7, 5, 6]);
            let values = [[1.0, 4.0], [2.0, 1.0], [4.0, 2.0]];
            for (picture, [own, partner]) in images.chunks_exact(IMAGE_LEN).zip(values) {
                let want = own * own_share + partner * (1.0 - own_share);
                assert!(picture.iter().all(|&v| (f64::from(v) - want).abs() < 1e-6), "{index}");
            }
        }
    }

    #[test]
    fn cutmix_pastes_a_box_of_the_stated_share() {
        let mut shares = Vec::new();
        for index in 0..20 {
            let (images, mixed) = mixed(&Augmentation { cutmix: Some(1.0), ..NONE }, index);
            let Mixed { labels, own_share } = mixed.unwrap();
            assert_eq!(labels, [7, 5, 6]);
            for (picture, [own, partner]) in
                images.chunks_exact(IMAGE_LEN).zip([[1.0, 4.0], [2.0, 1.0], [4.0, 2.0]])
            {
                let is_own = |plane: &[f32]| plane.iter().map(|&v| v == own).collect::<Vec<_>>();
                let planes: Vec<Vec<bool>> = picture.chunks_exact(PLANE_LEN).map(is_own).collect();
                assert!(
                    planes.iter().all(|plane| *plane == planes[0]),
                    "the same box in all planes"
                );
                let n_own = planes[0].iter().filter(|&&own| own).count();
                assert_eq!(n_own as f64 / PLANE_LEN as f64, own_share);
                assert!(picture.iter().all(|&v| v == own || v == partner));
                // The rows that hold the partner hold it in the same columns: a box.
                let rows: Vec<&[bool]> = planes[0].chunks_exact(SIDE).collect();
                let cut: Vec<_> = rows.iter().filter(|row| row.contains(&false)).collect();
                assert!(cut.windows(2).all(|pair| pair[0] == pair[1]));
            }
            shares.push(own_share);
        }
        assert!(shares.iter().any(|&share| share < 0.7) && shares.iter().any(|&share| share > 0.8));
    }

    #[test]
    fn of_two_ways_each_batch_takes_one() {
        let both = Augmentation { mixup: Some(1.0), cutmix: Some(1.0), ..NONE };
        let is_up = |index| {
            let mut draws = DrawStream::new(3, Purpose::Mix, index);
            matches!(Mix::draw(&both, &mut draws), Some(Mix::Up { .. }))
        };
        // 100 expected, standard deviation 7.
        assert!((65..136).contains(&(0..200).filter(|&index| is_up(index)).count()));
    }

    /// Beta(α, α) has mean 1/2 and variance 1 / (4 (2α + 1)).
    #[test]
    fn shares_follow_the_beta_distribution() {
        for alpha in [0.2, 1.0, 4.0] {
            let augmentation = Augmentation { mixup: Some(alpha), ..NONE };
            let shares: Vec<f64> = (0..4000)
                .map(|index| {
                    let mut draws = DrawStream::new(3, Purpose::Mix, index);
                    Mix::draw(&augmentation, &mut draws).unwrap().own_share()
                })
                .collect();
            let mean = shares.iter().sum::<f64>() / 4000.0;
            let variance = shares.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / 4000.0;
            let want = 1.0 / (4.0 * (2.0 * alpha + 1.0));
            assert!((mean - 0.5).abs() < 0.03, "{alpha}: mean {mean}");
            assert!((variance / want - 1.0).abs() < 0.1, "{alpha}: variance {variance}, {want}");
        }
    }
}
