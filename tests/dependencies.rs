//! The arrows between our crates, and the licences and known problems of everybody else's. Works without a network.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::semver::VersionReq;
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use serde::Deserialize;

/// Who may know whom, as `docs/architecture.md` draws it.
const ARROWS: [(&str, &[&str]); 6] = [
    ("vtbuild-cfg", &[]),
    ("vtbuild-cache", &[]),
    ("vtbuild-providers", &[]),
    ("vtbuild-engine", &["vtbuild-cfg", "vtbuild-cache"]),
    (
        "vtbuild-rules",
        &["vtbuild-engine", "vtbuild-providers", "vtbuild-cache"],
    ),
    (
        "vtbuild",
        &[
            "vtbuild-cfg",
            "vtbuild-cache",
            "vtbuild-providers",
            "vtbuild-engine",
            "vtbuild-rules",
        ],
    ),
];

/// Libraries that belong to one room alone.
const ROOMS: [(&str, &[&str]); 9] = [
    ("salsa", &["vtbuild-engine"]),
    ("petgraph", &["vtbuild-engine"]),
    ("qapi", &["vtbuild-providers"]),
    ("ssh2", &["vtbuild-providers"]),
    ("ureq", &["vtbuild-providers"]),
    ("heed", &["vtbuild-cache"]),
    ("blake3", &["vtbuild-cache"]),
    ("clap", &["vtbuild"]),
    ("indicatif", &["vtbuild"]),
];

fn metadata() -> Metadata {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let command = MetadataCommand::new()
        .manifest_path(manifest)
        // A build downloads what its own platform needs, and nothing else.
        .other_options(vec!["--offline".into(), format!("--filter-platform={platform}")])
        .exec();
    command.expect("cargo metadata works offline after a build")
}

fn needs(package: &Package) -> BTreeSet<&str> {
    let normal = package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind == DependencyKind::Normal);
    normal.map(|dependency| dependency.name.as_str()).collect()
}

#[test]
fn no_crate_knows_more_than_the_architecture_draws() {
    let metadata = metadata();
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    let ours: Vec<&Package> = metadata.workspace_packages();
    assert_eq!(
        ours.len(),
        arrows.len(),
        "a new crate must be drawn in docs/architecture.md and here"
    );
    for package in ours {
        let allowed = arrows.get(package.name.as_str()).expect("every crate is drawn");
        for needed in needs(package)
            .into_iter()
            .filter(|name| arrows.contains_key(name))
        {
            assert!(
                allowed.contains(&needed),
                "{} must not know {needed}",
                package.name
            );
        }
        for (library, rooms) in ROOMS {
            let has = needs(package).contains(library);
            assert!(
                !has || rooms.contains(&package.name.as_str()),
                "{library} must stay out of {}",
                package.name
            );
        }
    }
}

#[test]
fn salsa_is_pinned_exactly() {
    let manifest = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    let manifest: toml::Table = toml::from_str(&manifest).unwrap();
    let pin = manifest["workspace"]["dependencies"]["salsa"]
        .as_str()
        .expect("a plain version");
    assert!(pin.starts_with('='), "salsa = {pin:?}");
}

#[derive(Deserialize)]
struct Deny {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
struct Ban {
    name: String,
    version: String,
    reason: String,
}

fn deny() -> Deny {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deny.toml")).unwrap();
    toml::from_str(&text).expect("deny.toml is well-formed")
}

/// Whether one side of each `OR` and every side of each `AND` of a licence expression is allowed. Parentheses in the
/// expressions of our dependencies never change what that comes to for an `OR` of `AND`s, which is all there are.
fn allowed(expression: &str, allow: &[String]) -> bool {
    let flat = expression.replace(['(', ')'], "").replace('/', " OR ");
    let one = |part: &str| {
        part.split(" AND ")
            .all(|name| allow.iter().any(|allowed| allowed == name.trim()))
    };
    flat.split(" OR ").any(one)
}

#[test]
fn every_dependency_has_a_licence_that_we_may_use() {
    let (metadata, deny) = (metadata(), deny());
    let mut wrong = Vec::new();
    for package in &metadata.packages {
        let licence = package.license.as_deref().unwrap_or("none stated");
        if !allowed(licence, &deny.licenses.allow) {
            wrong.push(format!("{} {}: {licence}", package.name, package.version));
        }
    }
    assert!(
        wrong.is_empty(),
        "licences that deny.toml does not allow:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn no_dependency_has_a_known_problem() {
    let (metadata, deny) = (metadata(), deny());
    for ban in &deny.bans.deny {
        let banned = VersionReq::parse(&ban.version).expect("a version requirement");
        for package in metadata
            .packages
            .iter()
            .filter(|package| package.name.as_str() == ban.name)
        {
            let hit = banned.matches(&package.version);
            assert!(!hit, "{} {}: {}", package.name, package.version, ban.reason);
        }
    }
}

#[test]
fn the_licence_check_can_fail() {
    let allow = ["MIT".to_owned(), "Apache-2.0".to_owned()];
    for good in [
        "MIT",
        "GPL-2.0 OR MIT",
        "MIT/Apache-2.0",
        "(MIT OR GPL-2.0) AND Apache-2.0",
    ] {
        assert!(allowed(good, &allow), "{good}");
    }
    for bad in ["GPL-2.0", "MIT AND GPL-2.0", "none stated"] {
        assert!(!allowed(bad, &allow), "{bad}");
    }
}
