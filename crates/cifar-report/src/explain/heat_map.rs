/// How much each place of an image matters, from 0 to 1.
///
/// Invariant: the largest value is 1, or all are 0.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatMap {
    height: usize,
    width: usize,
    values: Vec<f32>,
    peak: f32,
}

impl HeatMap {
    /// Cuts off what is negative and divides by the largest value; where nothing is positive, or
    /// `raw` holds a value that is not finite, the map is all 0. `raw`: `(H, W)`.
    ///
    /// # Panics
    /// If there are not `height * width` values.
    pub fn new(height: usize, width: usize, raw: Vec<f32>) -> Self {
        assert_eq!(raw.len(), height * width, "a map of {height}x{width}");
        let finite = raw.iter().all(|value| value.is_finite());
        let peak = if finite { raw.iter().copied().fold(0f32, f32::max) } else { 0.0 };
        let share = |value: f32| if peak > 0.0 { value.max(0.0) / peak } else { 0.0 };
        Self { height, width, values: raw.into_iter().map(share).collect(), peak }
    }

    /// `H`.
    pub fn height(&self) -> usize {
        self.height
    }

    /// `W`.
    pub fn width(&self) -> usize {
        self.width
    }

    /// `(H, W)`, each in `0..=1`.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The largest value before the division; 0 for a map that is all 0.
    pub fn peak(&self) -> f32 {
        self.peak
    }

    /// Whether no place matters.
    pub fn is_blank(&self) -> bool {
        self.peak <= 0.0
    }

    /// The value at pixel `(x, y)` of the map enlarged to `width` by `height` bilinearly, pixel
    /// centres on pixel centres (PyTorch's `interpolate(mode="bilinear", align_corners=False)`).
    pub(crate) fn at(&self, (x, y): (u32, u32), (width, height): (u32, u32)) -> f32 {
        let (left, right, across) = neighbours(x, width, self.width);
        let (top, bottom, down) = neighbours(y, height, self.height);
        let value = |row: usize, column: usize| self.values[row * self.width + column];
        let level = |row| value(row, left) + (value(row, right) - value(row, left)) * across;
        level(top) + (level(bottom) - level(top)) * down
    }
}

/// The two cells around pixel `at` of `n_pixels` that cover `n_cells`, and how far it lies from
/// the first towards the second.
fn neighbours(at: u32, n_pixels: u32, n_cells: usize) -> (usize, usize, f32) {
    let place = (f64::from(at) + 0.5) * n_cells as f64 / f64::from(n_pixels) - 0.5;
    let place = place.clamp(0.0, (n_cells - 1) as f64);
    let first = place as usize;
    (first, (first + 1).min(n_cells - 1), (place - first as f64) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_value_is_one_and_nothing_is_negative() {
        let map = HeatMap::new(1, 4, vec![-3.0, 0.5, 2.0, 0.0]);
        assert_eq!((map.values(), map.peak()), (&[0.0, 0.25, 1.0, 0.0][..], 2.0));
        assert!(!map.is_blank());
    }

    #[test]
    fn a_map_of_nothing_is_all_zero() {
        for raw in [[-1.0, -2.0], [0.0, -0.0], [f32::NAN, 1.0], [f32::INFINITY, 1.0]] {
            let map = HeatMap::new(2, 1, raw.to_vec());
            assert_eq!((map.values(), map.peak(), map.is_blank()), (&[0.0, 0.0][..], 0.0, true));
        }
    }

    /// `torch.nn.functional.interpolate` of a 2x2 map to 4x4.
    #[test]
    fn enlarging_is_pytorchs_bilinear() {
        let map = HeatMap::new(2, 2, vec![0.0, 1.0, 0.5, 0.25]);
        let row = |y| [0, 1, 2, 3].map(|x| map.at((x, y), (4, 4)));
        assert_eq!(row(0), [0.0, 0.25, 0.75, 1.0]);
        assert_eq!(row(1), [0.125, 0.296_875, 0.640_625, 0.8125]);
        assert_eq!(row(3), [0.5, 0.4375, 0.3125, 0.25]);
        assert_eq!(map.at((1, 0), (2, 2)), 1.0, "the same size is the same map");
    }
}
