#![doc = include_str!("../README.md")]

mod event;
mod response;

pub use event::Event;
pub use response::{Problem, Response};

/// A reason is a sentence or three.
const LONGEST_REASON: usize = 500;

/// Whether a reason can be kept and shown: 1 to 500 characters of plain text.
///
/// # Errors
/// 400 if not.
pub fn reason(text: &str) -> Result<(), Problem> {
    let odd = |c: char| c.is_control() && c != '\n';
    if text.trim().is_empty() || text.chars().count() > LONGEST_REASON || text.contains(odd) {
        return Err(Problem::new(400, format!("the reason is to be 1 to {LONGEST_REASON} characters, in plain text")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::reason;

    #[test]
    fn a_reason_is_short_plain_text() {
        for good in ["a decoy", "two\nlines", &"ä".repeat(500)] {
            assert_eq!(reason(good), Ok(()));
        }
        for bad in ["", " \n", "\u{1b}[31mred", "a\ttab", &"x".repeat(501)] {
            assert_eq!(reason(bad).map_err(|problem| problem.status), Err(400), "{bad:?}");
        }
    }
}
