//! The two matrix products that every convolution here comes down to, a tile in registers at a
//! time.
//!
//! Both multiply by a matrix packed in *panels*: blocks of [`panel_width`] columns, each block
//! contiguous from its first row to its last, the last one filled up with zeros. The last one may have its
//! rows two by two, see [`pair_rows`]; few columns may lie one by one, see [`Order`].
//!
//! What is multiplied are [`Factor`](crate::factor::Factor)s: values of f32, or pairs of bf16. Depths count factors.

mod ahead;
mod columns;
mod panels;
mod places;
mod rows;

pub(crate) use ahead::Ahead;
pub(crate) use columns::{
    Columns, Right, Spans, products_of_columns, sums_at, sums_len, tile_columns, tile_rows,
};
pub(crate) use panels::{
    depth_of, join_rows, pack_columns, pack_panels, pair_rows, pairs_fit, panel_width, panels_len,
};
pub(crate) use places::{PlaceTable, Places};
pub use rows::Epilogue;
pub(crate) use rows::{FEW_COLUMNS, Order, Panels, Rows, Runs, products_of_rows};

/// Rows of a panel are worked on in multiples of this, which every instruction set's tile divides.
pub(crate) const ROW_STEP: usize = 24;

#[cfg(test)]
mod tests;
