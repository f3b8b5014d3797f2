//! Where the rows of a matrix begin. Products read and write there without looking again, so a bound
//! once found is out of everyone else's reach.

use std::ops::Range;

/// Places in a matrix, and a bound that none is beyond: it is looked for once, however many products
/// use them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places<'a> {
    at: &'a [usize],
    /// At most the smallest.
    least: usize,
    /// At least the largest.
    bound: usize,
}

impl<'a> Places<'a> {
    pub(crate) fn new(at: &'a [usize]) -> Self {
        let least = at.iter().copied().min().unwrap_or(0);
        Self { at, least, bound: at.iter().copied().max().unwrap_or(0) }
    }

    /// The same for places none of which is before the one that it follows, if `ascending`: the ends are
    /// the bounds.
    fn with_bounds(at: &'a [usize], ascending: bool) -> Self {
        match *at {
            [least, .., bound] if ascending => Self { at, least, bound },
            _ => Self::new(at),
        }
    }

    /// Some of them, with the bounds of all.
    pub(crate) fn part(self, range: Range<usize>) -> Self {
        Self { at: &self.at[range], ..self }
    }

    pub(crate) fn at(self) -> &'a [usize] {
        self.at
    }

    /// At most the smallest.
    pub(crate) fn least(self) -> usize {
        self.least
    }

    /// At least the largest.
    pub(crate) fn bound(self) -> usize {
        self.bound
    }

    pub(crate) fn len(self) -> usize {
        self.at.len()
    }

    /// Each of these places in `n` matrices that begin `distance` after one another, then the next
    /// place. What is not there yet is written to `room`.
    pub(crate) fn repeated<'b>(self, n: usize, distance: usize, room: &'b mut [usize]) -> Places<'b>
    where
        'a: 'b,
    {
        if n == 1 {
            return self;
        }
        let room = &mut room[..n * self.len()];
        for (room, at) in room.chunks_exact_mut(n.max(1)).zip(self.at) {
            room.iter_mut().enumerate().for_each(|(matrix, to)| *to = matrix * distance + at);
        }
        Places { at: room, bound: n.saturating_sub(1) * distance + self.bound, ..self }
    }
}

/// [`Places`] to be kept.
#[derive(Debug, Clone)]
pub(crate) struct PlaceTable {
    at: Vec<usize>,
    least: usize,
    bound: usize,
    /// Whether none is before the one that it follows.
    ascending: bool,
}

impl PlaceTable {
    pub(crate) fn new(at: Vec<usize>) -> Self {
        let ascending = at.is_sorted();
        let Places { least, bound, .. } = Places::with_bounds(&at, ascending);
        Self { at, least, bound, ascending }
    }

    pub(crate) fn all(&self) -> Places<'_> {
        Places { at: &self.at, least: self.least, bound: self.bound }
    }

    /// Some of them, with bounds of their own.
    pub(crate) fn part(&self, range: Range<usize>) -> Places<'_> {
        Places::with_bounds(&self.at[range], self.ascending)
    }
}
