//! Where the rows of a matrix begin. Products read and write there without looking again, so a bound
//! once found is out of everyone else's reach.

use std::ops::Range;

/// Places in a matrix, and a bound that none is beyond: it is looked for once, however many products
/// use them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places<'a> {
    at: &'a [usize],
    /// At least the largest.
    bound: usize,
}

impl<'a> Places<'a> {
    pub(crate) fn new(at: &'a [usize]) -> Self {
        Self { at, bound: at.iter().copied().max().unwrap_or(0) }
    }

    /// Some of them.
    pub(crate) fn part(self, range: Range<usize>) -> Self {
        Self { at: &self.at[range], ..self }
    }

    pub(crate) fn at(self) -> &'a [usize] {
        self.at
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
        Places { at: room, bound: n.saturating_sub(1) * distance + self.bound }
    }
}

/// [`Places`] to be kept.
#[derive(Debug)]
pub(crate) struct PlaceTable {
    at: Vec<usize>,
    bound: usize,
}

impl FromIterator<usize> for PlaceTable {
    fn from_iter<I: IntoIterator<Item = usize>>(places: I) -> Self {
        let at: Vec<usize> = places.into_iter().collect();
        Self { bound: Places::new(&at).bound, at }
    }
}

impl PlaceTable {
    pub(crate) fn len(&self) -> usize {
        self.at.len()
    }

    pub(crate) fn all(&self) -> Places<'_> {
        Places { at: &self.at, bound: self.bound }
    }

    /// The first `n` of them.
    pub(crate) fn first(&self, n: usize) -> Places<'_> {
        if n == self.at.len() { self.all() } else { Places::new(&self.at[..n]) }
    }
}
