//! One group's weights as the right matrix of a product.

use crate::element::Element;
use crate::gemm::{
    FEW_COLUMNS, Order, Panels, pack_columns, pack_panels, pair_rows, pairs_fit, panel_width,
    panels_len,
};
use crate::isa::Isa;

/// How they are packed.
#[derive(Debug, Clone, Copy)]
pub(super) struct FilterPanels {
    /// Factors of a window.
    pub(super) depth: usize,
    /// Channels of the result.
    pub(super) columns: usize,
    order: Order,
}

impl FilterPanels {
    /// `even`: whether the runs that windows are made of have even lengths and meet even rows.
    pub(super) fn new(isa: Isa, (depth, columns): (usize, usize), even: bool) -> Self {
        let order = match columns {
            ..=FEW_COLUMNS => Order::Columns,
            _ if even && pairs_fit(isa, columns) => Order::Pairs,
            _ => Order::Rows,
        };
        Self { depth, columns, order }
    }

    /// Factors of the packed weights.
    pub(super) fn len(self, isa: Isa) -> usize {
        match self.order {
            Order::Columns => self.depth * self.columns,
            Order::Rows | Order::Pairs => panels_len(isa, self.depth, self.columns),
        }
    }

    /// Whether all of them meet a window before the next window is looked at.
    pub(super) fn meet_together(self, isa: Isa) -> bool {
        self.order == Order::Columns || self.columns <= panel_width(isa, self.columns)
    }

    /// Packs them; `row(value)`: the weights of all columns that meet a value of a window, if any do.
    pub(super) fn pack<'a, E: Element>(
        self,
        isa: Isa,
        row: impl Fn(usize) -> Option<&'a [E]>,
        packed: &mut [E::Factor],
    ) {
        let shape = (self.depth, self.columns);
        match self.order {
            Order::Columns => pack_columns(shape, row, packed),
            Order::Rows => pack_panels(isa, shape, row, packed),
            Order::Pairs => {
                pack_panels(isa, shape, row, packed);
                pair_rows(isa, shape, packed);
            }
        }
    }

    pub(super) fn panels<F>(self, isa: Isa, packed: &[F]) -> Panels<'_, F> {
        Panels::new(isa, packed, (self.depth, self.columns), self.order)
    }
}
