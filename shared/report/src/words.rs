//! Durations and counts, for people.

/// `850 ms`, `1.23 s`, `4 min 12 s`, `2 h 5 min`, `3 d 4 h`; with a minus where it is negative.
pub(crate) fn duration(millis: i64) -> String {
    let sign = if millis < 0 { "−" } else { "" };
    let millis = millis.unsigned_abs();
    let seconds = millis / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |whole: u64, unit: &str, rest: u64, small: &str| {
        if rest == 0 { format!("{whole} {unit}") } else { format!("{whole} {unit} {rest} {small}") }
    };
    let text = match millis {
        ..1000 => format!("{millis} ms"),
        1000..60_000 => format!("{seconds}.{:02} s", millis % 1000 / 10),
        60_000..3_600_000 => two(minutes, "min", seconds % 60, "s"),
        3_600_000..86_400_000 => two(hours, "h", minutes % 60, "min"),
        _ => two(days, "d", hours % 24, "h"),
    };
    sign.to_owned() + &text
}

/// `1 record`, `2 records`.
pub(crate) fn count(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        for (millis, shown) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1234, "1.23 s"),
            (59_999, "59.99 s"),
            (252_000, "4 min 12 s"),
            (3_600_000, "1 h"),
            (7_500_000, "2 h 5 min"),
            (273_600_000, "3 d 4 h"),
            (-1500, "−1.50 s"),
            (i64::MIN, "−106751991167 d 7 h"),
        ] {
            assert_eq!(duration(millis), shown);
        }
    }
}
