//! Reading JSON that need not have the shape its documentation promises.
//!
//! Three shapes, [`Scalar`], [`Part`] and [`List`], take any value: what does not fit is remembered as missing or wrong instead of
//! ending the parse. So the only errors left are those of JSON itself and serde's own "duplicate field". Nothing is buffered:
//! what is not kept is skipped where it stands, and skipping does not recurse.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use ids::Timestamp;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::Refusal;

/// A type that takes any JSON value.
trait Loose<'de>: Sized {
    fn missing() -> Self;
    fn wrong() -> Self;

    fn scalar(_: Scalar) -> Self {
        Self::wrong()
    }

    fn list<A: SeqAccess<'de>>(list: A) -> Result<Self, A::Error> {
        IgnoredAny.visit_seq(list)?;
        Ok(Self::wrong())
    }

    fn object<A: MapAccess<'de>>(object: A) -> Result<Self, A::Error> {
        IgnoredAny.visit_map(object)?;
        Ok(Self::wrong())
    }

    fn read<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Anything(PhantomData))
    }
}

struct Anything<L>(PhantomData<L>);

impl<'de, L: Loose<'de>> Visitor<'de> for Anything<L> {
    type Value = L;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<L, E> {
        Ok(L::missing())
    }

    fn visit_bool<E>(self, value: bool) -> Result<L, E> {
        Ok(L::scalar(Scalar::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<L, E> {
        Ok(L::scalar(Scalar::Number(value.to_string())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<L, E> {
        Ok(L::scalar(Scalar::Number(value.to_string())))
    }

    /// Rust prints a float without an exponent and with no more digits than it takes to read it back.
    fn visit_f64<E>(self, value: f64) -> Result<L, E> {
        Ok(L::scalar(Scalar::Number(value.to_string())))
    }

    fn visit_str<E>(self, text: &str) -> Result<L, E> {
        Ok(L::scalar(Scalar::Text(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<L, A::Error> {
        L::list(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<L, A::Error> {
        L::object(object)
    }
}

/// A string, a number or a boolean.
#[derive(Default)]
pub(crate) enum Scalar {
    #[default]
    Missing,
    Wrong,
    Bool(bool),
    /// In decimal digits: no float is kept.
    Number(String),
    Text(String),
}

impl<'de> Loose<'de> for Scalar {
    fn missing() -> Self {
        Self::Missing
    }

    fn wrong() -> Self {
        Self::Wrong
    }

    fn scalar(value: Scalar) -> Self {
        value
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::read(from)
    }
}

impl Scalar {
    /// The text, if it is text.
    pub(crate) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The text as a `T`, if it is one.
    pub(crate) fn get<T: FromStr>(&self) -> Option<T> {
        self.text()?.parse().ok()
    }

    /// The text as a `T`, which we cannot do without.
    pub(crate) fn require<T: FromStr<Err: fmt::Display>>(&self, path: &'static str) -> Result<T, Refusal> {
        match self {
            Self::Text(text) => text.parse().map_err(|error| Refusal::bad_field(path, error)),
            Self::Missing => Err(Refusal::bad_field(path, "missing")),
            Self::Wrong | Self::Bool(_) | Self::Number(_) => Err(Refusal::bad_field(path, "not a string")),
        }
    }

    /// A number as its digits, whether it was written as a number or as a string.
    pub(crate) fn digits(&self) -> Option<&str> {
        if let Self::Number(text) | Self::Text(text) = self { Some(text) } else { None }
    }

    /// A whole number of at least 0.
    pub(crate) fn whole(&self) -> Option<u64> {
        decimal(self.digits()?, 0).and_then(|n| u64::try_from(n).ok())
    }

    /// `true`, or the string `true`.
    pub(crate) fn is_true(&self) -> bool {
        matches!(self, Self::Bool(true)) || self.text().is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    /// A moment: ISO 8601 with or without its `Z` and its `T`, or seconds or milliseconds since the epoch.
    pub(crate) fn time(&self) -> Option<Timestamp> {
        let digits = self.digits()?;
        if let Some(thousandths) = decimal(digits, 3) {
            // 1e11 seconds is the year 5138, 1e11 milliseconds the year 1973: nothing we are told lies in between.
            let seconds = thousandths.unsigned_abs() < 100_000_000_000_000;
            return Timestamp::from_millis(if seconds { thousandths } else { thousandths / 1000 }).ok();
        }
        let text = self.text().filter(|text| text.len() <= 64)?;
        text.parse().or_else(|_| format!("{text}Z").parse()).ok()
    }
}

/// `text` as a decimal number, in units of 10 to the power of minus `places`; digits beyond those are cut off.
pub(crate) fn decimal(text: &str, places: usize) -> Option<i64> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() || whole.len() > 18 || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let fraction = fraction.chars().chain(std::iter::repeat('0')).take(places);
    let magnitude: i64 = whole.chars().chain(fraction).collect::<String>().parse().ok()?;
    magnitude.checked_mul(sign)
}

/// An object.
#[derive(Default)]
pub(crate) enum Part<T> {
    #[default]
    Missing,
    Wrong,
    Here(T),
}

impl<'de, T: Deserialize<'de>> Loose<'de> for Part<T> {
    fn missing() -> Self {
        Self::Missing
    }

    fn wrong() -> Self {
        Self::Wrong
    }

    fn object<A: MapAccess<'de>>(object: A) -> Result<Self, A::Error> {
        T::deserialize(MapAccessDeserializer::new(object)).map(Self::Here)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Part<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::read(from)
    }
}

impl<T> Part<T> {
    /// The object, if it is one.
    pub(crate) fn get(&self) -> Option<&T> {
        if let Self::Here(value) = self { Some(value) } else { None }
    }

    /// The object, which we cannot do without.
    pub(crate) fn require(&self, path: &'static str) -> Result<&T, Refusal> {
        match self {
            Self::Here(value) => Ok(value),
            Self::Missing => Err(Refusal::bad_field(path, "missing")),
            Self::Wrong => Err(Refusal::bad_field(path, "not an object")),
        }
    }
}

/// The first `MAX` elements of a list; anything else is an empty one.
pub(crate) struct List<T, const MAX: usize>(pub(crate) Vec<T>);

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Loose<'de> for List<T, MAX> {
    fn missing() -> Self {
        Self::default()
    }

    fn wrong() -> Self {
        Self::default()
    }

    fn list<A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut kept = Vec::new();
        while kept.len() < MAX {
            match list.next_element()? {
                Some(element) => kept.push(element),
                None => return Ok(Self(kept)),
            }
        }
        IgnoredAny.visit_seq(list)?;
        Ok(Self(kept))
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for List<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::read(from)
    }
}

impl<T, const MAX: usize> List<Part<T>, MAX> {
    /// The objects among the elements.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &T> {
        self.0.iter().filter_map(Part::get)
    }
}

impl<const MAX: usize> List<Scalar, MAX> {
    /// The elements that are text and a `T`.
    pub(crate) fn all<T: FromStr>(&self) -> impl Iterator<Item = T> {
        self.0.iter().filter_map(Scalar::get)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(json: &str) -> Option<String> {
        serde_json::from_str::<Scalar>(json).unwrap().time().map(|time| time.to_string())
    }

    #[test]
    fn times_come_in_many_forms() {
        for json in [
            r#""2017-04-21T00:51:15.250Z""#,
            r#""2017-04-21T00:51:15.250""#,
            r#""2017-04-21 00:51:15.250""#,
            r#""2017-04-21T02:51:15.250+02:00""#,
            "1492735875250",
            "1492735875.25",
            r#""1492735875250""#,
            r#""1492735875.250""#,
        ] {
            assert_eq!(time(json).as_deref(), Some("2017-04-21T00:51:15.250Z"), "{json}");
        }
        assert_eq!(time("1492735875").as_deref(), Some("2017-04-21T00:51:15.000Z"));
        for json in
            ["null", "true", "[]", "{}", r#""""#, r#""yesterday""#, r#""2017-04-21""#, "1e300", "-1e300", "18446744073709551615"]
        {
            assert_eq!(time(json), None, "{json}");
        }
    }

    #[test]
    fn numbers_are_decimal_digits() {
        assert_eq!(decimal("8.5", 2), Some(850));
        assert_eq!(decimal("-8.999", 2), Some(-899));
        assert_eq!(decimal("8", 0), Some(8));
        for bad in ["", "-", ".5", "1e3", "+1", " 1", "0x1", "NaN", "1.2.3", "1234567890123456789"] {
            assert_eq!(decimal(bad, 0), None, "{bad}");
        }
    }

    #[test]
    fn what_does_not_fit_is_skipped_where_it_stands() {
        let list: List<Part<IgnoredAny>, 2> = serde_json::from_str(r#"[{}, 1, [[{}]], "x"]"#).unwrap();
        assert_eq!((list.0.len(), list.objects().count()), (2, 1));
        for json in ["null", "1", "{}", r#""x""#, "1.5", "false"] {
            assert!(serde_json::from_str::<List<Scalar, 2>>(json).unwrap().0.is_empty());
        }
    }
}
