//! Which pane stands where, and which go when the terminal is small.

use ratatui::layout::Rect;

/// Columns and rows below which there is no dashboard.
pub(super) const SMALLEST: (u16, u16) = (40, 10);

/// Columns and rows from which on every pane is there.
const WHOLE: (u16, u16) = (80, 24);
/// Columns for two panes side by side.
const TWO_COLUMNS: u16 = 60;
/// Rows from which on anything stands below the curves.
const WITH_LOG: u16 = 16;
/// Rows of a curve that stands above another.
const CURVE_ROWS: u16 = 7;
const HEADER_ROWS: u16 = 2;
const FOOTER_ROWS: u16 = 1;
/// Rows of ten classes, and of the four lines of resources, with their frames.
const CLASSES_ROWS: u16 = 12;
const RESOURCES_ROWS: u16 = 6;
const CLASSES_COLUMNS: u16 = 27;
const RESOURCES_COLUMNS: u16 = 31;

/// Where each pane is. As the terminal gets smaller, they go in this order: learning rate,
/// classes, accuracy (in a narrow terminal), log, resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) header: Rect,
    pub(super) footer: Rect,
    pub(super) loss: Rect,
    pub(super) accuracy: Option<Rect>,
    pub(super) learning_rate: Option<Rect>,
    pub(super) classes: Option<Rect>,
    pub(super) resources: Option<Rect>,
    pub(super) log: Option<Rect>,
}

/// Places for a terminal of that size; none where it is below [`SMALLEST`].
pub(super) fn places(area: Rect) -> Option<Places> {
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        return None;
    }
    let (header, rest) = top(area, HEADER_ROWS);
    let (body, footer) = top(rest, rest.height - FOOTER_ROWS);
    let lower_rows = match area.height {
        rows if rows >= WHOLE.1 => CLASSES_ROWS.max(body.height * 2 / 5),
        rows if rows >= WITH_LOG => RESOURCES_ROWS,
        _ => 0,
    };
    let (curves, lower) = top(body, body.height - lower_rows);
    let (loss, accuracy) = if area.width >= TWO_COLUMNS {
        let (left, right) = left(curves, curves.width / 2);
        (left, Some(right))
    } else if curves.height >= 2 * CURVE_ROWS {
        let (upper, lower) = top(curves, curves.height / 2);
        (upper, Some(lower))
    } else {
        (curves, None)
    };
    let mut places = Places {
        header,
        footer,
        loss,
        accuracy,
        learning_rate: None,
        classes: None,
        resources: None,
        log: None,
    };
    places.fill_lower(lower);
    Some(places)
}

impl Places {
    fn fill_lower(&mut self, area: Rect) {
        if area.height >= CLASSES_ROWS && area.width >= TWO_COLUMNS {
            let (classes, rest) = left(area, CLASSES_COLUMNS.max(area.width * 3 / 10));
            self.classes = Some(classes);
            let (upper, log) = top(rest, RESOURCES_ROWS.max(rest.height * 2 / 5));
            self.log = Some(log);
            if area.width >= WHOLE.0 {
                let (curve, resources) = left(upper, upper.width - RESOURCES_COLUMNS);
                (self.learning_rate, self.resources) = (Some(curve), Some(resources));
            } else {
                self.resources = Some(upper);
            }
        } else if area.height >= CLASSES_ROWS {
            let (resources, log) = top(area, RESOURCES_ROWS);
            (self.resources, self.log) = (Some(resources), Some(log));
        } else if area.height > 0 && area.width >= TWO_COLUMNS {
            let (log, resources) = left(area, area.width - RESOURCES_COLUMNS);
            (self.resources, self.log) = (Some(resources), Some(log));
        } else if area.height > 0 {
            self.resources = Some(area);
        }
    }
}

/// The first `rows` of `area`, and the rest.
fn top(area: Rect, rows: u16) -> (Rect, Rect) {
    let rest = Rect { y: area.y + rows, height: area.height - rows, ..area };
    (Rect { height: rows, ..area }, rest)
}

/// The first `columns` of `area`, and the rest.
fn left(area: Rect, columns: u16) -> (Rect, Rect) {
    let rest = Rect { x: area.x + columns, width: area.width - columns, ..area };
    (Rect { width: columns, ..area }, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Places {
        fn all(&self) -> Vec<Rect> {
            let optional =
                [self.accuracy, self.learning_rate, self.classes, self.resources, self.log];
            let always = [self.header, self.footer, self.loss];
            always.into_iter().chain(optional.into_iter().flatten()).collect()
        }
    }

    #[test]
    fn panes_tile_the_terminal_at_every_size() {
        for (width, height) in (0..200).flat_map(|w| (0..80).map(move |h| (w, h))) {
            let area = Rect::new(0, 0, width, height);
            let Some(places) = places(area) else {
                assert!(width < SMALLEST.0 || height < SMALLEST.1, "{width}x{height}");
                continue;
            };
            let all = places.all();
            let cells: u32 = all.iter().map(|rect| rect.area()).sum();
            assert_eq!(cells, area.area(), "{width}x{height}");
            for (i, one) in all.iter().enumerate() {
                assert_eq!(one.intersection(area), *one, "{width}x{height}");
                let apart = all[i + 1..].iter().all(|other| !one.intersects(*other));
                assert!(apart, "{width}x{height}");
            }
        }
    }

    #[test]
    fn panes_go_in_the_stated_order() {
        let there = |width, height| {
            let places = places(Rect::new(0, 0, width, height)).unwrap();
            let optional = [
                places.learning_rate,
                places.classes,
                places.accuracy,
                places.log,
                places.resources,
            ];
            optional.map(|place| place.is_some())
        };
        assert_eq!(there(80, 24), [true; 5]);
        assert_eq!(there(79, 24), [false, true, true, true, true]);
        assert_eq!(there(80, 23), [false, false, true, true, true]);
        assert_eq!(there(59, 24), [false, false, false, true, true]);
        assert_eq!(there(59, 22), [false, false, false, false, true]);
        assert_eq!(there(40, 10), [false; 5]);
        // The one that comes back: a terminal that is narrow and high.
        assert_eq!(there(40, 40), [false, false, true, true, true]);
    }

    #[test]
    fn all_classes_and_resources_fit_from_80x24_on() {
        for (width, height) in [(80, 24), (120, 40), (200, 60)] {
            let places = places(Rect::new(0, 0, width, height)).unwrap();
            let (classes, resources) = (places.classes.unwrap(), places.resources.unwrap());
            assert!(classes.height >= CLASSES_ROWS && classes.width >= CLASSES_COLUMNS);
            assert!(resources.height >= RESOURCES_ROWS && resources.width >= RESOURCES_COLUMNS);
            assert!(places.loss.height >= CURVE_ROWS);
        }
    }
}
