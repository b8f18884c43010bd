//! Tiles: how the tree is laid out for readers (C2SP tlog-tiles).

use std::fmt;
use std::ops::Range;

use ids::Sha256;

use super::tree::{Edge, WIDTH, fold};

/// Where a tile or an entry bundle lies: `tile/<L>/<N>[.p/<W>]`, `tile/entries/<N>[.p/<W>]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TilePath {
    /// The level of a tile of hashes; none for entries.
    pub level: Option<u8>,
    /// Its number in its level.
    pub number: u64,
    /// How many of its 256 places are taken.
    pub width: usize,
}

impl TilePath {
    /// Whether the tile is full, and so never changes again.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.width == WIDTH
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            Some(level) => write!(f, "tile/{level}/")?,
            None => write!(f, "tile/entries/")?,
        }
        // Three digits a folder, all but the last marked with an x.
        let mut groups = vec![self.number % 1000];
        let mut rest = self.number / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        while let Some(group) = groups.pop() {
            if groups.is_empty() { write!(f, "{group:03}")? } else { write!(f, "x{group:03}/")? }
        }
        if self.width < WIDTH { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

/// One object of the published tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    /// Where it lies.
    pub path: TilePath,
    /// Its content.
    pub bytes: Vec<u8>,
}

impl Tile {
    /// A tile of hashes.
    #[must_use]
    pub fn of_hashes(level: u8, number: u64, hashes: &[Sha256]) -> Self {
        let path = TilePath { level: Some(level), number, width: hashes.len() };
        Self { path, bytes: hashes.iter().flat_map(|hash| *hash.as_bytes()).collect() }
    }

    /// The tiles that a tree gains when `leaves` are added to it, entry bundles included, and the edge it then has.
    ///
    /// `open` is what the last, not yet full entry bundle holds.
    #[must_use]
    pub fn grow(mut edge: Edge, mut open: Vec<Vec<u8>>, leaves: Vec<Vec<u8>>) -> Grown {
        let mut tiles = Vec::new();
        let before = edge.size();
        for leaf in leaves {
            edge.push(super::leaf_hash(&leaf), |level, number, hashes| tiles.push(Self::of_hashes(level, number, hashes)));
            open.push(leaf);
            if open.len() == WIDTH {
                tiles.push(Self::of_entries(edge.size() / WIDTH as u64 - 1, &open));
                open.clear();
            }
        }
        if edge.size() > before {
            let (mut nodes, mut level) = (edge.size() / WIDTH as u64, 0);
            while level == 0 || nodes > 0 || !edge.partial(level).is_empty() {
                if !edge.partial(level).is_empty() {
                    tiles.push(Self::of_hashes(level, nodes, edge.partial(level)));
                }
                (nodes, level) = (nodes / WIDTH as u64, level + 1);
            }
            if !open.is_empty() {
                tiles.push(Self::of_entries(edge.size() / WIDTH as u64, &open));
            }
        }
        Grown { tiles, edge, open }
    }

    fn of_entries(number: u64, entries: &[Vec<u8>]) -> Self {
        Self { path: TilePath { level: None, number, width: entries.len() }, bytes: entry_bundle(entries) }
    }
}

/// Where the root of a complete subtree is told, the one of this height and number: the level and number of a tile, and the places in it
/// that the subtree is over.
#[must_use]
pub fn tile_over(height: u8, number: u64) -> (u8, u64, Range<usize>) {
    let below = height % 8;
    let first = number << below;
    let place = usize::try_from(first % WIDTH as u64).unwrap_or_default();
    (height / 8, first / WIDTH as u64, place..place + (1 << below))
}

/// The root over the hashes of complete subtrees that lie side by side; none over none.
#[must_use]
pub fn root_over(hashes: &[Sha256]) -> Option<Sha256> {
    fold(hashes, None)
}

/// What growing a tree comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grown {
    /// The tiles that are new, full ones first.
    pub tiles: Vec<Tile>,
    /// The tree's edge now.
    pub edge: Edge,
    /// What the last, not yet full entry bundle holds now.
    pub open: Vec<Vec<u8>>,
}

/// Entries as a bundle holds them: each after its length in two bytes, big-endian. A leaf of ours is a few hundred bytes.
#[must_use]
pub fn entry_bundle(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        bytes.extend_from_slice(&u16::try_from(entry.len()).unwrap_or(u16::MAX).to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    bytes
}

/// The entries of a bundle; none if it is cut off.
#[must_use]
pub fn read_bundle(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut entries = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        entries.push(entry.to_vec());
        bytes = rest;
    }
    bytes.is_empty().then_some(entries)
}
