use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;
use crate::dashboard::state::tests::{START, observe_epoch, state};

const MIB: u64 = 1024 * 1024;

/// The rows that `state` gives in a terminal of that size.
fn rows(state: &State, width: u16, height: u16) -> Vec<String> {
    let memory = Memory { current_bytes: 100 * MIB, peak_bytes: 120 * MIB };
    let resources = Resources { elapsed_secs: 65.4, memory: Some(memory) };
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, state, resources)).unwrap();
    let cells = terminal.backend().buffer().content();
    let row = |row: &[ratatui::buffer::Cell]| row.iter().map(|cell| cell.symbol()).collect();
    cells.chunks(usize::from(width).max(1)).map(row).collect()
}

fn contains(rows: &[String], text: &str) -> bool {
    rows.iter().any(|row| row.contains(text))
}

fn after_an_epoch() -> State {
    let mut state = state();
    observe_epoch(&mut state);
    state
}

#[test]
fn everything_is_there_at_80x24() {
    let rows = rows(&after_an_epoch(), 80, 24);
    for text in [
        "my-recipe  simplenet, 25,578 parameters, cpu, f32",
        "epoch 1/2  step 500/1,000",
        "Loss ━ training • validation",
        "Accuracy ━ training • validation",
        "Learning rate",
        "Recall, epoch 1",
        "3200 images/s",
        "100 MiB, peak 120",
        "1 min 05 s, 2 threads",
        "to go  10.0 s",
        "Saved checkpoint best (step 500)",
        "q: stop",
    ] {
        assert!(contains(&rows, text), "{text}:\n{}", rows.join("\n"));
    }
}

#[test]
fn classes_have_bars_as_long_as_their_recall() {
    let rows = rows(&after_an_epoch(), 80, 24);
    let bar = |class: &str| {
        let row = rows.iter().find(|row| row.contains(class)).unwrap();
        let pane: String = row.chars().take(27).collect();
        (pane.matches('█').count(), pane.contains("50%"), pane.contains("100%"))
    };
    assert_eq!(bar("airplane"), (9, false, true));
    assert_eq!(bar("automobile"), (4, true, false));
    assert_eq!(bar("bird"), (0, false, false));
}

#[test]
fn without_a_validation_the_pane_says_why() {
    let mut state = state();
    assert!(contains(&rows(&state, 120, 40), "after the first"));
    state.about.validates = false;
    assert!(contains(&rows(&state, 120, 40), "data.validation = 0"));
}

#[test]
fn curves_are_drawn_where_there_are_steps() {
    let dots = |rows: &[String]| {
        rows.concat().chars().filter(|c| ('\u{2801}'..='\u{28ff}').contains(c)).count()
    };
    let mut before = state();
    before.observe(&cifar_train::Event::Start(START), std::time::Duration::ZERO);
    let empty = rows(&before, 120, 40);
    assert_eq!(dots(&empty), 0);
    assert!(contains(&empty, "no step yet"));
    let drawn = rows(&after_an_epoch(), 120, 40);
    assert!(dots(&drawn) > 50, "{}", drawn.join("\n"));
    // The last step is on the axis.
    assert!(contains(&drawn, "500│"), "{}", drawn.join("\n"));
}

#[test]
fn every_size_is_drawn_and_every_small_one_says_so() {
    let mut state = after_an_epoch();
    state.stopping = Stopping::Asked;
    for (width, height) in (1..130).step_by(3).flat_map(|w| (1..50).map(move |h| (w, h))) {
        let rows = rows(&state, width, height);
        let too_small = width < SMALLEST.0 || height < SMALLEST.1;
        // However the sentence is broken.
        if width >= 25 && height >= 8 {
            let said = rows.concat().replace(' ', "").contains("toosmall");
            assert_eq!(said, too_small, "{width}x{height}");
        }
        // The question is never out of sight.
        if width >= 25 {
            assert!(contains(&rows, "Stop the run, saved? y/n"), "{width}x{height}");
        }
    }
}

#[test]
fn the_log_shows_its_end_wrapped() {
    let mut state = state();
    for i in 0..100 {
        state.log(
            format!("line {i} with so many words that one row of a small pane is short"),
            true,
        );
    }
    let rows = rows(&state, 80, 24);
    assert!(contains(&rows, "line 99 with") && !contains(&rows, "line 1 "));
    assert!(contains(&rows, "pane is short"));
}

#[test]
fn the_gauge_says_where_the_run_will_stop_and_what_it_waits_for() {
    let mut state = after_an_epoch();
    state.about.stop_at = Some(700);
    state.ends_epoch = true;
    assert!(contains(&rows(&state, 80, 24), "step 500/1,000, stops at 700, validating"));
}
