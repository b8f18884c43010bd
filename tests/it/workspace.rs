//! The dependency rules of the design, read from Cargo itself.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(scenarios::repository().join("Cargo.toml"))
        .other_options(vec!["--locked".into()])
        .exec()
        .unwrap()
}

/// Everything that `root` is built from, itself included; what only its tests use does not count.
fn built_from<'a>(metadata: &'a Metadata, root: &'a PackageId) -> BTreeSet<&'a str> {
    let resolve = metadata.resolve.as_ref().unwrap();
    let nodes: BTreeMap<_, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let names: BTreeMap<_, _> = metadata.packages.iter().map(|package| (&package.id, package.name.as_str())).collect();
    let mut found = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut next = vec![root];
    while let Some(id) = next.pop() {
        if seen.insert(id) {
            found.insert(names[id]);
            let normal = |dep: &&cargo_metadata::NodeDep| dep.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal);
            next.extend(nodes[id].deps.iter().filter(normal).map(|dep| &dep.pkg));
        }
    }
    found
}

/// A crate marked `[package.metadata.cordon] pure = true` reaches no async runtime, no SDK and no network.
#[test]
fn pure_crates_stay_pure() {
    let metadata = metadata();
    let pure: Vec<_> =
        metadata.workspace_packages().into_iter().filter(|package| package.metadata["cordon"]["pure"] == true).collect();
    assert!(pure.len() >= 3, "the pure crates are marked in their manifests");
    for package in pure {
        let reached = built_from(&metadata, &package.id);
        let impure = |name: &&str| {
            name.starts_with("aws-") || name.starts_with("lambda_") || ["tokio", "hyper", "rustls", "mio"].contains(name)
        };
        let impure: Vec<_> = reached.into_iter().filter(impure).collect();
        assert_eq!(impure, [""; 0], "`{}` is pure and must not reach these", package.name);
    }
}

/// One crate depends on the largest SDK crate, and the whole workspace compiles it once: with one set of features.
#[test]
fn there_is_one_ec2_client() {
    let metadata = metadata();
    let resolve = metadata.resolve.as_ref().unwrap();
    let units: Vec<_> = metadata.packages.iter().filter(|package| package.name.as_str() == "aws-sdk-ec2").collect();
    assert_eq!(units.len(), 1);
    let name = |id: &PackageId| metadata.packages.iter().find(|package| package.id == *id).unwrap().name.to_string();
    let users = resolve.nodes.iter().filter(|node| node.dependencies.contains(&units[0].id)).map(|node| name(&node.id));
    assert_eq!(users.collect::<Vec<_>>(), ["isolation"]);
    // `sam build` passes no flags: this is what gives every function folder the same features.
    assert_eq!(metadata.workspace_metadata["lambda"]["build"]["workspace"], true);
    // Development dependencies must not add features to it, or tests and builds would each compile their own.
    let manifest = std::fs::read_to_string(scenarios::repository().join("Cargo.toml")).unwrap();
    assert_eq!(manifest.matches("aws-sdk-ec2 =").count(), 1);
}

/// Every crate says what it is, and inherits the lints and the version.
#[test]
fn every_crate_is_described_and_linted() {
    for package in metadata().workspace_packages() {
        assert!(package.description.as_ref().is_some_and(|text| text.len() > 20), "`{}` has a description", package.name);
        let manifest = std::fs::read_to_string(&package.manifest_path).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "`{}` inherits the lints", package.name);
    }
}
