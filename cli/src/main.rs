//! `cordon`: what a responder, an approver or an auditor types.

mod access;
mod access_command;
mod archive_command;
mod aws;
mod completeness_command;
mod datakey_command;
mod evidence_command;
mod function;
mod listing;
mod plan_command;
mod proof_command;
mod release_command;
mod report_command;
mod revoke_command;
mod run_command;
mod signed;
mod source;
mod spool;
mod tokens;
mod tokens_command;
mod trust_command;
mod webhook_command;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Contain incidents on AWS, and prove what was done.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, propagate_version = true)]
struct Cordon {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(subcommand)]
    Access(access_command::Access),
    /// Check what was recorded, and record what you run.
    #[command(subcommand)]
    Evidence(evidence_command::Evidence),
    /// Show what would be done about a finding, without doing anything.
    Plan(plan_command::Plan),
    /// Make the sealed security groups of VPCs ahead, so that containment need not.
    Prepare(function::Prepare),
    #[command(subcommand)]
    Release(release_command::Release),
    /// End a leaked credential, by the procedure of its kind.
    Revoke(revoke_command::Revoke),
    RevokeTokens(tokens_command::RevokeTokens),
    #[command(subcommand)]
    Webhook(webhook_command::Webhook),
}

fn main() -> ExitCode {
    let done = match Cordon::parse().command {
        Command::Access(command) => access_command::run(&command),
        Command::Evidence(command) => evidence_command::run(&command),
        Command::Plan(command) => plan_command::run(&command),
        Command::Prepare(command) => function::prepare(&command),
        Command::Release(command) => release_command::run(&command),
        Command::Revoke(command) => revoke_command::run(&command),
        Command::RevokeTokens(command) => tokens_command::run(&command),
        Command::Webhook(command) => webhook_command::run(&command),
    };
    done.unwrap_or_else(|error| {
        // `cordon … | head`: the reader has enough and is told nothing. What the answer would have been is unknown: not 0.
        if gone(&error) {
            return ExitCode::from(PIPE_CLOSED);
        }
        let _unheard = writeln!(std::io::stderr(), "error: {error:#}");
        ExitCode::from(1)
    })
}

/// What a shell reports of a program that SIGPIPE ended: 128 + 13.
const PIPE_CLOSED: u8 = 141;

/// Whether it all came to whoever read our output having left.
fn gone(error: &anyhow::Error) -> bool {
    let broken = |error: &std::io::Error| error.kind() == std::io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| cause.downcast_ref().is_some_and(broken))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// A line of shell, as far as examples go: words, quotes, a comment, and where output goes.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
        for c in line.chars() {
            match c {
                '\'' => {
                    quoted = !quoted;
                    word.get_or_insert_default();
                }
                ' ' if !quoted => words.extend(word.take()),
                '#' | '>' | '|' if !quoted && word.is_none() => break,
                _ => word.get_or_insert_default().push(c),
            }
        }
        words.extend(word);
        words
    }

    fn commands<'a>(command: &'a clap::Command, path: &[&'a str], found: &mut Vec<(Vec<&'a str>, String)>) {
        let path = [path, &[command.get_name()]].concat();
        let help = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
        command.get_subcommands().for_each(|below| commands(below, &path, found));
        found.push((path, help));
    }

    /// Help with an example that is not of the command, or that the command refuses, is worse than none.
    #[test]
    fn each_commands_examples_are_its_own_and_parse() {
        let command = Cordon::command();
        let mut found = Vec::new();
        commands(&command, &[], &mut found);
        let (mut seen, mut with) = (0, Vec::new());
        for (path, help) in &found {
            let examples = help.split("Examples:\n").nth(1).unwrap_or_default().replace("\\\n", " ");
            let lines = examples.lines().map(str::trim).filter(|line| line.starts_with("cordon "));
            let lines: Vec<Vec<String>> = lines.map(|line| words(&filled_in(line))).collect();
            for words in &lines {
                let refused = Cordon::try_parse_from(words).err().map(|error| error.to_string());
                assert_eq!(refused, None, "{path:?}: {words:?}");
                seen += 1;
            }
            let own = |words: &&Vec<String>| words.iter().zip(path).all(|(word, name)| word == name);
            if !lines.is_empty() {
                assert!(lines.iter().any(|words| own(&words)), "{path:?} has no example of its own");
                with.push(path.last().copied().unwrap_or_default());
            }
        }
        let reports = ["timeline", "slo", "population", "controls", "custody", "completeness", "export"];
        assert!(reports.iter().all(|name| with.contains(name)) && seen > 30, "{seen} examples, of {with:?}");
        // A report's examples are of no other.
        for (path, help) in found.iter().filter(|(path, _)| path.last().is_some_and(|name| reports.contains(name))) {
            let of = |name: &&&str| help.contains(&format!("cordon evidence {name} "));
            let of: Vec<_> = reports.iter().filter(of).collect();
            assert_eq!(of, [path.last().unwrap()]);
        }
    }

    /// What stands for something in an example, replaced by something of that form.
    fn filled_in(line: &str) -> String {
        line.replace("SEAL-ROLE-ARN", "ROLE-ARN")
            .replace("ROLE-ARN", "arn:aws:iam::123456789012:role/Role")
            .replace("FINGERPRINT", &"0".repeat(64))
            .replace("witness.example/w1+ID+KEY", "witness.example/w1+eb762cc2+BNdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea")
    }
}
