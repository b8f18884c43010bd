//! Drawings whose text stays readable at any width: places along the axis are percentages, everything else is in pixels.

use maud::{Markup, html};

use crate::words::duration;

/// How a thing is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Bad,
    Minor,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Minor => "minor",
        }
    }
}

/// Moments of one sort, in milliseconds of any one clock, the earliest first.
#[derive(Debug, Clone)]
pub(crate) struct Track {
    pub(crate) label: String,
    pub(crate) marks: Vec<(i64, Tone)>,
}

/// Tracks under one another on one axis: each has its name above, and to the right how long after the first moment of all it came, or
/// came first.
pub(crate) fn moments(title: &str, tracks: &[Track]) -> Markup {
    let times = || tracks.iter().flat_map(|track| track.marks.iter().map(|(time, _)| *time));
    let (low, high) = (times().min().unwrap_or(0), times().max().unwrap_or(0));
    let height = tracks.len().saturating_mul(LANE).saturating_add(6);
    let after = |time: i64| format!("+{}", duration(time.saturating_sub(low)));
    html! {
        svg width="100%" height=(height) role="img" aria-label=(title) {
            @for (n, track) in tracks.iter().enumerate() {
                @let top = n.saturating_mul(LANE);
                @let (text, middle) = (top.saturating_add(15), top.saturating_add(27));
                text x="0" y=(text) { (track.label) }
                text.soft x="100%" y=(text) text-anchor="end" {
                    @match track.marks.first() {
                        // All of it would meet the name on a narrow screen.
                        Some((first, _)) if track.marks.len() > 1 => { (track.marks.len()) " ×" tspan.wide { " from " (after(*first)) } }
                        Some((only, _)) => (after(*only)),
                        None => {}
                    }
                }
                line.rail x1="0" x2="100%" y1=(middle) y2=(middle) {}
                @for (time, tone) in &track.marks {
                    circle class={ "mark " (tone.class()) } cx=(percent(*time, low, high)) cy=(middle) r="6" {}
                }
            }
        }
    }
}

/// A lane: what took from when until when, in milliseconds of any one clock.
#[derive(Debug, Clone)]
pub(crate) struct Lane {
    pub(crate) label: String,
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) tone: Tone,
}

const LANE: usize = 40;

/// Where `value` lies between `low` and `high`, in percent with one decimal.
fn percent(value: i64, low: i64, high: i64) -> String {
    let (value, low, high) = (i128::from(value), i128::from(low), i128::from(high));
    let span = (high - low).max(1);
    let permille = ((value.clamp(low, high.max(low)) - low) * 1000 / span).clamp(0, 1000);
    format!("{}.{}%", permille / 10, permille % 10)
}

/// Lanes under one another on one axis: each has its name above, and to the right how long it took.
pub(crate) fn lanes(title: &str, lanes: &[Lane]) -> Markup {
    let low = lanes.iter().map(|lane| lane.from).min().unwrap_or(0);
    let high = lanes.iter().map(|lane| lane.to).max().unwrap_or(0);
    let height = lanes.len().saturating_mul(LANE).saturating_add(6);
    html! {
        svg width="100%" height=(height) role="img" aria-label=(title) {
            @for (n, lane) in lanes.iter().enumerate() {
                @let top = n.saturating_mul(LANE);
                @let (text, middle) = (top.saturating_add(15), top.saturating_add(27));
                text x="0" y=(text) { (lane.label) }
                text.soft x="100%" y=(text) text-anchor="end" { (duration(lane.to.saturating_sub(lane.from))) }
                line.rail x1="0" x2="100%" y1=(middle) y2=(middle) {}
                svg x=(percent(lane.from, low, high)) y=(middle.saturating_sub(5)) width=(percent(lane.to.saturating_sub(lane.from), 0, high.saturating_sub(low))) height="10" {
                    rect class={ "bar " (lane.tone.class()) } width="100%" height="10" rx="2" {}
                }
                // A bar of less than a pixel would not be seen.
                @if percent(lane.to.saturating_sub(lane.from), 0, high.saturating_sub(low)).starts_with("0.") {
                    rect class={ "bar " (lane.tone.class()) } x=(percent(lane.from, low, high)) y=(middle.saturating_sub(5)) width="2" height="10" {}
                }
            }
        }
    }
}

/// The share of values that were no longer than each length, with the target's point: the curve must pass above and left of it.
///
/// `values` are milliseconds in ascending order, out of `all` that count: what never came to its end keeps the curve from the top.
/// `target` is in milliseconds and hundredths of a percent. The axis is logarithmic, from 100 ms.
pub(crate) fn distribution(title: &str, values: &[i64], all: usize, target: Option<(i64, u32)>) -> Markup {
    let longest = values.last().copied().unwrap_or(0).max(target.map_or(0, |(millis, _)| millis)).max(1000);
    // Room to the right, or the last step would lie on the edge.
    let longest = longest.saturating_add(longest / 3);
    let x = |millis: i64| permille_log(millis, longest);
    let mut path = String::from("M0,1000");
    for (n, value) in values.iter().enumerate() {
        let share = |n: usize| 1000 - n.saturating_mul(1000).checked_div(all).unwrap_or(0).min(1000);
        path += &format!(" L{0},{1} L{0},{2}", x(*value), share(n), share(n.saturating_add(1)));
    }
    path += &format!(" L1000,{}", 1000 - values.len().saturating_mul(1000).checked_div(all).unwrap_or(0).min(1000));
    let ticks = [100, 1000, 10_000, 60_000, 300_000, 1_800_000, 3_600_000, 86_400_000, 604_800_000];
    let ticks: Vec<i64> = ticks.into_iter().filter(|tick| *tick <= longest).collect();
    html! {
        svg width="100%" height="176" role="img" aria-label=(title) {
            svg y="14" width="100%" height="120" viewBox="0 0 1000 1000" preserveAspectRatio="none" { path.curve d=(path) {} }
            line.rail x1="0" x2="100%" y1="134" y2="134" {}
            line.grid x1="0" x2="100%" y1="14" y2="14" {}
            text.soft x="0" y="10" { "100 %" }
            @for (n, tick) in ticks.iter().enumerate() {
                @let place = tenths(x(*tick));
                line.rail x1=(place) x2=(place) y1="134" y2="139" {}
                // On a narrow screen neighbouring names would meet: they take turns in two rows.
                text.soft x=(place) y=(if n % 2 == 0 { 153 } else { 168 }) text-anchor=(if n == 0 { "start" } else if x(*tick) > 930 { "end" } else { "middle" }) { (duration(*tick)) }
            }
            @if let Some((millis, basis_points)) = target {
                @let place = tenths(x(millis));
                // 120 pixels are 100 %.
                @let level = 134u32.saturating_sub(basis_points.saturating_mul(120) / 10_000);
                line.target x1=(place) x2=(place) y1="14" y2="134" {}
                line.target x1="0" x2=(place) y1=(level) y2=(level) {}
                text.target x=(place) y="10" text-anchor=(if x(millis) > 500 { "end" } else { "start" }) { "target" }
            }
        }
    }
}

fn tenths(permille: u32) -> String {
    format!("{}.{}%", permille / 10, permille % 10)
}

/// A logarithmic place from 0 (100 ms or less) to 1000 (`longest`).
fn permille_log(millis: i64, longest: i64) -> u32 {
    let log = |millis: i64| f64::from(u32::try_from(millis.max(100) / 100).unwrap_or(u32::MAX)).ln();
    let place = log(millis) / log(longest).max(f64::MIN_POSITIVE) * 1000.0;
    // Rounded by text, as there is no lossless way from a float: a drawing needs no better.
    format!("{:.0}", place.clamp(0.0, 1000.0)).parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_stay_on_the_axis() {
        assert_eq!(percent(5, 0, 10), "50.0%");
        assert_eq!(percent(i64::MIN, 0, 10), "0.0%");
        assert_eq!(percent(i64::MAX, i64::MIN, i64::MAX), "100.0%");
        assert_eq!(percent(7, 7, 7), "0.0%");
        assert_eq!((permille_log(0, 1000), permille_log(1000, 1000), permille_log(i64::MAX, 1000)), (0, 1000, 1000));
        assert_eq!(permille_log(1000, 10_000), 500);
    }
}
