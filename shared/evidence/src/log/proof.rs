//! Proofs that a leaf is in a tree, and that one tree is the beginning of another (RFC 6962, sections 2.1.1 and 2.1.2; the checks
//! follow RFC 9162, sections 2.1.3.2 and 2.1.4.2).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ids::Sha256;

use super::tree::node_hash;

/// A complete subtree: its height, and its number among those of that height.
type Node<'a, E> = &'a mut dyn FnMut(u8, u64) -> Result<Sha256, E>;

/// The root over the leaves from `from` up to `to`. `from` is a multiple of the largest power of two that fits.
fn range<E>(from: u64, to: u64, node: Node<'_, E>) -> Result<Sha256, E> {
    let count = to - from;
    if count.is_power_of_two() {
        let height = count.trailing_zeros();
        return node(u8::try_from(height).unwrap_or(u8::MAX), from >> height);
    }
    let middle = from + split(count);
    Ok(node_hash(&range(from, middle, node)?, &range(middle, to, node)?))
}

/// The largest power of two below `count`, which is at least 2.
fn split(count: u64) -> u64 {
    1 << (u64::BITS - 1 - (count - 1).leading_zeros())
}

/// The path from leaf `index` to the root of a tree of `size` leaves. `node(height, number)` reads the root of a complete subtree.
///
/// # Errors
/// What `node` says.
pub fn inclusion<E>(index: u64, size: u64, mut node: impl FnMut(u8, u64) -> Result<Sha256, E>) -> Result<Vec<Sha256>, E> {
    let mut path = Vec::new();
    if index >= size {
        return Ok(path);
    }
    let (mut from, mut to) = (0, size);
    while to - from > 1 {
        let middle = from + split(to - from);
        if index < middle {
            path.push(range(middle, to, &mut node)?);
            to = middle;
        } else {
            path.push(range(from, middle, &mut node)?);
            from = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// The proof that a tree of `old` leaves is the beginning of one of `size` leaves; empty if either is trivial.
///
/// # Errors
/// What `node` says.
pub fn consistency<E>(old: u64, size: u64, mut node: impl FnMut(u8, u64) -> Result<Sha256, E>) -> Result<Vec<Sha256>, E> {
    let mut path = Vec::new();
    if old == 0 || old >= size {
        return Ok(path);
    }
    let (mut from, mut to, mut whole) = (0, size, true);
    while old != to {
        let middle = from + split(to - from);
        if old <= middle {
            path.push(range(middle, to, &mut node)?);
            to = middle;
        } else {
            path.push(range(from, middle, &mut node)?);
            (from, whole) = (middle, false);
        }
    }
    if !whole {
        path.push(range(from, to, &mut node)?);
    }
    path.reverse();
    Ok(path)
}

/// Whether `path` leads from `leaf` at `index` to `root`, the root of a tree of `size` leaves.
#[must_use]
pub fn proves(leaf: Sha256, index: u64, size: u64, path: &[Sha256], root: &Sha256) -> bool {
    if index >= size {
        return false;
    }
    let (mut number, mut last, mut hash) = (index, size - 1, leaf);
    for beside in path {
        if last == 0 {
            return false;
        }
        if number % 2 == 1 || number == last {
            hash = node_hash(beside, &hash);
            while number.is_multiple_of(2) && number != 0 {
                (number, last) = (number >> 1, last >> 1);
            }
        } else {
            hash = node_hash(&hash, beside);
        }
        (number, last) = (number >> 1, last >> 1);
    }
    last == 0 && hash == *root
}

/// Whether `path` shows that the tree of `old` leaves with `old_root` is the beginning of the one of `size` leaves with `root`.
#[must_use]
pub fn leads_to(old: u64, old_root: &Sha256, size: u64, root: &Sha256, path: &[Sha256]) -> bool {
    if old == 0 || old == size {
        return path.is_empty() && (old != size || old_root == root);
    }
    if old > size {
        return false;
    }
    // The old root stands in for the first hash where the old tree is one complete subtree.
    let (first, rest) = match path.split_first() {
        None => return false,
        Some(_) if old.is_power_of_two() => (*old_root, path),
        Some((first, rest)) => (*first, rest),
    };
    let (mut number, mut last) = (old - 1, size - 1);
    while number % 2 == 1 {
        (number, last) = (number >> 1, last >> 1);
    }
    let (mut before, mut now) = (first, first);
    for beside in rest {
        if last == 0 {
            return false;
        }
        if number % 2 == 1 || number == last {
            before = node_hash(beside, &before);
            now = node_hash(beside, &now);
            while number.is_multiple_of(2) && number != 0 {
                (number, last) = (number >> 1, last >> 1);
            }
        } else {
            now = node_hash(&now, beside);
        }
        (number, last) = (number >> 1, last >> 1);
    }
    last == 0 && before == *old_root && now == *root
}

/// A proof that one leaf is in the log, to be checked offline by anyone who has the leaf and the log's key (C2SP tlog-proof).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The leaf, carried along as the format's extra data.
    pub leaf: Vec<u8>,
    /// The leaf's place.
    pub index: u64,
    /// From the leaf to the root.
    pub path: Vec<Sha256>,
    /// The signed note that names the root.
    pub checkpoint: String,
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "c2sp.org/tlog-proof@v1\nextra {}\nindex {}", STANDARD.encode(&self.leaf), self.index)?;
        for hash in &self.path {
            writeln!(f, "{}", STANDARD.encode(hash.as_bytes()))?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}
