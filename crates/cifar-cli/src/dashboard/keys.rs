//! What the keys do.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::state::{State, Stopping};

/// What a key asks of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Nothing; at most the picture changes.
    None,
    /// To save and stop after this step.
    Stop,
    /// To end the process at once, as a second Ctrl-C does without a dashboard.
    Abort,
}

/// Takes in a key.
pub(super) fn press(state: &mut State, key: KeyEvent) -> Order {
    if key.kind == KeyEventKind::Release {
        return Order::None;
    }
    // Raw mode hands Ctrl-C over as a key instead of a signal.
    let ctrl_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    match (state.stopping, key.code) {
        (Stopping::No, KeyCode::Char('q' | 'Q')) => state.stopping = Stopping::Asked,
        (Stopping::No, _) if ctrl_c => state.stopping = Stopping::Asked,
        (Stopping::Asked, KeyCode::Char('n' | 'N') | KeyCode::Esc) => state.stopping = Stopping::No,
        (Stopping::Asked, code) if ctrl_c || matches!(code, KeyCode::Char('y' | 'Y')) => {
            state.stopping = Stopping::Confirmed;
            return Order::Stop;
        }
        (Stopping::Confirmed, _) if ctrl_c => return Order::Abort,
        _ => {}
    }
    Order::None
}

#[cfg(test)]
mod tests {
    use super::super::state::tests::state;
    use super::*;

    const CTRL_C: KeyEvent = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);

    fn plain(letter: char) -> KeyEvent {
        KeyEvent::new(KeyCode::Char(letter), KeyModifiers::NONE)
    }

    #[test]
    fn q_asks_and_only_yes_stops() {
        let mut state = state();
        assert_eq!(press(&mut state, plain('y')), Order::None);
        assert_eq!(state.stopping, Stopping::No);
        for (refusal, after) in [(plain('n'), Stopping::No), (plain('x'), Stopping::Asked)] {
            state.stopping = Stopping::No;
            assert_eq!(press(&mut state, plain('q')), Order::None);
            assert_eq!(state.stopping, Stopping::Asked);
            assert_eq!(press(&mut state, refusal), Order::None);
            assert_eq!(state.stopping, after);
        }
        assert_eq!(press(&mut state, plain('y')), Order::Stop);
        assert_eq!(state.stopping, Stopping::Confirmed);
        assert_eq!(press(&mut state, plain('q')), Order::None);
    }

    #[test]
    fn ctrl_c_asks_then_stops_then_aborts() {
        let mut state = state();
        let orders: Vec<Order> = (0..3).map(|_| press(&mut state, CTRL_C)).collect();
        assert_eq!(orders, [Order::None, Order::Stop, Order::Abort]);
        let c = plain('c');
        state.stopping = Stopping::No;
        assert_eq!((press(&mut state, c), state.stopping), (Order::None, Stopping::No));
    }

    #[test]
    fn letting_a_key_go_is_no_second_press() {
        let mut state = state();
        let up = KeyEvent { kind: KeyEventKind::Release, ..plain('q') };
        press(&mut state, up);
        assert_eq!(state.stopping, Stopping::No);
    }
}
