//! Personal data by its form. What a form alone cannot tell, a check does: it says how much of what was found counts.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::config::Personal;
use crate::rule::Rule;

impl Personal {
    pub(crate) fn rules(self) -> Vec<Rule> {
        let rule = |kind, anchors, find: &str| Rule::shipped(kind, anchors, find.to_owned());
        match self {
            Self::Email => {
                let find = r"(?i)\b[a-z0-9][a-z0-9._%+-]{0,63}@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){1,8}[a-z]{2,24}\b";
                vec![rule("email", &["@"], find).checked(email)]
            }
            Self::Phone => {
                let find = r"(?:\A|[^\w+/=.-])(\+[1-9](?:[ .()-]{0,2}[0-9]){7,14})(?:\z|[^\w+/=])";
                vec![rule("phone", &["+"], find)]
            }
            Self::Iban => vec![rule("iban", &[], r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,30}").checked(iban)],
            Self::PaymentCard => {
                vec![rule("payment card", &[], r"(?:\A|[^\w.+/=-])([2-6](?:[ -]?[0-9]){11,18})\b").checked(payment_card)]
            }
            Self::IpAddress => vec![
                rule("IP address", &["."], r"\b[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\b").checked(ipv4),
                // All that is public begins so (IANA, "IPv6 Global Unicast Address Space": 2000::/3).
                rule("IP address", &[":"], r"(?i)\b[23][0-9a-f]{3}(?::[0-9a-f]{0,4}){2,7}").checked(ipv6),
            ],
        }
    }
}

/// systemd's units are spelt `user@1000.service`.
fn email(found: &[u8]) -> Option<usize> {
    const UNITS: [&[u8]; 9] =
        [b".service", b".socket", b".target", b".timer", b".slice", b".mount", b".scope", b".device", b".swap"];
    (!UNITS.iter().any(|unit| found.ends_with(unit))).then_some(found.len())
}

/// How long the numbers of each country are (SWIFT, "IBAN Registry").
const IBANS: [(&[u8; 2], usize); 84] = [
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BI", 27),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DJ", 27),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FK", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MN", 20),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NI", 28),
    (b"NL", 18),
    (b"NO", 15),
    (b"OM", 23),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"RU", 33),
    (b"SA", 24),
    (b"SC", 31),
    (b"SD", 18),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"SO", 23),
    (b"ST", 25),
    (b"SV", 28),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
];

/// As many letters and digits as the country's numbers have, if nothing goes on after them and 97 divides what it should.
fn iban(found: &[u8]) -> Option<usize> {
    let country = found.get(..2)?;
    let length = match IBANS.iter().find(|(name, _)| name.as_slice() == country) {
        Some((_, length)) => *length,
        None => match country {
            b"VG" => 24,
            b"XK" => 20,
            b"YE" => 30,
            _ => return None,
        },
    };
    let (end, number) = first(found, length, |byte| byte.is_ascii_alphanumeric())?;
    let (start, rest) = number.split_at_checked(4)?;
    let remainder = rest.iter().chain(start).try_fold(0_u32, |sum, byte| {
        let value = char::from(*byte).to_digit(36)?;
        Some(if value < 10 { (sum * 10 + value) % 97 } else { (sum * 100 + value) % 97 })
    })?;
    (remainder == 1).then_some(end)
}

/// The first `count` bytes of `found` that are `wanted`, and where they end; none if there are fewer, or if one more follows at once.
fn first(found: &[u8], count: usize, wanted: impl Fn(u8) -> bool) -> Option<(usize, Vec<u8>)> {
    let mut kept = Vec::with_capacity(count);
    for (at, byte) in found.iter().enumerate().filter(|(_, byte)| wanted(**byte)) {
        kept.push(*byte);
        if kept.len() == count {
            let end = at.saturating_add(1);
            return (!found.get(end).is_some_and(|next| wanted(*next))).then_some((end, kept));
        }
    }
    None
}

/// A number of a known issuer and length whose check digit holds: the longest that ends where no digit follows.
fn payment_card(found: &[u8]) -> Option<usize> {
    (12..=19).rev().find_map(|length| {
        let (end, number) = first(found, length, |byte| byte.is_ascii_digit())?;
        (issued(&number) && luhn(&number)).then_some(end)
    })
}

/// The ranges that the large issuers number from, with the lengths that they use (ISO/IEC 7812-1; the issuers' own tables).
fn issued(number: &[u8]) -> bool {
    let start =
        |digits: usize| number.iter().take(digits).fold(0_u32, |sum, digit| sum * 10 + u32::from(digit.saturating_sub(b'0')));
    let (one, two, three, four) = (start(1), start(2), start(3), start(4));
    match number.len() {
        13 => one == 4,
        14 => (300..=305).contains(&three) || matches!(two, 36 | 38 | 39),
        15 => matches!(two, 34 | 37),
        16 => {
            one == 4
                || (51..=55).contains(&two)
                || (2221..=2720).contains(&four)
                || (3528..=3589).contains(&four)
                || matches!(two, 62 | 65)
                || four == 6011
                || (644..=649).contains(&three)
        }
        19 => one == 4 || two == 62,
        _ => false,
    }
}

/// ISO/IEC 7812-1, annex B.
fn luhn(number: &[u8]) -> bool {
    let sum: u32 = number
        .iter()
        .rev()
        .zip(0_u32..)
        .map(|(digit, place)| {
            let digit = u32::from(digit.saturating_sub(b'0'));
            match (place % 2, digit) {
                (0, _) => digit,
                (_, 5..) => digit * 2 - 9,
                _ => digit * 2,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Whether `address` names somebody's place on the Internet (RFC 6890 and the IANA registries that it began).
#[must_use]
pub fn is_public(address: &std::net::IpAddr) -> bool {
    match address {
        std::net::IpAddr::V4(address) => public_v4(*address),
        std::net::IpAddr::V6(address) => address.to_ipv4_mapped().map_or_else(|| public_v6(*address), public_v4),
    }
}

fn public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(a == 0
        || a >= 224
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || (a == 100 && (64..128).contains(&b))
        || (a == 198 && matches!(b, 18 | 19))
        || (a, b, c) == (192, 0, 0))
}

fn public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    (0x2000..0x4000).contains(&a) && (a, b) != (0x2001, 0xdb8) && !(a == 0x3fff && b < 0x1000)
}

fn ipv4(found: &[u8]) -> Option<usize> {
    let address: Ipv4Addr = str::from_utf8(found).ok()?.parse().ok()?;
    public_v4(address).then_some(found.len())
}

/// A sentence's colon may follow, and the expression takes it in.
fn ipv6(found: &[u8]) -> Option<usize> {
    let text = str::from_utf8(found).ok()?;
    let without = text.strip_suffix(':').unwrap_or(text);
    let address = [text, without].into_iter().find_map(|text| Some((text.len(), text.parse::<Ipv6Addr>().ok()?)));
    address.filter(|(_, address)| public_v6(*address)).map(|(length, _)| length)
}
