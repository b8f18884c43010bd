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

/// What writes a policy's text, or gives a principal another policy, is in one file, which can only spell denies, and in the one that lifts
/// them for a recorded release. What detaches or deletes is in that one alone; what makes a key active, creates or allows is nowhere.
#[test]
fn one_file_writes_policies() {
    let repository = scenarios::repository();
    let mut folders: Vec<_> = ["functions", "shared", "cli/src"].map(|part| repository.join(part)).into();
    let (mut writers, mut others, mut lifted) = (BTreeMap::<String, usize>::new(), Vec::new(), BTreeSet::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.strip_prefix(&repository).unwrap().to_string_lossy().into_owned();
            let written = [".put_role_policy(", ".attach_user_policy(", ".put_user_permissions_boundary(", ".update_access_key("];
            let count: usize = written.iter().map(|call| text.matches(call).count()).sum();
            if count > 0 {
                writers.insert(name.clone(), count);
            }
            let opening = [
                ".detach_",
                ".delete_user",
                ".delete_role",
                ".delete_access_key",
                ".delete_login",
                ".create_access_key",
                ".create_policy",
                ".put_user_policy",
                ".put_group_policy",
                ".attach_role_policy",
                ".attach_group_policy",
                ".update_assume_role",
                "StatusType::Active",
            ];
            others.extend(opening.iter().filter(|call| text.contains(**call)).map(|call| format!("{name}: {call}")));
            lifted.extend(text.matches("Recorded<Release>").map(|_| name.clone()));
        }
    }
    let [apply, lift, grants] = ["apply", "lift", "grants"].map(|file| format!("shared/revocation/src/{file}.rs"));
    // What ends leaked credentials, what lifts that again, and what ends grants: each from a type that can only deny, or that is recorded.
    assert_eq!(writers, BTreeMap::from([(apply, 4), (lift.clone(), 2), (grants.clone(), 1)]));
    others.sort();
    let mut opens = [".delete_role", ".delete_user", ".detach_"].map(|call| format!("{lift}: {call}")).to_vec();
    opens.insert(0, format!("{grants}: .delete_role"));
    assert_eq!(others, opens);
    assert!(lifted.contains(&lift), "it takes a recorded release, and nothing else: {lifted:?}");
}

/// What is attached from above an account only ever denies, says who is exempt, and is about the policy that the template deploys.
#[test]
fn the_service_control_policy_only_denies() {
    let repository = scenarios::repository();
    let text = std::fs::read_to_string(repository.join("infra/scp/revocation.json")).unwrap();
    let policy: serde_json::Value = serde_json::from_str(&text).unwrap();
    let template = std::fs::read_to_string(repository.join("template.yaml")).unwrap();
    assert!(template.contains("\n  DenyEverything:\n    Type: AWS::IAM::ManagedPolicy\n"));
    assert!(template.contains("\n  Release:\n    Type: AWS::Serverless::Function\n") && template.contains("\n  ReleaseRole:\n"));
    assert!(text.len() < 5120, "AWS takes 5120 characters");
    let readme = std::fs::read_to_string(repository.join("infra/scp/README.md")).unwrap();
    for statement in policy["Statement"].as_array().unwrap() {
        assert_eq!(statement["Effect"], "Deny", "{statement}");
        let sid = statement["Sid"].as_str().unwrap();
        assert!(readme.contains(&format!("| `{sid}` |")), "{sid} is explained");
        if sid != "RootOfMembersDoesNothing" {
            assert!(statement["Condition"]["ArnNotLike"]["aws:PrincipalArn"].is_string(), "{statement}");
            let about =
                if sid == "OnlyItsApiCallsRelease" { "function:cordon-Release-*" } else { "policy/cordon-DenyEverything-*" };
            assert!(statement.to_string().contains(about), "{statement}");
        }
    }
}

/// By its name the revoke function takes an invoker's word for a person's: the intake gets at the alias, which takes relays only.
#[test]
fn the_intake_may_invoke_the_relay_alias_and_nothing_else() {
    let template = std::fs::read_to_string(scenarios::repository().join("template.yaml")).unwrap();
    let resource = |name: &str| {
        let rest = template.split(&format!("\n  {name}:\n")).nth(1).unwrap_or_default();
        rest.lines().take_while(|line| line.is_empty() || line.starts_with("    ")).collect::<Vec<_>>().join("\n")
    };
    let alias = resource("RevokeRelay");
    for line in ["Type: AWS::Lambda::Alias", "FunctionName: !Ref Revoke", "FunctionVersion: $LATEST", "Name: relay"] {
        assert!(alias.contains(&format!("  {line}")), "{alias}");
    }
    let (may, calls) = (resource("IntakeHandsOn"), resource("Intake"));
    assert!(may.contains("Action: lambda:InvokeFunction\n            Resource: !Ref RevokeRelay"), "{may}");
    assert_eq!((may.matches("Resource").count(), resource("IntakeRole").matches("lambda:").count()), (1, 0));
    assert!(calls.contains("CORDON_REVOKE: !Ref RevokeRelay\n"), "{calls}");
    // What fails through an alias goes where the alias says, and not where the function does.
    let fails = resource("RevokeRelayInvoked");
    for line in ["Qualifier: relay", "OnFailure: { Destination: !GetAtt Failures.Arn }", "MaximumEventAgeInSeconds: 3600"] {
        assert!(fails.contains(&format!("  {line}")), "{fails}");
    }
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

/// Whoever is woken by an alarm finds it in a runbook, with what it means and what to do first; and a runbook names none that cannot ring.
#[test]
fn every_alarm_is_in_a_runbook() {
    let repository = scenarios::repository();
    let template = std::fs::read_to_string(repository.join("template.yaml")).unwrap();
    let lines: Vec<_> = template.lines().collect();
    let is_alarm = |pair: &&[&str]| pair[1].trim() == "Type: AWS::CloudWatch::Alarm";
    let alarms: BTreeSet<_> = lines.windows(2).filter(is_alarm).map(|pair| pair[0].trim().trim_end_matches(':')).collect();
    assert!(alarms.len() > 10 && alarms.contains("DegradedAlarm"), "{alarms:?}");

    let mut text = String::new();
    for entry in std::fs::read_dir(repository.join("docs/runbooks")).unwrap() {
        text += &std::fs::read_to_string(entry.unwrap().path()).unwrap();
    }
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let rows: BTreeMap<_, _> = rows.filter(|(name, _)| name.ends_with("Alarm")).collect();
    assert_eq!(rows.keys().copied().collect::<BTreeSet<_>>(), alarms, "left: runbooks; right: template.yaml");
    for (name, rest) in rows {
        let cells: Vec<_> = rest.trim_end_matches('|').split(" | ").map(str::trim).collect();
        assert!(cells.len() == 2 && cells.iter().all(|cell| cell.len() > 8), "{name} has a meaning and what to do: {cells:?}");
    }
}

/// The names of all tests, and of files of tests.
fn all_tests() -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    let mut folders = vec![scenarios::repository()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && name != "node_modules" && !name.starts_with('.') {
                folders.push(path);
            } else if let Some(module) = name.strip_suffix(".rs") {
                // A whole file of tests may be named by its module.
                tests.insert(module.to_owned());
                let text = std::fs::read_to_string(&path).unwrap();
                let mut next_is_a_test = false;
                for line in text.lines().map(str::trim) {
                    next_is_a_test |= ["#[test]", "#[tokio::test", "proptest!"].iter().any(|mark| line.starts_with(mark));
                    let declared = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
                    if let Some(declared) = declared.filter(|_| next_is_a_test) {
                        tests.insert(declared.split('(').next().unwrap().to_owned());
                        next_is_a_test = false;
                    }
                }
            }
        }
    }
    tests
}

/// A threat that names a test which was renamed or never written is a claim without proof.
#[test]
fn every_test_that_the_threat_model_names_is_there() {
    let tests = all_tests();
    let text = std::fs::read_to_string(scenarios::repository().join("docs/threat-model.md")).unwrap();
    let rows =
        text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| attack") && !line.starts_with("| attempt"));
    let mut named = 0;
    for row in rows {
        let cell = row.trim_end_matches(['|', ' ']).rsplit("| ").next().unwrap();
        let names: Vec<_> = cell.split('`').skip(1).step_by(2).filter(|name| name.contains("::")).collect();
        assert!(!names.is_empty() || cell.starts_with("the same"), "no test stands for this line: {row}");
        for name in names {
            let last = name.rsplit("::").next().unwrap();
            let there = tests.contains(last);
            assert!(there, "`{name}` is no test here, and stands for: {row}");
            named += 1;
        }
    }
    assert!(named > 100, "{named} tests are named");
}

/// Each kind of credential that Cordon knows has a test that shows it, by the page that lists them.
#[test]
fn every_kind_of_credential_has_a_test_that_is_there() {
    let (tests, page) = (all_tests(), std::fs::read_to_string(scenarios::repository().join("docs/credentials.md")).unwrap());
    let section = page.split("Which test shows it").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: Vec<(&str, &str)> = section.lines().filter_map(|row| row.strip_prefix("| `")?.split_once(" | ")).collect();
    for (kinds, named) in &rows {
        let mut names = named.split('`').skip(1).step_by(2).peekable();
        assert!(names.peek().is_some(), "no test stands for {kinds}");
        names.for_each(|name| assert!(tests.contains(name), "`{name}` is no test here, and stands for {kinds}"));
    }
    for pattern in plan::revoke::patterns() {
        assert!(rows.iter().any(|(kinds, _)| kinds.split('`').any(|kind| kind == pattern.id)), "no row for {}", pattern.id);
    }
}
