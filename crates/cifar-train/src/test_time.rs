//! Test-time augmentation: an image is judged by several views of it.

use cifar_data::{CHANNELS, SIDE};
use cifar_kernels::augment::{Border, CropFlip, ImageSize, crop_flip};
use serde::{Deserialize, Serialize};

const SIZE: ImageSize = ImageSize { channels: CHANNELS, height: SIDE, width: SIDE };

/// Which views of an image a network's answer is the mean of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TestTimeAugmentation {
    /// The image alone.
    None,
    /// The image and its mirror image.
    Mirror,
    /// Six views: the image, and the image moved by one pixel up and left and down and right, its
    /// edges reflected, each with its mirror image. The unmoved ones count twice (airbench94's
    /// `tta_level` 2).
    MirrorTranslate,
}

/// One of the views, and its share of the answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct View {
    /// Rows and columns by which the window moves.
    shift: i32,
    flip: bool,
    pub(crate) share: f32,
}

impl TestTimeAugmentation {
    /// As recipes name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Mirror => "mirror",
            Self::MirrorTranslate => "mirror-translate",
        }
    }

    /// All views; their shares add up to 1.
    pub(crate) fn views(self) -> Vec<View> {
        let shifts: &[(i32, f32)] = match self {
            Self::None => return vec![View { shift: 0, flip: false, share: 1.0 }],
            Self::Mirror => &[(0, 1.0)],
            Self::MirrorTranslate => &[(0, 0.5), (-1, 0.25), (1, 0.25)],
        };
        let both = |&(shift, share): &(i32, f32)| {
            [false, true].map(|flip| View { shift, flip, share: share / 2.0 })
        };
        shifts.iter().flat_map(both).collect()
    }
}

impl View {
    /// Whether nothing is moved or mirrored.
    pub(crate) fn is_the_image(self) -> bool {
        self.shift == 0 && !self.flip
    }

    /// Writes this view of `images`, `(N, 3, 32, 32)`, to `out`.
    pub(crate) fn of(self, images: &[f32], out: &mut Vec<f32>) {
        let Self { shift, flip, .. } = self;
        out.resize(images.len(), 0.0);
        let window = CropFlip { dy: shift, dx: shift, flip, border: Border::Reflect };
        let pairs = images.chunks_exact(SIZE.len()).zip(out.chunks_exact_mut(SIZE.len()));
        for (image, out) in pairs {
            crop_flip(image, SIZE, window, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_one_and_unmoved_views_count_twice() {
        use TestTimeAugmentation::{Mirror, MirrorTranslate, None};
        for (which, n_views) in [(None, 1), (Mirror, 2), (MirrorTranslate, 6)] {
            let views = which.views();
            assert_eq!(views.len(), n_views);
            assert_eq!(views.iter().map(|view| view.share).sum::<f32>(), 1.0);
        }
        let unmoved = |view: &&View| view.shift == 0;
        let views = MirrorTranslate.views();
        assert!(views.iter().filter(unmoved).all(|view| view.share == 0.25));
        assert!(views.iter().filter(|view| !unmoved(view)).all(|view| view.share == 0.125));
    }

    /// `F.pad(x, (1, 1, 1, 1), 'reflect')[:, :, 0:32, 0:32]` and `[..., 2:34, 2:34]`, flipped.
    #[test]
    fn views_are_windows_of_the_reflected_image() {
        let image: Vec<f32> = (0..SIZE.len()).map(|i| i as f32).collect();
        let at = |y: usize, x: usize| (y * SIDE + x) as f32;
        let mut seen = Vec::new();
        View { shift: -1, flip: false, share: 1.0 }.of(&image, &mut seen);
        assert_eq!((seen[0], seen[1], seen[SIDE]), (at(1, 1), at(1, 0), at(0, 1)));
        View { shift: 1, flip: true, share: 1.0 }.of(&image, &mut seen);
        assert_eq!((seen[0], seen[1], seen[31]), (at(1, 30), at(1, 31), at(1, 1)));
        assert_eq!(seen[31 * SIDE + 31], at(30, 1));
    }
}
