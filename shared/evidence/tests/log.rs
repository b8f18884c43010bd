//! The log's trees, tiles, batches and checkpoints, against another implementation where there is one.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;
use std::convert::Infallible;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof};
use evidence::PublicKey;
use evidence::log::{
    Batch, BatchError, Checkpoint, CheckpointError, Edge, Entry, Odd, Receipt, Tile, TilePath, batch_key, batch_number,
    consistency, entry_bundle, inclusion, leads_to, leaf_hash, node_hash, proves, root_over, tile_over,
};
use ids::{Sha256, Timestamp};
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use p256::ecdsa::{Signature, SigningKey};
use proptest::prelude::*;

fn leaves(count: u64) -> Vec<Vec<u8>> {
    (0..count).map(|n| format!("leaf {n}").into_bytes()).collect()
}

fn oracle(count: u64) -> MemoryBackedTree<sha2::Sha256, Vec<u8>> {
    let mut tree = MemoryBackedTree::new();
    leaves(count).into_iter().for_each(|leaf| tree.push(leaf));
    tree
}

fn edge(count: u64) -> Edge {
    let mut edge = Edge::default();
    leaves(count).iter().for_each(|leaf| edge.push(leaf_hash(leaf), |_, _, _| {}));
    edge
}

/// The root of a complete subtree, by brute force.
fn node(height: u8, number: u64) -> Result<Sha256, Infallible> {
    if height == 0 {
        return Ok(leaf_hash(format!("leaf {number}").as_bytes()));
    }
    Ok(node_hash(&node(height - 1, 2 * number)?, &node(height - 1, 2 * number + 1)?))
}

fn bytes(path: &[Sha256]) -> Vec<u8> {
    path.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

#[test]
fn the_empty_tree_has_the_root_that_rfc_6962_gives_it() {
    assert_eq!(Edge::default().root(), Sha256::of(b""));
    assert_eq!(Edge::default().size(), 0);
}

#[test]
fn roots_are_those_of_another_implementation_at_every_size() {
    let (mut tree, mut edge) = (MemoryBackedTree::<sha2::Sha256, Vec<u8>>::new(), Edge::default());
    // Past two full tiles, and past one full tile of full tiles.
    for leaf in leaves(66_000) {
        edge.push(leaf_hash(&leaf), |_, _, _| {});
        tree.push(leaf);
        let size = edge.size();
        if size < 600 || size.is_multiple_of(4096) || size > 65_530 && size < 65_545 {
            assert_eq!(edge.root().as_bytes().as_slice(), tree.root().as_bytes().as_slice(), "{size} leaves");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn an_inclusion_proof_is_the_other_implementations_too(size in 1u64..700, at in any::<prop::sample::Index>()) {
        let index = at.index(usize::try_from(size).unwrap()) as u64;
        let (tree, root) = (oracle(size), edge(size).root());
        let leaf = leaf_hash(format!("leaf {index}").as_bytes());
        let path = inclusion(index, size, node).unwrap();
        prop_assert_eq!(bytes(&path), tree.prove_inclusion(usize::try_from(index).unwrap()).as_bytes().to_vec());
        prop_assert!(proves(leaf, index, size, &path, &root));
        let theirs = InclusionProof::<sha2::Sha256>::from_bytes(bytes(&path));
        tree.root().verify_inclusion(&format!("leaf {index}").into_bytes(), index, &theirs).unwrap();

        prop_assert!(!proves(Sha256::of(b"another leaf"), index, size, &path, &root));
        prop_assert!(!proves(leaf, index, size, &path, &Sha256::of(b"another root")));
        prop_assert!(!proves(leaf, size, size, &path, &root));
        let longer = [path.clone(), vec![root]].concat();
        prop_assert!(!proves(leaf, index, size, &longer, &root));
        for missing in 0..path.len() {
            let mut shorter = path.clone();
            shorter.remove(missing);
            prop_assert!(!proves(leaf, index, size, &shorter, &root));
        }
        if index > 0 {
            prop_assert!(!proves(leaf, index - 1, size, &path, &root));
        }
    }

    #[test]
    fn a_consistency_proof_is_the_other_implementations_too(size in 1u64..700, at in any::<prop::sample::Index>()) {
        let old = at.index(usize::try_from(size).unwrap()) as u64 + 1;
        let (old_root, root) = (edge(old).root(), edge(size).root());
        let path = consistency(old, size, node).unwrap();
        prop_assert!(leads_to(old, &old_root, size, &root, &path));
        if old < size {
            let tree = oracle(size);
            prop_assert_eq!(bytes(&path), tree.prove_consistency(usize::try_from(size - old).unwrap()).as_bytes().to_vec());
            let theirs = ConsistencyProof::<sha2::Sha256>::try_from_bytes(bytes(&path)).unwrap();
            tree.root().verify_consistency(&oracle(old).root(), &theirs).unwrap();
        }
        let another = Sha256::of(b"another root");
        prop_assert!(!leads_to(old, &another, size, &root, &path));
        prop_assert!(!leads_to(old, &old_root, size, &another, &path));
        prop_assert!(!leads_to(old, &old_root, size, &root, &[path.clone(), vec![root]].concat()));
        prop_assert!(old == size || !leads_to(size, &root, old, &old_root, &path));
    }

    #[test]
    fn a_tree_that_grows_in_steps_has_the_same_tiles_and_can_be_taken_up_from_them(steps in prop::collection::vec(0u64..400, 1..6)) {
        let mut store: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let (mut edge, mut open, mut done) = (Edge::default(), Vec::new(), 0u64);
        for step in steps {
            let all = leaves(done + step);
            let new = all[usize::try_from(done).unwrap()..].to_vec();
            done += step;
            // Another sealer, which has nothing but what is stored.
            let taken_up: Result<_, Infallible> = Edge::read(edge.size(), |level, number, width| {
                let path = TilePath { level: Some(level), number, width };
                Ok(store[&path.to_string()].chunks(32).map(|hash| Sha256::from_bytes(hash.try_into().unwrap())).collect())
            });
            prop_assert_eq!(&taken_up.unwrap(), &edge);
            let grown = Tile::grow(edge, open, new);
            (edge, open) = (grown.edge, grown.open);
            store.extend(grown.tiles.into_iter().map(|tile| (tile.path.to_string(), tile.bytes)));
        }
        let size = edge.size();
        prop_assert_eq!(size, done);
        // Every full tile of a tree that was built at once is there, and the last partial ones.
        let at_once = Tile::grow(Edge::default(), Vec::new(), leaves(done));
        prop_assert_eq!(at_once.edge.root(), edge.root());
        for tile in at_once.tiles {
            prop_assert_eq!(store.get(&tile.path.to_string()), Some(&tile.bytes), "{}", tile.path);
        }
    }

    #[test]
    fn no_text_makes_the_readers_fall_over(text in ".*", raw in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Checkpoint::read(&text).is_err());
        prop_assert!(Batch::parse(&raw).is_err());
        prop_assert_eq!(batch_number(&text), None);
    }
}

/// The tree of 70,000 leaves has tiles on three levels.
#[test]
fn the_root_of_every_subtree_is_told_by_a_tile() {
    let grown = Tile::grow(Edge::default(), Vec::new(), leaves(70_000));
    let tiles: BTreeMap<(u8, u64), &[u8]> =
        grown.tiles.iter().filter_map(|tile| Some(((tile.path.level?, tile.path.number), tile.bytes.as_slice()))).collect();
    for (height, number) in [(0, 0), (0, 69_999), (3, 1), (7, 1), (8, 5), (11, 33), (16, 0)] {
        let (level, tile, places) = tile_over(height, number);
        let hash = |place: usize| Sha256::from_bytes(tiles[&(level, tile)][32 * place..][..32].try_into().unwrap());
        let hashes: Vec<Sha256> = places.map(hash).collect();
        let Ok(expected) = node(height, number);
        assert_eq!(root_over(&hashes), Some(expected), "height {height}, number {number}");
    }
}

#[test]
fn tiles_lie_where_the_specification_says() {
    let path = |level, number, width| TilePath { level, number, width }.to_string();
    // C2SP tlog-tiles' own example: index 1234067 is x001/x234/067.
    assert_eq!(path(Some(0), 1_234_067, 256), "tile/0/x001/x234/067");
    assert_eq!(path(Some(1), 0, 1), "tile/1/000.p/1");
    assert_eq!(path(None, 999, 255), "tile/entries/999.p/255");
    assert_eq!(path(None, 1000, 256), "tile/entries/x001/000");
    assert_eq!(entry_bundle(&[b"ab".to_vec(), Vec::new()]), [0, 2, b'a', b'b', 0, 0]);
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_795_400_000_000 + seconds * 1000).unwrap()
}

fn odd(n: u8) -> Entry {
    let (key, version) = (format!("rec/{n}"), "v".to_owned());
    Entry::Odd(Odd { key, version, stored: at(0), sha256: None, reason: "a delete marker".to_owned() })
}

#[test]
fn batches_follow_on_each_other_and_nothing_else_does() {
    let first = Batch::next("example.com/log", None, &Edge::default(), at(0), vec![odd(1), odd(2)]).unwrap();
    let digest = Sha256::of(&first.to_bytes().unwrap());
    let mut edge = Edge::default();
    first.follow(1, None, &mut edge).unwrap();
    assert_eq!((edge.size(), edge.root()), (3, first.root), "a seal and two entries");
    let empty = Batch::next("example.com/log", Some((1, digest)), &edge, at(3600), Vec::new()).unwrap();
    assert_eq!((empty.before, empty.size), (3, 4), "a heartbeat grows the log too");
    empty.follow(2, Some(("example.com/log", digest)), &mut edge.clone()).unwrap();

    let follow = |batch: &Batch, number, log, digest| batch.follow(number, Some((log, digest)), &mut edge.clone());
    assert_eq!(follow(&empty, 3, "example.com/log", digest), Err(BatchError::Number(2)));
    assert_eq!(follow(&empty, 2, "example.com/other", digest), Err(BatchError::Log("example.com/log".to_owned())));
    assert_eq!(follow(&empty, 2, "example.com/log", Sha256::of(b"a fork")), Err(BatchError::Follows));
    assert_eq!(empty.follow(2, Some(("example.com/log", digest)), &mut Edge::default()), Err(BatchError::Follows));
    let mut forged = empty.clone();
    forged.root = Sha256::of(b"another root");
    assert_eq!(follow(&forged, 2, "example.com/log", digest), Err(BatchError::Root));
    let mut forged = empty;
    forged.entries.push(odd(3));
    assert_eq!(follow(&forged, 2, "example.com/log", digest), Err(BatchError::Root));
}

#[test]
fn a_batch_has_one_form_and_one_place() {
    let batch = Batch::next("example.com/log", None, &Edge::default(), at(0), vec![odd(1)]).unwrap();
    let bytes = batch.to_bytes().unwrap();
    assert_eq!(Batch::parse(&bytes), Ok(batch.clone()));
    for spelled in [[bytes.clone(), b"\n".to_vec()].concat(), String::from_utf8(bytes).unwrap().replace(",", ", ").into_bytes()] {
        assert_eq!(Batch::parse(&spelled), Err(BatchError::Form));
    }
    insta::assert_snapshot!(String::from_utf8(batch.leaves().unwrap().join(&b'\n')).unwrap());
    assert_eq!(batch_key(7), "log/batch/000000000007.json");
    assert_eq!(batch_number("log/batch/000000000007.json"), Some(7));
    for wrong in ["log/batch/7.json", "log/batch/000000000000.json", "log/batch/+00000000007.json", "log/cp/000000000007.json"] {
        assert_eq!(batch_number(wrong), None, "{wrong}");
    }
}

fn signed(key: &SigningKey, checkpoint: &Checkpoint) -> (Vec<u8>, PublicKey) {
    let signature: Signature = key.sign_prehash(checkpoint.digest().as_bytes()).unwrap();
    (signature.to_der().as_bytes().to_vec(), PublicKey::of(key.verifying_key()).unwrap())
}

#[test]
fn a_checkpoint_is_believed_for_the_logs_key_alone() {
    let key = SigningKey::from_slice(&[7; 32]).unwrap();
    let checkpoint = Checkpoint { origin: "example.com/log".to_owned(), size: 42, root: Sha256::of(b"root") };
    let (signature, public) = signed(&key, &checkpoint);
    let note = checkpoint.note(&signature, &public).unwrap();
    assert_eq!(Checkpoint::verify(&note, &public), Ok(checkpoint.clone()));
    insta::assert_snapshot!(note);

    let (_, stranger) = signed(&SigningKey::from_slice(&[8; 32]).unwrap(), &checkpoint);
    assert_eq!(Checkpoint::verify(&note, &stranger), Err(CheckpointError::NoSignature(stranger.fingerprint())));
    assert_eq!(checkpoint.note(&signature, &stranger).unwrap_err(), CheckpointError::Signature, "KMS answered with another key");
    assert_eq!(Checkpoint::verify(&note.replace("\n42\n", "\n43\n"), &public), Err(CheckpointError::Signature));
    for spelled in ["\n+42\n", "\n042\n", "\n42\nextension\n", "\n42 \n"] {
        assert_eq!(Checkpoint::read(&note.replace("\n42\n", spelled)), Err(CheckpointError::Form), "{spelled:?}");
    }
    let (text, _) = note.rsplit_once("\n\n").unwrap();
    assert_eq!(Checkpoint::read(text), Err(CheckpointError::Form), "no signature at all");
    // A witness's signature beside ours is no reason to refuse.
    let witnessed = format!("{note}\u{2014} witness.example.com AAAAAAAA\n");
    assert_eq!(Checkpoint::verify(&witnessed, &public), Ok(checkpoint));
}

#[test]
fn a_receipt_is_written_as_the_specification_says() {
    let path = inclusion(2, 5, node).unwrap();
    let checkpoint = "example.com/log\n5\nAAAA\n\n\u{2014} example.com/log AAAA\n".to_owned();
    let receipt = Receipt { leaf: b"leaf 2".to_vec(), index: 2, path, checkpoint };
    insta::assert_snapshot!(receipt.to_string());
}
