//! A range of seeds.

use std::ops::Range;
use std::str::FromStr;

/// `A..B`: from `A` to before `B`, as Rust writes ranges.
pub(crate) type SeedRange = Range<u64>;

/// # Errors
/// A sentence, where `text` is no range or an empty one.
pub(super) fn parse(text: &str) -> Result<SeedRange, String> {
    let range = text.split_once("..").and_then(|(first, end)| {
        Some(u64::from_str(first.trim()).ok()?..u64::from_str(end.trim()).ok()?)
    });
    match range {
        Some(range) if !range.is_empty() => Ok(range),
        Some(_) => Err("the range is empty; 0..5 stands for 0, 1, 2, 3 and 4".to_owned()),
        None => Err("expected A..B; 0..5 stands for 0, 1, 2, 3 and 4".to_owned()),
    }
}
