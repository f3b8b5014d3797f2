//! One group's weights as the right matrix of a product.

use crate::element::Element;
use crate::gemm::{Panels, pack_panels, pair_rows, pairs_fit, panels_len};
use crate::isa::Isa;

/// How they are packed.
#[derive(Debug, Clone, Copy)]
pub(super) struct FilterPanels {
    /// Factors of a window.
    pub(super) depth: usize,
    /// Channels of the result.
    pub(super) columns: usize,
    /// Whether the last panel has its rows two by two.
    pairs: bool,
}

impl FilterPanels {
    /// `even`: whether the runs that windows are made of have even lengths and meet even rows.
    pub(super) fn new(isa: Isa, (depth, columns): (usize, usize), even: bool) -> Self {
        Self { depth, columns, pairs: even && pairs_fit(isa, columns) }
    }

    /// Factors of the packed weights.
    pub(super) fn len(self, isa: Isa) -> usize {
        panels_len(isa, self.depth, self.columns)
    }

    /// Packs them; `row(value)`: the weights of all columns that meet a value of a window, if any do.
    pub(super) fn pack<'a, E: Element>(
        self,
        isa: Isa,
        row: impl Fn(usize) -> Option<&'a [E]>,
        packed: &mut [E::Factor],
    ) {
        let shape = (self.depth, self.columns);
        pack_panels(isa, shape, row, packed);
        if self.pairs {
            pair_rows(isa, shape, packed);
        }
    }

    pub(super) fn panels<F>(self, isa: Isa, packed: &[F]) -> Panels<'_, F> {
        Panels { pairs: self.pairs, ..Panels::packed(isa, packed, (self.depth, self.columns)) }
    }
}
