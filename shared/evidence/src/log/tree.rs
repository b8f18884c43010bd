//! A Merkle tree that only grows (RFC 6962, section 2.1), kept by its right edge.

use ids::Sha256;

/// Hashes in a full tile: 2^8 (C2SP tlog-tiles).
pub const WIDTH: usize = 256;

/// The hash of a leaf: `SHA-256(0x00 || data)`.
#[must_use]
pub fn leaf_hash(data: &[u8]) -> Sha256 {
    Sha256::of(&[&[0], data].concat())
}

/// The hash over two subtrees: `SHA-256(0x01 || left || right)`.
#[must_use]
pub fn node_hash(left: &Sha256, right: &Sha256) -> Sha256 {
    let mut bytes = [1; 65];
    let (_, children) = bytes.split_at_mut(1);
    let (first, second) = children.split_at_mut(32);
    first.copy_from_slice(left.as_bytes());
    second.copy_from_slice(right.as_bytes());
    Sha256::of(&bytes)
}

/// The right edge of a tree: for each level of tiles, the hashes of its last tile, if that is not full. All that is needed to grow the
/// tree and to know its root; a few kilobytes however large the tree is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    levels: Vec<Vec<Sha256>>,
}

impl Edge {
    /// The edge of a tree of `size` leaves, from the last tiles of its levels, lowest first; `tile(level, width)` reads one.
    ///
    /// # Errors
    /// What `tile` says. That the tiles are the right ones shows in the root alone: compare it.
    pub fn read<E>(size: u64, mut tile: impl FnMut(u8, u64, usize) -> Result<Vec<Sha256>, E>) -> Result<Self, E> {
        let mut levels = Vec::new();
        let (mut nodes, mut level) = (size, 0);
        while nodes > 0 {
            let width = usize::try_from(nodes % WIDTH as u64).unwrap_or_default();
            nodes /= WIDTH as u64;
            levels.push(if width == 0 { Vec::new() } else { tile(level, nodes, width)? });
            level += 1;
        }
        Ok(Self { size, levels })
    }

    /// How many leaves the tree has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hashes of the last tile of `level`, if it is not full.
    #[must_use]
    pub fn partial(&self, level: u8) -> &[Sha256] {
        self.levels.get(usize::from(level)).map_or(&[], Vec::as_slice)
    }

    /// Adds a leaf, and hands over each tile that it fills: its level, its number and its hashes.
    pub fn push(&mut self, leaf: Sha256, mut full: impl FnMut(u8, u64, &[Sha256])) {
        self.size += 1;
        let (mut hash, mut nodes) = (leaf, self.size);
        for level in 0.. {
            let at = usize::from(level);
            if self.levels.len() <= at {
                self.levels.resize_with(at + 1, Vec::new);
            }
            let Some(tile) = self.levels.get_mut(at) else { return };
            tile.push(hash);
            if tile.len() < WIDTH {
                return;
            }
            nodes /= WIDTH as u64;
            full(level, nodes.saturating_sub(1), tile);
            hash = subtree(tile);
            tile.clear();
        }
    }

    /// The root of the tree. That of an empty one is the hash of nothing.
    #[must_use]
    pub fn root(&self) -> Sha256 {
        // From the right: each level's hashes stand left of what the levels below come to.
        let mut right = None;
        for tile in &self.levels {
            right = fold(tile, right);
        }
        right.unwrap_or_else(|| Sha256::of(b""))
    }
}

/// The root over a full tile's hashes.
fn subtree(tile: &[Sha256]) -> Sha256 {
    fold(tile, None).unwrap_or_else(|| Sha256::of(b""))
}

/// The root over `left`, complete subtrees of one height, and `right`, a smaller tree after them.
pub(super) fn fold(left: &[Sha256], right: Option<Sha256>) -> Option<Sha256> {
    let mut row: Vec<Sha256> = left.to_vec();
    let mut last = right;
    while !row.is_empty() {
        let pairs = row.chunks_exact(2);
        if let [odd] = pairs.remainder() {
            last = Some(last.map_or(*odd, |right| node_hash(odd, &right)));
        }
        row = pairs.filter_map(|pair| if let [left, right] = pair { Some(node_hash(left, right)) } else { None }).collect();
    }
    last
}
